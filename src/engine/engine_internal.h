/*
 * Shared by the engine's files: engine.c (life, sources), accept.c (an event's way), waiters.c (sources that wait), session.c (intake's
 * sink), calls.c (what can be asked), questions.c (what the report answers).
 */
#ifndef XH_ENGINE_ENGINE_INTERNAL_H
#define XH_ENGINE_ENGINE_INTERNAL_H

#include "base/map.h"
#include "base/ranges.h"
#include "delivery/dispatcher.h"
#include "engine/engine.h"
#include "report/report.h"

/* Where the events of one hook go. */
typedef struct route {
  int64_t hook_id;
  int64_t target_id;
} route;

typedef struct source {
  xh_engine *engine;
  int64_t id;
  char name[XH_SOURCE_NAME_MAX + 1];
  xh_hooks *hooks; /* NULL: none yet */
  route *routes;   /* by xh_hook.index */
  char session[64];
  unsigned generation;   /* of the session: each that takes over gets its own */
  xh_peer *session_peer; /* borrowed: its newest connection, NULL when that is gone */
  int64_t seq_seen;      /* highest number taken in during the session */
  int64_t seq_committed; /* highest number that is on disk, or will never be */
  xh_ranges refused;     /* numbers that were not taken though nothing is wrong with them: taken when they are sent again */
  int64_t event_count;
  int64_t bad_since_ms; /* monotonic; of refused lines, what the log has told since then, and how many more there were */
  unsigned bad_told;
  int64_t bad_untold;
} source;

typedef struct refusals {
  int64_t count[64]; /* by -code */
} refusals;

struct xh_engine {
  uv_loop_t *loop;
  xh_outbox *outbox;
  xh_transport *transport;
  xh_dispatcher *dispatcher;
  xh_report *report;
  xh_intake *intake;
  xh_sink sink;
  uv_async_t outbox_ready;
  uv_timer_t prune_timer;
  unsigned handles_open; /* and the question that is looked up */
  xh_map sources; /* name → source */
  struct pending *accepting_first, *accepting_last; /* events that are not committed yet */
  size_t accepting_bytes;
  size_t accepting_count;
  struct waiter *waiters; /* not answered yet */
  struct tested *tests;   /* running */
  struct question *questions; /* the first is looked up, the others wait */
  size_t question_count;
  bool paused;
  bool pruning;
  bool stopping;
  xh_hook **matched; /* scratch of one event */
  size_t matched_count, matched_room;
  bool match_failed; /* without memory */
  int64_t started_ms;
  int64_t event_count, unmatched_count, matched_total, duplicate_count;
  refusals refused;
  unsigned peers;
  void (*stopped)(void *arg);
  void *stopped_arg;
  void (*stdio_ended)(void *arg);
  void *stdio_arg;
};

/* engine.c */
source *engine_source(xh_engine *e, xh_str name); /* made when new; NULL without memory */
void engine_refused(xh_engine *e, int code);
void engine_plan_prune(xh_engine *e);

/* accept.c */
typedef struct incoming {
  source *source;
  const xh_event *event;
  xh_peer *peer; /* NULL: from within */
  int64_t id;    /* 0: nothing is answered */
  bool wait;
  bool numbered; /* its session keeps count */
  bool refused;
  xh_engine_event_cb done; /* NULL, or told instead of the peer */
  void *done_arg;
} incoming;
int engine_accept(xh_engine *e, const incoming *in); /* the number of hooks that fit, or a negative code */
/* The event was refused, and its source told: cumulative acknowledgements go past it in its turn. `in` needs no event. */
void engine_refuse(xh_engine *e, const incoming *in, int code);
bool engine_is_accepting(const xh_engine *e, const source *s, int64_t id); /* is that event of the session on its way to the disk? */

/* waiters.c */
typedef struct waiter waiter;
waiter *waiter_new(xh_engine *e, xh_peer *peer, int64_t id);
/* One more hook to wait for; the watch for its submission is put into `submission`. */
void waiter_add(waiter *w, const xh_hook *hook, xh_submission *submission);
/* A hook whose outcome is known already. */
void waiter_add_known(waiter *w, const xh_hook *hook, int64_t delivery_id, const char *words);
/* All hooks are in: answers at once when there is nothing to wait for, otherwise when all have ended or time is up. */
void waiter_begin(waiter *w);
/* All are answered: nobody watches the dispatcher after this. */
void engine_end_waiters(xh_engine *e);

/* session.c */
void engine_init_sink(xh_engine *e);

/* questions.c */
typedef struct question question;
typedef enum question_kind { ASK_DELIVERIES, ASK_DELIVERY, ASK_RETRY } question_kind;
void engine_ask(xh_engine *e, xh_peer *peer, int64_t id, question_kind kind, xh_str params); /* answers the peer, later */
void engine_end_questions(xh_engine *e); /* nobody reads the report after this; the engine is stopping */

/* calls.c */
xh_str engine_scope_of(const xh_peer *peer); /* the source that a connection may see; "" is all */
void engine_retry(xh_engine *e, xh_peer *peer, int64_t id, const int64_t *ids, size_t count);
void engine_end_tests(xh_engine *e); /* all are answered */
void engine_call(xh_engine *e, xh_peer *peer, int64_t id, xh_str name, xh_str params);
void engine_answer(xh_peer *peer, int64_t id, const xh_buf *result); /* {"id":…,"result":…} */

#endif
