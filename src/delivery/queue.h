/*
 * Inside the dispatcher: jobs (deliveries in memory) and the queue of one target. Decisions and lists, no I/O.
 */
#ifndef XH_DELIVERY_QUEUE_H
#define XH_DELIVERY_QUEUE_H

#include "base/map.h"
#include "delivery/dispatcher.h"
#include "delivery/schedule.h"

#include <uv.h>

typedef struct job job;
typedef struct target target;

typedef struct job_list {
  job *first, *last;
  size_t count;
} job_list;

/* It is in one list of its target at a time, or in the followers of another job. */
struct job {
  job *prev, *next;
  xh_delivery *delivery; /* owned */
  target *target;
  xh_hook *hook; /* referenced */
  xh_attempt_run *run;
  job_list followers; /* post events of the same call: not before this pre event's first attempt has ended */
  bool durable, urgent;
  bool is_probe; /* its attempt tells how a held target is */
  int64_t due_ms; /* when deferred: wall clock */
  xh_watch_cb watch;
  void *watch_arg;
};

struct target {
  int64_t id;
  xh_dispatcher *dispatcher;
  xh_breaker breaker;
  unsigned window; /* attempts that may run at once */
  unsigned in_flight;
  job_list ready;    /* by id, urgent ones first */
  job_list sending;
  job_list deferred; /* they wait here: failed ones that are not on disk (it refuses), and those that were put off */
  job_list behind;   /* post events that are not on disk, whose pre events may be there: until the target has caught up with the outbox */
  size_t ready_bytes;
  int64_t pending_count;
  /* Fresh deliveries up to `cursor` are in memory or done; with `overflow` there are more in the outbox. */
  int64_t cursor;
  bool overflow;
  bool pre_left; /* with `overflow`: pre events are among them */
  bool dropped_since_refill;
  bool refilling;
  /* Deliveries that left memory while the outbox was asked for more: what it had read of them before is old. */
  xh_map gone;
  bool gone_lost; /* without memory to note them: the whole answer is void */
  int64_t due_ms; /* wall clock of the earliest retry in the outbox; 0: none known */
  bool asking_due;
  int64_t refill_moved_ms, due_moved_ms; /* the clock's jumps when the outbox was asked */
  bool adopted_last; /* the last answer of the outbox held something that was not in memory */
  int64_t held_since_ms, failing_since_ms;
  int64_t logged_mono_ms;
  bool logged_down;
  uv_timer_t timer;    /* for what comes next: a retry, a probe, another look at the outbox */
  bool has_timer;      /* it was initialised */
  int64_t timer_at_ms; /* monotonic; INT64_MAX: not set */
  bool kicked;         /* in the dispatcher's list of those that may have something to start */
  target *next_kicked;
  bool starved; /* in the dispatcher's list of those that wait for a free place */
  target *next_starved;
};

void job_list_append(job_list *list, job *j);
void job_list_prepend(job_list *list, job *j);
void job_list_remove(job_list *list, job *j);
job *job_list_take(job_list *list); /* the first, or NULL */

/* A job of the target; takes the delivery, references the hook. NULL without memory (the delivery is freed). */
job *job_new(target *t, xh_delivery *delivery, xh_hook *hook);
void job_free(job *j); /* not its followers */
size_t job_bytes(const xh_delivery *delivery); /* the memory that it takes as a job */

/* Into the ready queue: urgent ones and returning ones first, others last. Keeps the byte count. */
void target_make_ready(target *t, job *j, bool first);
void target_unready(target *t, job *j);

/* The clock was set: the delivery's expiry and its next attempt move with it. */
void delivery_move(xh_delivery *delivery, int64_t jump_ms);

/* Notes that a delivery leaves memory; asks whether it did since the outbox was asked; forgets all. */
void target_note_gone(target *t, int64_t delivery_id);
bool target_is_gone(const target *t, int64_t delivery_id);
void target_forget_gone(target *t);

/* Has it room for another delivery of `bytes`? */
bool target_has_room(const target *t, size_t bytes);

/* The pre event of the same call, its first attempt running or put off, that `j` (a post event) must not overtake, or NULL. */
job *target_leader_of(const target *t, const job *j);

/* When `j`, the first that is ready, is an urgent post event and its pre event stands behind it: that becomes urgent too and the first.
 * True then. */
bool target_hurry_leader(target *t, const job *j);

/* May another attempt start? `now_ms` is monotonic. */
bool target_may_start(const target *t, const job *j, int64_t now_ms);

#endif
