#include "receiver/spool.h"

#include "base/clock.h"
#include "base/err.h"
#include "receiver/seen.h"

#include <stdlib.h>

enum { TICK_MS = 200, DUE_EVERY_MS = 100, PRUNE_EVERY_MS = 60000, HELD_WAIT_MS = 500 };

typedef enum op_kind { OP_ADD, OP_DONE, OP_FAILED } op_kind;

/* What the loop asks of the thread; an add comes back as its own answer. */
typedef struct op {
  struct op *next;
  op_kind kind;
  xh_job_list jobs; /* to add */
  char *delivery;
  void *tag;
  int rc;
  xh_job *job; /* that ended */
  size_t lane;
  xh_spool_failure failure;
  char *error, *tail;
} op;

typedef struct op_list {
  op *first, *last;
} op_list;

typedef struct lane {
  int64_t credits; /* jobs that may still be handed out; under the lock */
  int64_t cursor;  /* the thread's from here on */
  bool more;       /* rows after the cursor may exist */
  xh_job_list loaded;
} lane;

struct xh_spool {
  xh_spool_options options;
  xh_spool_db *db; /* the thread's, once it runs */
  uv_thread_t thread;
  uv_async_t wake;
  uv_mutex_t lock;
  uv_cond_t work;
  op_list asked, answered; /* under the lock */
  lane *lanes;
  bool stopping, granted;
  int state; /* of the database: 0, or why it refuses; under the lock */
  int told;  /* the state that the loop knows; under the lock */
  int64_t pending_at_start, failed_at_start;
  /* the thread's own */
  op_list held; /* ends of jobs that could not be written yet */
  int write_rc, load_rc; /* of the last try */
  int64_t last_due_ms, last_prune_ms;
};

static void push(op_list *list, op *o)
{
  o->next = NULL;
  if (list->last)
    list->last->next = o;
  else
    list->first = o;
  list->last = o;
}

static op *pop(op_list *list)
{
  op *o = list->first;
  if (!o)
    return NULL;
  list->first = o->next;
  if (!list->first)
    list->last = NULL;
  return o;
}

static void free_op(op *o)
{
  for (xh_job *job; (job = xh_job_list_pop(&o->jobs)) != NULL;)
    xh_job_free(job);
  xh_job_free(o->job);
  free(o->delivery);
  free(o->error);
  free(o->tail);
  free(o);
}

static void append_all(op_list *to, op_list *from)
{
  for (op *o; (o = pop(from)) != NULL;)
    push(to, o);
}

static int apply(xh_spool *spool, op *o, int64_t now_ms)
{
  if (o->kind == OP_DONE)
    return xh_spool_db_done(spool->db, o->job->spool_id);
  if (o->kind == OP_FAILED)
    return xh_spool_db_failure(spool->db, o->job->spool_id, &o->failure, now_ms);
  int rc = o->delivery ? xh_spool_db_add_seen(spool->db, o->delivery, now_ms) : 0;
  for (xh_job *job = o->jobs.first; job && rc == 0; job = job->next)
    rc = xh_spool_db_add(spool->db, job, now_ms);
  return rc;
}

/* One transaction for the whole list. */
static int write_list(xh_spool *spool, op_list *list)
{
  int64_t now_ms = xh_wall_ms();
  int rc = xh_spool_db_begin(spool->db);
  for (op *o = list->first; o && rc == 0; o = o->next)
    rc = apply(spool, o, now_ms);
  if (rc == 0)
    rc = xh_spool_db_commit(spool->db);
  else
    xh_spool_db_rollback(spool->db);
  return rc;
}

static void answer(xh_spool *spool, op *o, int rc)
{
  o->rc = rc;
  uv_mutex_lock(&spool->lock);
  push(&spool->answered, o);
  uv_mutex_unlock(&spool->lock);
}

/* The end of a job is written; whoever stood behind it may come. When that can't be read now, the end is written once more, later, which
 * changes nothing. */
static void settle(xh_spool *spool, op *o)
{
  lane *l = &spool->lanes[o->lane];
  int rc = 0;
  if (o->job->object && !(o->kind == OP_FAILED && o->failure.next_ms > 0))
    rc = xh_spool_db_load_behind(spool->db, spool->options.lanes[o->lane], o->job->object, l->cursor, &l->loaded);
  if (rc)
    push(&spool->held, o);
  else
    free_op(o);
}

static void update_state(xh_spool *spool)
{
  uv_mutex_lock(&spool->lock);
  spool->state = spool->write_rc ? spool->write_rc : spool->load_rc;
  uv_mutex_unlock(&spool->lock);
}

static void mark_more(xh_spool *spool)
{
  for (size_t i = 0; i < spool->options.lane_count; i++)
    spool->lanes[i].more = true;
}

/*
 * When the disk refuses, those who wait for an answer get it now, and the ends of jobs are kept until they can be written: a job that has run is not
 * run again as long as we live.
 */
static void write_batch(xh_spool *spool, op_list *batch)
{
  op_list adds = {NULL, NULL}, ends = {NULL, NULL};
  int rc = write_list(spool, batch);
  for (op *o; (o = pop(batch)) != NULL;)
    push(o->kind == OP_ADD ? &adds : &ends, o);
  if (adds.first && rc == 0)
    mark_more(spool);
  for (op *o; (o = pop(&adds)) != NULL;)
    answer(spool, o, rc);
  bool ends_written = rc == 0 || (ends.first && write_list(spool, &ends) == 0);
  if (ends_written)
    for (op *o; (o = pop(&ends)) != NULL;)
      settle(spool, o);
  append_all(&spool->held, &ends);
  spool->write_rc = rc;
  update_state(spool);
}

static int load_due(xh_spool *spool, size_t index, size_t room)
{
  lane *l = &spool->lanes[index];
  xh_job_list due = {NULL, NULL, 0};
  int rc = xh_spool_db_begin(spool->db);
  if (rc == 0)
    rc = xh_spool_db_load_due(spool->db, spool->options.lanes[index], xh_wall_ms(), l->cursor, room, &due);
  if (rc == 0)
    rc = xh_spool_db_commit(spool->db);
  xh_spool_db_rollback(spool->db);
  for (xh_job *job; (job = xh_job_list_pop(&due)) != NULL;)
    if (rc == 0)
      xh_job_list_push(&l->loaded, job);
    else
      xh_job_free(job); /* still due in the database */
  return rc;
}

static int load_lane(xh_spool *spool, size_t index, bool look_for_due, int64_t credits)
{
  lane *l = &spool->lanes[index];
  int rc = 0;
  if (look_for_due && credits > (int64_t)l->loaded.count)
    rc = load_due(spool, index, (size_t)credits - l->loaded.count);
  if (rc == 0 && l->more && credits > (int64_t)l->loaded.count) {
    size_t before = l->loaded.count;
    rc = xh_spool_db_load(spool->db, spool->options.lanes[index], &l->cursor, (size_t)credits - before, XH_SPOOL_LOAD_BYTES, &l->loaded);
    l->more = rc != 0 || l->loaded.count > before;
  }
  return rc;
}

static void load(xh_spool *spool)
{
  int64_t now_ms = xh_mono_ms();
  bool look_for_due = now_ms - spool->last_due_ms >= DUE_EVERY_MS;
  int rc = 0;
  if (look_for_due)
    spool->last_due_ms = now_ms;
  for (size_t i = 0; i < spool->options.lane_count; i++) {
    uv_mutex_lock(&spool->lock);
    int64_t credits = spool->lanes[i].credits;
    uv_mutex_unlock(&spool->lock);
    int lane_rc = load_lane(spool, i, look_for_due, credits);
    rc = rc ? rc : lane_rc;
  }
  if (rc || look_for_due) { /* otherwise nothing may have been asked of the database */
    spool->load_rc = rc;
    update_state(spool);
  }
  if (now_ms - spool->last_prune_ms >= PRUNE_EVERY_MS) {
    spool->last_prune_ms = now_ms;
    xh_spool_db_each_seen(spool->db, xh_wall_ms() - XH_SEEN_KEEP_MS, NULL, NULL);
    xh_spool_db_shrink(spool->db);
  }
}

/* What was loaded goes to the loop as answers without a question. */
static bool hand_over(xh_spool *spool)
{
  bool any = false;
  for (size_t i = 0; i < spool->options.lane_count; i++) {
    lane *l = &spool->lanes[i];
    while (l->loaded.first) {
      op *o = calloc(1, sizeof *o);
      if (!o)
        break; /* stays loaded until there is memory */
      o->kind = OP_DONE;
      o->lane = i;
      o->job = xh_job_list_pop(&l->loaded);
      uv_mutex_lock(&spool->lock);
      l->credits--;
      push(&spool->answered, o);
      uv_mutex_unlock(&spool->lock);
      any = true;
    }
  }
  return any;
}

static void wait_for_work(xh_spool *spool)
{
  if (!spool->asked.first && !spool->stopping && !spool->granted)
    uv_cond_timedwait(&spool->work, &spool->lock, (uint64_t)(spool->held.first ? HELD_WAIT_MS : TICK_MS) * 1000000);
  spool->granted = false;
}

static void thread_main(void *arg)
{
  xh_spool *spool = arg;
  for (;;) {
    uv_mutex_lock(&spool->lock);
    wait_for_work(spool);
    bool stopping = spool->stopping && !spool->asked.first;
    op_list batch = spool->held;
    spool->held = (op_list){NULL, NULL};
    append_all(&batch, &spool->asked);
    uv_mutex_unlock(&spool->lock);
    if (batch.first)
      write_batch(spool, &batch);
    if (stopping)
      break;
    load(spool);
    bool any = hand_over(spool);
    uv_mutex_lock(&spool->lock);
    any = any || spool->answered.first || spool->state != spool->told;
    uv_mutex_unlock(&spool->lock);
    if (any)
      uv_async_send(&spool->wake);
  }
}

static void on_wake(uv_async_t *handle)
{
  xh_spool *spool = handle->data;
  const xh_spool_options *options = &spool->options;
  uv_mutex_lock(&spool->lock);
  op_list answered = spool->answered;
  spool->answered = (op_list){NULL, NULL};
  int state = spool->state;
  bool changed = state != spool->told;
  spool->told = state;
  uv_mutex_unlock(&spool->lock);
  if (changed)
    options->trouble(options->arg, state);
  for (op *o; (o = pop(&answered)) != NULL; free_op(o)) {
    if (o->kind == OP_ADD) {
      options->added(options->arg, o->tag, o->rc, o->jobs.first);
    } else {
      xh_job *job = o->job;
      o->job = NULL;
      options->turn(options->arg, o->lane, job);
    }
  }
}

static void free_spool(uv_handle_t *handle)
{
  xh_spool *spool = handle->data;
  free(spool->lanes);
  free(spool);
}

static int open_db(xh_spool *spool)
{
  const xh_spool_options *options = &spool->options;
  int rc = xh_spool_db_open(options->folder, true, &spool->db);
  if (rc == 0)
    rc = xh_spool_db_count(spool->db, &spool->pending_at_start, &spool->failed_at_start);
  if (rc == 0)
    rc = xh_spool_db_each_seen(spool->db, options->seen_since_ms, options->seen, options->arg);
  return rc;
}

/* With `wake` open, everything else is freed with it on the loop. */
static int start_thread(xh_spool *spool)
{
  if (uv_mutex_init(&spool->lock) != 0)
    return XH_ENOMEM;
  if (uv_cond_init(&spool->work) != 0) {
    uv_mutex_destroy(&spool->lock);
    return XH_ENOMEM;
  }
  if (uv_thread_create(&spool->thread, thread_main, spool) != 0) {
    uv_cond_destroy(&spool->work);
    uv_mutex_destroy(&spool->lock);
    return XH_ENOMEM;
  }
  return 0;
}

int xh_spool_open(const xh_spool_options *options, xh_spool **ret_spool)
{
  xh_spool *spool = calloc(1, sizeof *spool);
  if (!spool)
    return XH_ENOMEM;
  spool->options = *options;
  spool->lanes = calloc(options->lane_count, sizeof *spool->lanes);
  spool->wake.data = spool;
  spool->last_prune_ms = xh_mono_ms();
  int rc = spool->lanes ? open_db(spool) : XH_ENOMEM;
  if (rc == 0 && uv_async_init(options->loop, &spool->wake, on_wake) != 0)
    rc = XH_EIO;
  if (rc) {
    xh_spool_db_close(spool->db);
    free_spool((uv_handle_t *)&spool->wake);
    return rc;
  }
  mark_more(spool);
  rc = start_thread(spool);
  if (rc) {
    xh_spool_db_close(spool->db);
    uv_close((uv_handle_t *)&spool->wake, free_spool);
    return rc;
  }
  *ret_spool = spool;
  return 0;
}

void xh_spool_found(const xh_spool *spool, int64_t *ret_pending, int64_t *ret_failed)
{
  *ret_pending = spool->pending_at_start;
  *ret_failed = spool->failed_at_start;
}

static void ask(xh_spool *spool, op *o)
{
  uv_mutex_lock(&spool->lock);
  push(&spool->asked, o);
  uv_cond_signal(&spool->work);
  uv_mutex_unlock(&spool->lock);
}

int xh_spool_add(xh_spool *spool, xh_job_list *jobs, const char *delivery, void *tag)
{
  op *o = calloc(1, sizeof *o);
  if (!o)
    return XH_ENOMEM;
  o->kind = OP_ADD;
  o->delivery = delivery ? strdup(delivery) : NULL;
  if (delivery && !o->delivery) {
    free(o);
    return XH_ENOMEM;
  }
  o->tag = tag;
  o->jobs = *jobs;
  *jobs = (xh_job_list){NULL, NULL, 0};
  ask(spool, o);
  return 0;
}

void xh_spool_grant(xh_spool *spool, size_t index, size_t count)
{
  uv_mutex_lock(&spool->lock);
  spool->lanes[index].credits += (int64_t)count;
  spool->granted = true;
  uv_cond_signal(&spool->work);
  uv_mutex_unlock(&spool->lock);
}

void xh_spool_done(xh_spool *spool, size_t index, xh_job *job)
{
  op *o = calloc(1, sizeof *o);
  if (!o) { /* it will run again after a restart: at least once */
    xh_job_free(job);
    return;
  }
  o->kind = OP_DONE;
  o->lane = index;
  o->job = job;
  ask(spool, o);
}

void xh_spool_failed(xh_spool *spool, size_t index, xh_job *job, const xh_spool_failure *failure)
{
  op *o = calloc(1, sizeof *o);
  if (!o) {
    xh_job_free(job);
    return;
  }
  o->kind = OP_FAILED;
  o->lane = index;
  o->job = job;
  o->error = failure->error ? strdup(failure->error) : NULL;
  o->tail = failure->tail ? strdup(failure->tail) : NULL;
  o->failure = (xh_spool_failure){
      .attempts = failure->attempts, .next_ms = failure->next_ms, .resume = job->resume, .error = o->error, .tail = o->tail};
  ask(spool, o);
}

static void drop_list(op_list *list)
{
  for (op *o; (o = pop(list)) != NULL;)
    free_op(o);
}

void xh_spool_close(xh_spool *spool)
{
  if (!spool)
    return;
  uv_mutex_lock(&spool->lock);
  spool->stopping = true;
  uv_cond_signal(&spool->work);
  uv_mutex_unlock(&spool->lock);
  uv_thread_join(&spool->thread);
  op_list left = spool->answered;
  spool->answered = (op_list){NULL, NULL};
  for (op *o; (o = pop(&left)) != NULL; free_op(o))
    if (o->kind == OP_ADD)
      spool->options.added(spool->options.arg, o->tag, o->rc, o->jobs.first);
  drop_list(&spool->held);
  for (size_t i = 0; i < spool->options.lane_count; i++)
    for (xh_job *job; (job = xh_job_list_pop(&spool->lanes[i].loaded)) != NULL;)
      xh_job_free(job);
  xh_spool_db_close(spool->db);
  uv_cond_destroy(&spool->work);
  uv_mutex_destroy(&spool->lock);
  uv_close((uv_handle_t *)&spool->wake, free_spool);
}
