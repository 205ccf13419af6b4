/*
 * One attempt: sends a body to a hook's URL with its headers and signature, follows 307 and 308, and says what became of it.
 * Loop thread only.
 */
#ifndef XH_DELIVERY_ATTEMPT_H
#define XH_DELIVERY_ATTEMPT_H

#include "delivery/transport.h"
#include "outbox/outbox.h"

typedef enum xh_result {
  XH_RESULT_DELIVERED, /* 2xx */
  XH_RESULT_FAILED,    /* anything else: worth another attempt */
  XH_RESULT_GONE,      /* 410: the hook is not wanted any more */
  XH_RESULT_NOT_SENT   /* for want of our own means: soon again, and nothing is burnt */
} xh_result;

typedef struct xh_outcome {
  xh_result result;
  bool target_down;      /* no answer, 429, 502, 503, 504: says something about the target, not about this delivery */
  int64_t retry_after_s; /* 0: not given */
  xh_attempt record;     /* `answer` is owned by whoever gets the outcome: take it (set NULL) or free it */
} xh_outcome;

typedef struct xh_attempt_run xh_attempt_run;
typedef void (*xh_outcome_cb)(void *arg, xh_outcome *outcome);

/*
 * Starts it. `hook` is referenced; `body` must stay until `done`, which is called once, later. `webhook_id` is copied,
 * `content_type` static. Returns 0 or XH_ENOMEM (then `done` is never called).
 */
int xh_attempt_start(xh_transport *transport, xh_hook *hook, const char *webhook_id, xh_str body,
                     const char *content_type, xh_outcome_cb done, void *arg, xh_attempt_run **ret_run);

/* Ends it; `done` is not called. */
void xh_attempt_cancel(xh_attempt_run *run);

/* Puts what a response means into words and decides: pure. `hops` is the number of redirects followed. `record` gets status,
 * fault and words; returns the result. */
xh_result xh_judge(const xh_response *response, const xh_hook *hook, unsigned hops, xh_attempt *record, bool *ret_target_down);

/* Do both URLs have the same scheme, host and port? Pure. */
bool xh_same_origin(const char *a, const char *b);

#endif
