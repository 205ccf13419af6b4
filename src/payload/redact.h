/* Finding credentials in JSON text by the names of their keys. Pure; internal to src/payload. */
#ifndef XH_PAYLOAD_REDACT_H
#define XH_PAYLOAD_REDACT_H

#include "base/buf.h"

#include <stdbool.h>

#define XH_MASK "* obfuscated *" /* the host's word in `params` */

/*
 * Does the key (plain text) say that its value is a credential? `ret_whole` tells whether the key names the credential itself ("apiToken"),
 * so that a number is one too, or only speaks of it ("tokenAge").
 */
bool key_is_secret(xh_str key, bool *ret_whole);

#endif
