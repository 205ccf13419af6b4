/*
 * `xo-hooks listen`: requests in; a line in the log, scripts, a spool, other URLs out. Loop thread only; it starts threads of its own for the
 * spool and for forwarding.
 */
#ifndef XH_RECEIVER_RECEIVER_H
#define XH_RECEIVER_RECEIVER_H

#include "receiver/line.h"
#include "receiver/server.h"

#include <uv.h>

enum { XH_FORWARDS_MAX = 16, XH_QUEUE_MAX = 10000 /* jobs in memory without a spool, for scripts and for each URL */ };

typedef struct xh_receiver xh_receiver;

/* Strings and arrays are borrowed for the receiver's life. */
typedef struct xh_receiver_options {
  xh_server_options server; /* its callbacks and held_bytes are set by the receiver */
  const char *scripts;      /* absolute path; NULL: none are run */
  bool scripts_optional;    /* while there is no such folder, events have no scripts; else they fail */
  const char *workdir;      /* NULL: ours */
  const char *const *pass_env;
  size_t pass_env_count;
  size_t running_max;
  int64_t script_limit_ms;
  bool serial; /* one at a time for each params.id */
  bool wait;   /* the answer is the outcome */
  const char *spool;      /* folder; NULL: none */
  int retry_max;          /* attempts after the first one, with a spool */
  int64_t retry_wait_ms;  /* before the second attempt; doubles each time, up to an hour */
  const char *const *forwards;
  size_t forward_count;
  int64_t forward_timeout_ms;
  const char *ca_file;
  bool verbose;
  xh_line_style style;
  /* Copies the event with its credentials masked to `out`, or leaves that empty when there are none. For the log only: the scripts get
   * what came. */
  int (*redact)(const xh_event *event, xh_buf *out);
  void *arg;
  void (*print)(void *arg, xh_str line);
  void (*stopped)(void *arg); /* after xh_receiver_stop; nothing is left running, the loop ends */
} xh_receiver_options;

/* Opens everything and listens. Returns 0, or a code with a sentence in `ret_why`. */
int xh_receiver_new(const xh_receiver_options *options, xh_receiver **ret_receiver, char *ret_why, size_t why_size);

int xh_receiver_port(const xh_receiver *receiver);

/* What waited in the spool at the start; `ret_unserved` of the pending ones are for scripts or URLs that this receiver does not serve, and
 * stay there. */
void xh_receiver_found(const xh_receiver *receiver, int64_t *ret_pending, int64_t *ret_failed, int64_t *ret_unserved);

/*
 * Takes no more requests, answers those it has, lets running scripts and forwardings come to their end (with `end`, ends them) and then calls
 * `stopped`. Jobs that wait in a spool stay there; without one they are run first, or with `end` dropped and counted in the log. May be
 * called again with `end`.
 */
void xh_receiver_stop(xh_receiver *receiver, bool end);

#endif
