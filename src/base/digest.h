/* SHA-256 (FIPS 180-4) of a text, as a name for it. Any thread. */
#ifndef XH_BASE_DIGEST_H
#define XH_BASE_DIGEST_H

#include "base/str.h"

enum { XH_DIGEST_SIZE = 65 };

/* Writes 64 lower case hex digits and the NUL. */
void xh_digest(xh_str text, char out[XH_DIGEST_SIZE]);

#endif
