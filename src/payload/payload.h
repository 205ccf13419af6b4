/*
 * The body of a request: (hook, event) → bytes. Pure; any thread.
 */
#ifndef XH_PAYLOAD_PAYLOAD_H
#define XH_PAYLOAD_PAYLOAD_H

#include "base/buf.h"
#include "hooks/hook.h"

typedef struct xh_payload {
  bool verbatim;            /* the body is the event's own bytes (event->raw); `body` was left empty */
  const char *content_type; /* static */
} xh_payload;

/*
 * Renders what `hook` sends for `event`. `source` is the name of the XO it came from (CloudEvents' source, cards).
 * `body` is an initialised buffer. Returns 0, XH_ENOMEM or XH_ECAP.
 */
int xh_payload_render(const xh_hook *hook, const xh_event *event, xh_str source, xh_payload *ret_payload, xh_buf *body);

/* What xh_payload_render would put into Content-Type for a format. Static. */
const char *xh_payload_content_type(xh_format format);

/*
 * Copies the event with every credential masked ("* obfuscated *", the host's word), other bytes unchanged. Returns 0 and
 * leaves `out` empty when there is nothing to mask.
 */
int xh_redact(const xh_event *event, xh_buf *out);

#endif
