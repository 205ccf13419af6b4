/*
 * The dispatcher: gives each accepted delivery its attempts. It keeps a bounded queue for each target, refills it from the
 * outbox, limits what runs at once, holds targets that are down, and tells the outbox what became of each attempt.
 *
 * Memory is bounded whatever the backlog: a target has at most XH_READY_COUNT_MAX deliveries in memory, all together at most
 * XH_READY_BYTES_MAX; the rest stays in the outbox. Loop thread only.
 */
#ifndef XH_DELIVERY_DISPATCHER_H
#define XH_DELIVERY_DISPATCHER_H

#include "delivery/attempt.h"
#include "outbox/outbox.h"
#include "outbox/webhook_id.h"

enum {
  XH_IN_FLIGHT_MAX = 256,       /* attempts running at once, in all, */
  XH_IN_FLIGHT_FIRST_MAX = 512, /* but for a target's only one: silent targets may not use up the places of those that answer */
  XH_TARGET_IN_FLIGHT_MAX = 16, /* and for one target */
  XH_TARGET_WINDOW_FIRST = 4,   /* a target that is not known yet starts with so many */
  XH_READY_COUNT_MAX = 4096,
  XH_READY_BYTES_MAX = 32 * 1024 * 1024
};

typedef struct xh_dispatcher xh_dispatcher;

typedef struct xh_dispatcher_options {
  uv_loop_t *loop;
  xh_transport *transport; /* borrowed */
  xh_outbox *outbox;       /* borrowed */
} xh_dispatcher_options;

/* Takes over the outbox's backlog at once: xh_dispatcher_start then begins to send. */
int xh_dispatcher_new(const xh_dispatcher_options *options, xh_dispatcher **ret_dispatcher);
void xh_dispatcher_start(xh_dispatcher *dispatcher);

/* Starts nothing new; when what runs has ended, or after `grace_ms`, the rest is cancelled (it stays pending in the outbox), and `done`
 * is called from the loop. xh_dispatcher_free after that. */
void xh_dispatcher_stop(xh_dispatcher *dispatcher, int64_t grace_ms, void (*done)(void *arg), void *arg);
void xh_dispatcher_free(xh_dispatcher *dispatcher);

/* Makes a hook and its target known under their outbox ids; references the hook. Hooks not made known are compiled from the outbox when
 * needed. Returns 0 or XH_ENOMEM. */
int xh_dispatcher_set_hook(xh_dispatcher *dispatcher, int64_t hook_id, int64_t target_id, xh_hook *hook);

/* The end of a delivery's first attempt here. Strings are borrowed for the call. */
typedef struct xh_first_attempt {
  int64_t delivery_id;
  bool delivered;
  int http_status;
  int64_t duration_ms;
  const char *words;
} xh_first_attempt;
typedef void (*xh_watch_cb)(void *arg, const xh_first_attempt *first);

typedef struct xh_submission {
  xh_delivery *delivery; /* taken */
  bool durable;          /* committed (or about to be): it may be dropped from memory and read again */
  bool urgent;           /* its source waits: before all others, and at once */
  xh_watch_cb watch;     /* NULL: nobody waits. Called once, later, unless xh_dispatcher_unwatch comes first */
  void *watch_arg;
} xh_submission;
void xh_dispatcher_submit(xh_dispatcher *dispatcher, const xh_submission *submission);
void xh_dispatcher_unwatch(xh_dispatcher *dispatcher, int64_t delivery_id);

/*
 * The wall clock now. When it was set since it was last read, all that waits is moved along first: waits and expiry go on as if the clock
 * had not been touched. xh_dispatcher_moved_ms is by how much in all, for what waits elsewhere.
 */
int64_t xh_dispatcher_now_ms(xh_dispatcher *dispatcher);
int64_t xh_dispatcher_moved_ms(const xh_dispatcher *dispatcher);

/* Is the target held? Then when did that begin (wall clock), otherwise 0. */
int64_t xh_dispatcher_held_since(const xh_dispatcher *dispatcher, int64_t target_id);

/* Are there deliveries of the target in the outbox that were never in memory? What came before may be among them. */
bool xh_dispatcher_is_behind(const xh_dispatcher *dispatcher, int64_t target_id);

/* Deliveries of the target were made due by hand, `revived_count` of them were dead: looks for them now, a held target is probed now. */
void xh_dispatcher_look(xh_dispatcher *dispatcher, int64_t target_id, int64_t revived_count);

/* Puts the ids of up to `most` deliveries with a running attempt into `ids`, in no order; returns how many there are. */
size_t xh_dispatcher_sending(const xh_dispatcher *dispatcher, int64_t *ids, size_t most);

/* Pending deliveries that ended without an attempt of ours (pruned, settled by the engine). */
void xh_dispatcher_forget(xh_dispatcher *dispatcher, int64_t target_id, int64_t count);

/* The outbox lost what it had stored: what is in memory goes on from there, the rest is not pending any more. */
void xh_dispatcher_outbox_lost(xh_dispatcher *dispatcher);

typedef struct xh_target_report {
  int64_t target_id;
  const char *url_shown;
  int64_t pending_count;
  unsigned in_flight;
  int64_t held_since_ms;    /* 0: not held */
  int64_t failing_since_ms; /* 0: it answers well */
  int64_t next_probe_in_ms; /* only when held */
} xh_target_report;
void xh_dispatcher_report(const xh_dispatcher *dispatcher, void (*each)(void *arg, const xh_target_report *report), void *arg);

typedef struct xh_dispatcher_stats {
  unsigned in_flight;
  size_t ready_count, ready_bytes;
  int64_t pending_count;
  size_t held_targets;
} xh_dispatcher_stats;
void xh_dispatcher_get_stats(const xh_dispatcher *dispatcher, xh_dispatcher_stats *ret_stats);

#endif
