/*
 * What the two halves of the spool share: spool.c is the loop's (open, ask, close), spool_thread.c and spool_window.c the thread's (write, hand over; read).
 * Between them pass operations, owned by one half at a time, in two lists under the lock. Internal to src/receiver.
 */
#ifndef XH_RECEIVER_SPOOL_INTERNAL_H
#define XH_RECEIVER_SPOOL_INTERNAL_H

#include "base/map.h"
#include "receiver/spool.h"

typedef enum op_kind { OP_ADD, OP_DONE, OP_FAILED, OP_TURN, OP_SETTLED } op_kind;

/* What the loop asks of the thread; an add comes back as its own answer. Turns and settled deliveries are answers without a question. */
typedef struct op {
  struct op *next;
  op_kind kind;
  xh_job_list jobs; /* to add */
  char *delivery;
  void *tag;
  int rc;      /* of an add */
  int state;   /* of a settled delivery */
  xh_job *job; /* that ended, or whose turn it is */
  size_t lane;
  xh_spool_failure failure;
  char *error;
  char *tail; /* of the failure, copied */
} op;

typedef struct op_list {
  op *first, *last;
} op_list;

typedef struct lane {
  int64_t credits; /* jobs that may still be handed out; under the lock */
  /* the thread's from here on */
  int64_t cursor;
  bool more;      /* rows after the cursor may exist */
  int64_t due_ms; /* by the wall clock, not before it is a next attempt due; 0: look */
  bool room;      /* due_ms may be acted on: nothing due was left for want of room */
  op_list freed;  /* ended jobs of objects for which another one may be pending */
  xh_job_list loaded;
  xh_map busy;    /* the objects of jobs that are loaded or handed out */
  size_t out_count, out_bytes; /* loaded or handed out, and not ended */
  int64_t pending_at_start;
} lane;

struct xh_spool {
  xh_spool_options options;
  xh_spool_db *db; /* the thread's, once it runs */
  int lock_fd;
  uv_thread_t thread;
  uv_async_t wake;
  uv_fs_event_t watch; /* of XH_SPOOL_WAKE_FILE */
  int open_handles;
  uv_mutex_t lock;
  uv_cond_t work;
  op_list asked, answered; /* under the lock */
  lane *lanes;
  bool stopping, granted; /* under the lock */
  bool look;     /* another process has made jobs due; under the lock */
  bool watching; /* `look` will be set; under the lock */
  int state; /* of the database: 0, or why it refuses; under the lock */
  int told;  /* the state that the loop knows; under the lock */
  int64_t pending_at_start, failed_at_start;
  /* the thread's own */
  op_list held; /* ends of jobs that could not be written yet */
  xh_map out;   /* spool_id → out_job, of those that are loaded or handed out */
  int write_rc, load_rc; /* of the last try */
  int64_t last_look_ms, tidy_ms; /* monotonic; tidy_ms: INT64_MAX when there is nothing to tidy up */
  int64_t clock_ms;              /* what the wall clock is ahead of the monotonic one */
};

void spool_push(op_list *list, op *o);
op *spool_pop(op_list *list); /* NULL when empty */
void spool_free_op(op *o);

/* Rows of every lane may be unread. */
void spool_mark_more(xh_spool *spool);

/* The window: which jobs are loaded or handed out, and which come next. The thread's. */

/* Loads into the lane what there is room for. *ret_asked becomes true when the database was asked. */
int spool_window_load(xh_spool *spool, size_t index, bool *ret_asked);

/* The end of a job is written (takes the operation): it is out no more, and another one of its object may come. */
void spool_window_end(xh_spool *spool, op *o);

void spool_window_free(xh_spool *spool);

/* The thread, until `stopping`: then it writes what was asked and ends. */
void spool_thread_main(void *arg);

#endif
