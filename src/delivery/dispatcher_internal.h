/* Shared by the dispatcher's files: dispatcher.c (life, submissions), flow.c (from ready to settled), refill.c (from the outbox). */
#ifndef XH_DELIVERY_DISPATCHER_INTERNAL_H
#define XH_DELIVERY_DISPATCHER_INTERNAL_H

#include "delivery/queue.h"

struct xh_dispatcher {
  uv_loop_t *loop;
  xh_transport *transport;
  xh_outbox *outbox;
  uv_timer_t calm; /* after a burst */
  uv_idle_t kick;  /* runs once soon: starts what may not start inside the caller */
  target *kicked_first, *kicked_last;
  xh_map targets; /* id → target */
  xh_map active;  /* delivery id → job in memory */
  xh_map hooks;   /* id → xh_hook, referenced */
  size_t burst_count; /* the most of them at once since memory was given back */
  unsigned in_flight;
  size_t ready_bytes; /* all jobs in memory */
  target *starved_first, *starved_last;
  int64_t clock_offset_ms; /* wall minus monotonic, as last seen */
  int64_t moved_ms;        /* sum of the wall clock's jumps */
  uint64_t random_state;
  int64_t put_off_logged_ms; /* monotonic; 0: never */
  bool started, stopping;
  uv_timer_t grace;
  void (*stopped)(void *arg);
  void *stopped_arg;
  unsigned handles_open;
};

/* dispatcher.c */
target *dispatcher_target(xh_dispatcher *d, int64_t target_id);
/* The hook of that id (borrowed). XH_ENOENT and XH_ECONFIG when it can't be had any more, other errors when it can't be had now. */
int dispatcher_hook(xh_dispatcher *d, int64_t hook_id, xh_hook **ret_hook);
const char *target_shown(const target *t); /* how logs and lists call it; borrowed */
void dispatcher_drop(xh_dispatcher *d, job *j); /* out of memory's books; frees it */
void target_wake_at(target *t, int64_t mono_ms); /* at the latest: target_check_time and target_plan then */
void dispatcher_check_stopped(xh_dispatcher *d);

/* flow.c */
void target_pump(target *t);
void dispatcher_feed_starved(xh_dispatcher *d);

/* refill.c */
/* Takes it. 0 when it is in memory now, 1 when it was; XH_ENOENT when its hook is lost; other errors: not now. */
int target_adopt(target *t, xh_delivery *delivery);
void target_again_from(target *t, int64_t delivery_id); /* what the outbox has from there on is read (again), in a second */
void target_refill(target *t);  /* asks the outbox for more when there is room and need */
void target_check_time(target *t, int64_t wall_ms, int64_t mono_ms); /* retries due, probes due */
void target_plan(target *t);    /* sets the timer for what comes next */
void target_retry_at(target *t, int64_t wall_ms); /* a retry in the outbox is due then */

#endif
