/*
 * What the main thread asks of the writer thread: one operation a wish, queued in order. An operation owns all it holds. After its
 * commit it comes back with its results, and its callback runs on the main thread.
 */
#ifndef XH_OUTBOX_OPERATION_H
#define XH_OUTBOX_OPERATION_H

#include "outbox/outbox.h"

typedef enum op_kind {
  OP_SOURCE,       /* a new source */
  OP_HOOK,         /* a new hook */
  OP_TARGET,       /* a new target */
  OP_HOOK_STOPPED, /* by a 410 */
  OP_TARGET_HELD,
  OP_ACCEPT,
  OP_SETTLE,
  OP_REFILL,
  OP_NEXT_DUE,
  OP_RETRY,
  OP_SHIFT,
  OP_PRUNE
} op_kind;

/* A growing set of ids, in the order they came. */
typedef struct id_list {
  int64_t *items;
  size_t count, room;
} id_list;

typedef struct op_identity {
  int64_t id;
  int64_t source_id; /* of a hook */
  int64_t wall_ms;   /* stopped, held */
  char *name;        /* source's name, hook's digest, target's hashed key */
  char *config, *label, *shown;
} op_identity;

typedef struct op_accept {
  int64_t source_id;
  char session[64];
  int64_t seq;
  int64_t progress; /* of the session, as it is stored: at most progress_max, and not past what the writer refused */
  int64_t progress_max;
  int64_t next_id; /* ids below are given out */
  xh_delivery *first; /* copies: the texts are owned, the blobs referenced */
  xh_accept_cb done;
} op_accept;

typedef struct op_refill {
  xh_refill ask;
  xh_refill_cb done;
  xh_delivery *list;
  bool more;
} op_refill;

typedef struct op_next_due {
  int64_t target_id;
  int64_t earliest_ms;
  xh_due_cb done;
} op_next_due;

/* How far a retry is. */
typedef struct retry_progress {
  size_t next_index; /* of ids: where the next step begins */
  int64_t after_id;  /* without ids: same */
  int64_t count;
  size_t target_count;
} retry_progress;

typedef struct op_retry {
  xh_retry_filter filter; /* ids owned */
  int64_t *ids;
  int64_t now_ms;
  retry_progress at;
  retry_progress committed; /* when the present step began */
  xh_retried *targets;
  size_t target_room;
  id_list hooks; /* started again */
  xh_retry_cb done;
} op_retry;

typedef struct op_prune {
  bool all_settled;
  int64_t before_ms;
  int64_t delivered_before_ms, dead_before_ms; /* what keeping times say */
  int64_t keep_bytes;
  int64_t count;
  xh_prune_cb done;
} op_prune;

typedef struct operation operation;
struct operation {
  operation *next;
  operation *next_early;
  op_kind kind;
  uint64_t number; /* in the order they were queued */
  size_t bytes; /* memory it holds, about */
  int rc;
  bool unfinished; /* did a step of its work; wants another turn */
  bool answered;   /* an accept whose callback ran (or will) before its commit, because the disk refuses */
  bool lost;       /* done, but the database that had it is damaged */
  void *arg;       /* of the callback */
  union {
    op_identity identity;
    op_accept accept;
    xh_settlement settle;
    op_refill refill;
    op_next_due next_due;
    op_retry retry;
    int64_t shift_ms;
    op_prune prune;
  } u;
};

typedef struct op_queue {
  operation *first, *last;
  size_t count;
} op_queue;

operation *op_new(op_kind kind); /* NULL without memory */
void op_free(operation *op);     /* NULL allowed */

void op_queue_put(op_queue *queue, operation *op);
operation *op_queue_take(op_queue *queue); /* NULL when empty */
void op_queue_join(op_queue *queue, op_queue *more); /* appends all of `more`, which is empty after */

void op_queue_free(op_queue *queue);                  /* with all that is in it */

/* Forgets what a step that was rolled back had found. The count of a prune that did steps before stays about right. */
void op_reset(operation *op);

/* Adds `id` unless it is the last one or in a short list already. Returns 0 or XH_ENOMEM. */
int id_list_add(id_list *list, int64_t id);
void id_list_done(id_list *list);

/* Copies the list of deliveries for an accept; adds the bytes it holds to `bytes`. NULL with XH_ENOMEM in `ret_rc`. */
xh_delivery *op_copy_deliveries(const xh_delivery *first, size_t *bytes, int *ret_rc);
void op_free_deliveries(xh_delivery *list);

#endif
