/*
 * An event: one call of an XO API method, before (`pre`) or after (`post`) it ran. The properties are spans of the
 * source's own bytes, which a `json` request carries unchanged ("Request content" of XO's web hooks documentation).
 */
#ifndef XH_BASE_EVENT_H
#define XH_BASE_EVENT_H

#include "base/json_scan.h"
#include "base/str.h"

#include <stdint.h>

typedef enum xh_event_type { XH_PRE = 1, XH_POST = 2 } xh_event_type;

/* All spans point into `raw`; an absent property has a NULL pointer. Values are JSON text, strings with their quotes. */
typedef struct xh_event {
  xh_str raw; /* the whole object, without white space around it */
  xh_event_type type;
  xh_str method; /* plain text between the quotes: letters, digits and punctuation, never escaped */
  xh_str call_id;
  xh_str user_id;
  xh_str user_name;
  xh_str user_ip;
  xh_str params;
  xh_str timestamp;
  xh_str duration;
  xh_str result;
  xh_str error;
} xh_event;

typedef struct xh_event_fault {
  size_t offset; /* in the text, for JSON faults; 0 otherwise */
  char what[120];
} xh_event_fault;

enum { XH_METHOD_BYTES_MAX = 128 };

/*
 * Reads `text`, which must outlive the event. Returns 0, a code of xh_json_validate, or XH_EMISSING when `method` or `type` is
 * missing, or XH_EEVENT when it is valid JSON but no event: no object, `method` or `type` of another type or with other
 * values. `ret_fault` (may be NULL) then says what is wrong. Other properties are not judged.
 */
int xh_event_parse(xh_str text, xh_event *ret_event, xh_event_fault *ret_fault);

/* The same for text that is part of what xh_json_validate accepted already: saves the second scan of each line. */
int xh_event_from_valid(xh_str text, xh_event *ret_event, xh_event_fault *ret_fault);

static inline const char *xh_event_type_name(xh_event_type type)
{
  return type == XH_PRE ? "pre" : "post";
}

/* Has the call failed? Only for post events. */
static inline int xh_event_failed(const xh_event *event)
{
  return event->error.ptr != NULL;
}

#endif
