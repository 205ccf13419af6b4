/* What a hook sends of an event: `fields` and `dropStack`. Pure; internal to src/payload. */
#ifndef XH_PAYLOAD_FILTER_H
#define XH_PAYLOAD_FILTER_H

#include "base/buf.h"
#include "hooks/hook.h"

/* Writes the event with the properties that the hook wants; values keep their bytes. Returns 0, XH_ENOMEM or XH_ECAP. */
int filter_event(const xh_hook *hook, const xh_event *event, xh_buf *out);

#endif
