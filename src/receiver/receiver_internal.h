/*
 * What the files of the receiver share: receiver.c opens and closes it, arrivals.c takes requests and makes jobs of them, outcomes.c answers and
 * settles. Internal to src/receiver. Loop thread only.
 */
#ifndef XH_RECEIVER_RECEIVER_INTERNAL_H
#define XH_RECEIVER_RECEIVER_INTERNAL_H

#include "base/map.h"
#include "receiver/forward.h"
#include "receiver/receiver.h"
#include "receiver/runner.h"
#include "receiver/seen.h"
#include "receiver/spool.h"

enum { RUNNING_RETRY_S = 5, FULL_RETRY_S = 10 }; /* Retry-After */

/* A request that waits: for the spool's commit, or for the outcome of its jobs. */
typedef struct pending {
  struct pending *next, **link;
  xh_request *request;
  char *delivery;
  bool identified; /* the sender gave it an id, by which it is known again */
  size_t jobs;     /* whose outcome is still to come */
  bool failed, kept;
  xh_seen_state state;  /* the worst until now: a job that is tried again before one that failed for good */
  xh_job_outcome worst; /* the first failure */
  xh_buf tail;
} pending;

struct xh_receiver {
  xh_receiver_options options;
  uv_loop_t *loop;
  xh_server *server;
  xh_runner *runner;
  xh_forward *forward;
  xh_spool *spool;
  xh_seen *seen;
  xh_map waiting; /* spool_id → pending, with --wait */
  pending *pendings;
  const char *lanes[XH_FORWARDS_MAX + 1];
  size_t lane_count;
  size_t held_bytes;
  size_t adding; /* requests on their way to the disk */
  uint64_t serial_number;
  unsigned prefix; /* of the ids that we give */
  uv_timer_t stop_timer;
  bool stopping, ending;
  bool abandoned; /* those who waited were told so: jobs' waiters are gone */
  xh_buf line;
};

/* Prints what is in receiver->line and empties it. */
void receiver_print(xh_receiver *receiver);

/* What a repetition is told about a delivery; `job_state` as of xh_spool_db_each_seen. With --wait only. */
xh_seen_state receiver_seen_state(int job_state);

/* The state that a repetition of the request is answered by; nothing for a sender without ids. */
void receiver_remember(xh_receiver *receiver, const pending *p, xh_seen_state state);

/* NULL without memory. pending_free takes it out of the list; the request was answered before. */
pending *pending_new(xh_receiver *receiver, xh_request *request, const char *delivery);
void pending_free(pending *p);

/* {"ok":true,"delivery":…} with `more` (JSON text after a comma) in it. */
void receiver_answer_ok(xh_request *request, int status, const char *delivery, const char *more);

/* Takes the job: to its scripts or on its way. receiver_job_done follows, within this call when it can't be passed on. */
void receiver_start_job(xh_receiver *receiver, xh_job *job);

/* Callbacks; `arg` is the receiver. */
void receiver_on_request(void *arg, xh_request *request);
void receiver_on_refused(void *arg, int status, xh_str why, xh_str client);
void receiver_job_done(void *arg, xh_job *job, const xh_job_outcome *outcome);
void receiver_spool_turn(void *arg, size_t lane, xh_job *job);
void receiver_spool_added(void *arg, void *tag, int rc, const xh_job *jobs);
void receiver_spool_settled(void *arg, const char *delivery, int state);
void receiver_spool_trouble(void *arg, int rc);

#endif
