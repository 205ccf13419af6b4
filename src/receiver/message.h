/*
 * What a request's body is: an event, a CloudEvent around one, or a card for a chat. Pure; any thread.
 */
#ifndef XH_RECEIVER_MESSAGE_H
#define XH_RECEIVER_MESSAGE_H

#include "base/buf.h"
#include "base/event.h"

typedef enum xh_message_kind {
  XH_MESSAGE_EVENT,
  XH_MESSAGE_CLOUDEVENT, /* one whose data is no event */
  XH_MESSAGE_OFFICE365,
  XH_MESSAGE_TEAMS,
  XH_MESSAGE_SLACK
} xh_message_kind;

typedef struct xh_message {
  xh_message_kind kind;
  bool enveloped; /* the event is the `data` of a CloudEvent */
  xh_event event; /* for XH_MESSAGE_EVENT */
  xh_str json;    /* the whole body without white space around it */
} xh_message;

/*
 * Reads `body`, which must outlive the message. Returns 0, a code of xh_json_validate for what is no JSON, or XH_EEVENT or
 * XH_EMISSING for JSON that is none of the kinds. `ret_fault` (may be NULL) then says why.
 */
int xh_message_parse(xh_str body, xh_message *ret_message, xh_event_fault *ret_fault);

/* "event", "cloudevents", "office365", "teams", "slack". Static. */
const char *xh_message_kind_name(xh_message_kind kind);

/* Appends the words of a card (titles, texts, facts) as one line of at most `cap_bytes`. */
void xh_message_words(const xh_message *message, size_t cap_bytes, xh_buf *out);

#endif
