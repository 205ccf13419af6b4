#include "receiver/spool_internal.h"

#include "base/clock.h"
#include "receiver/seen.h"

#include <stdlib.h>

enum { TICK_MS = 200, LOOK_EVERY_MS = 100, PRUNE_EVERY_MS = 60000, HELD_WAIT_MS = 500 };

static void append_all(op_list *to, op_list *from)
{
  for (op *o; (o = spool_pop(from)) != NULL;)
    spool_push(to, o);
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

static void answer(xh_spool *spool, op *o)
{
  uv_mutex_lock(&spool->lock);
  spool_push(&spool->answered, o);
  uv_mutex_unlock(&spool->lock);
}

/* What has become of the delivery of a job that ended. Without memory for it, a repetition is told to come later until a restart. */
static void tell_settled(xh_spool *spool, const xh_job *job)
{
  op *o = spool->options.settled ? calloc(1, sizeof *o) : NULL;
  if (!o)
    return;
  o->kind = OP_SETTLED;
  o->delivery = strdup(job->delivery);
  if (o->delivery && xh_spool_db_state(spool->db, job->delivery, &o->state) == 0)
    answer(spool, o);
  else
    spool_free_op(o);
}

static void update_state(xh_spool *spool)
{
  uv_mutex_lock(&spool->lock);
  spool->state = spool->write_rc ? spool->write_rc : spool->load_rc;
  uv_mutex_unlock(&spool->lock);
}

void spool_mark_more(xh_spool *spool)
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
  for (op *o; (o = spool_pop(batch)) != NULL;)
    spool_push(o->kind == OP_ADD ? &adds : &ends, o);
  if (adds.first && rc == 0)
    spool_mark_more(spool);
  for (op *o; (o = spool_pop(&adds)) != NULL;) {
    o->rc = rc;
    answer(spool, o);
  }
  bool ends_written = rc == 0 || (ends.first && write_list(spool, &ends) == 0);
  if (ends_written)
    for (op *o; (o = spool_pop(&ends)) != NULL;) {
      tell_settled(spool, o->job);
      spool_window_end(spool, o);
    }
  append_all(&spool->held, &ends);
  spool->write_rc = rc;
  update_state(spool);
}

static void load(xh_spool *spool)
{
  int64_t now_ms = xh_mono_ms();
  bool asked = false, look = now_ms - spool->last_look_ms >= LOOK_EVERY_MS; /* for what another process has changed */
  int rc = 0;
  spool->last_look_ms = look ? now_ms : spool->last_look_ms;
  for (size_t i = 0; i < spool->options.lane_count; i++) {
    spool->lanes[i].due_ms = look ? 0 : spool->lanes[i].due_ms;
    int lane_rc = spool_window_load(spool, i, &asked);
    rc = rc ? rc : lane_rc;
  }
  if (asked) {
    spool->load_rc = rc;
    update_state(spool);
  }
  if (now_ms - spool->last_prune_ms >= PRUNE_EVERY_MS) {
    spool->last_prune_ms = now_ms;
    xh_spool_db_each_seen(spool->db, xh_wall_ms() - XH_SEEN_KEEP_MS, NULL, NULL);
    xh_spool_db_shrink(spool->db);
  }
}

static void hand_over(xh_spool *spool)
{
  for (size_t i = 0; i < spool->options.lane_count; i++) {
    lane *l = &spool->lanes[i];
    while (l->loaded.first) {
      op *o = calloc(1, sizeof *o);
      if (!o)
        break; /* stays loaded until there is memory */
      o->kind = OP_TURN;
      o->lane = i;
      o->job = xh_job_list_pop(&l->loaded);
      uv_mutex_lock(&spool->lock);
      l->credits--;
      spool_push(&spool->answered, o);
      uv_mutex_unlock(&spool->lock);
    }
  }
}

static void wait_for_work(xh_spool *spool)
{
  if (!spool->asked.first && !spool->stopping && !spool->granted)
    uv_cond_timedwait(&spool->work, &spool->lock, (uint64_t)(spool->held.first ? HELD_WAIT_MS : TICK_MS) * 1000000);
  spool->granted = false;
}

void spool_thread_main(void *arg)
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
    hand_over(spool);
    uv_mutex_lock(&spool->lock);
    bool any = spool->answered.first || spool->state != spool->told;
    uv_mutex_unlock(&spool->lock);
    if (any)
      uv_async_send(&spool->wake);
  }
}
