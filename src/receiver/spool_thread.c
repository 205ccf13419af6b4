#include "receiver/spool_internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "receiver/seen.h"

#include <stdlib.h>

enum {
  AGAIN_MS = 500,             /* after the disk, or memory, refused */
  BLIND_LOOK_MS = 1000,       /* when the folder can't be watched */
  CLOCK_LOOK_MS = 60 * 1000,  /* while a job waits for its time: the clock may be set */
  TIDY_MS = 60 * 1000,        /* between two */
  TIDY_REST_MS = 3600 * 1000, /* with nothing to do but to forget */
};

static int64_t earlier(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

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
 * When the disk refuses, or the file is gone, those who wait for an answer get it now, and the ends of jobs are kept until they can be written: a job that has run is not
 * run again as long as we live.
 */
static void write_batch(xh_spool *spool, op_list *batch)
{
  op_list adds = {NULL, NULL}, ends = {NULL, NULL};
  int rc = xh_spool_db_is_gone(spool->db) ? XH_ENOENT : write_list(spool, batch);
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
  if (rc == 0)
    spool->tidy_ms = earlier(spool->tidy_ms, xh_mono_ms() + TIDY_MS);
  spool->write_rc = rc;
  update_state(spool);
}

/* Dates in the database are of the wall clock, and that can be set. At the start, too. */
static void check_clock(xh_spool *spool)
{
  int64_t now_ms = xh_wall_ms(), clock_ms = now_ms - xh_mono_ms();
  if (clock_ms - spool->clock_ms < XH_CLOCK_JUMP_MS && spool->clock_ms - clock_ms < XH_CLOCK_JUMP_MS)
    return;
  if (xh_spool_db_pull_in(spool->db, now_ms + XH_SPOOL_WAIT_MAX_MS + XH_CLOCK_JUMP_MS) != 0)
    return; /* looked at again with the next turn */
  spool->clock_ms = clock_ms;
  for (size_t i = 0; i < spool->options.lane_count; i++)
    spool->lanes[i].due_ms = 0;
}

/* Has another process changed anything? */
static void check_others(xh_spool *spool)
{
  int64_t now_ms = xh_mono_ms();
  uv_mutex_lock(&spool->lock);
  bool look = spool->look || (!spool->watching && now_ms - spool->last_look_ms >= BLIND_LOOK_MS);
  spool->look = false;
  uv_mutex_unlock(&spool->lock);
  if (!look)
    return;
  spool->last_look_ms = now_ms;
  for (size_t i = 0; i < spool->options.lane_count; i++)
    spool->lanes[i].due_ms = 0;
}

static void load(xh_spool *spool)
{
  bool asked = false;
  int rc = 0;
  for (size_t i = 0; i < spool->options.lane_count; i++) {
    int lane_rc = spool_window_load(spool, i, &asked);
    rc = rc ? rc : lane_rc;
  }
  if (asked) {
    spool->load_rc = rc;
    update_state(spool);
  }
}

static void tidy(xh_spool *spool)
{
  int64_t now_ms = xh_mono_ms(), oldest_ms;
  bool more;
  if (now_ms < spool->tidy_ms)
    return;
  if (xh_spool_db_tidy(spool->db, xh_wall_ms() - XH_SEEN_KEEP_MS, &more, &oldest_ms) != 0 || more)
    spool->tidy_ms = now_ms + TIDY_MS;
  else
    spool->tidy_ms = oldest_ms < INT64_MAX ? now_ms + TIDY_REST_MS : INT64_MAX;
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

/* Until something is to be done that nobody asks for; INT64_MAX: nothing is. */
static int64_t rest_ms(const xh_spool *spool, bool watching)
{
  int64_t now_ms = xh_wall_ms(), rest = watching ? INT64_MAX : BLIND_LOOK_MS;
  if (spool->held.first || spool->load_rc)
    rest = earlier(rest, AGAIN_MS);
  for (size_t i = 0; i < spool->options.lane_count; i++) {
    const lane *l = &spool->lanes[i];
    if (l->loaded.first)
      rest = earlier(rest, AGAIN_MS);
    if (l->room && l->due_ms < INT64_MAX)
      rest = earlier(rest, earlier(l->due_ms > now_ms ? l->due_ms - now_ms : 0, CLOCK_LOOK_MS));
  }
  int64_t mono_ms = xh_mono_ms();
  return spool->tidy_ms == INT64_MAX ? rest : earlier(rest, spool->tidy_ms > mono_ms ? spool->tidy_ms - mono_ms : 0);
}

static void wait_for_work(xh_spool *spool)
{
  if (!spool->asked.first && !spool->stopping && !spool->granted && !spool->look) {
    int64_t rest = rest_ms(spool, spool->watching);
    if (rest == INT64_MAX)
      uv_cond_wait(&spool->work, &spool->lock);
    else
      uv_cond_timedwait(&spool->work, &spool->lock, (uint64_t)rest * 1000000);
  }
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
    check_clock(spool);
    check_others(spool);
    load(spool);
    tidy(spool);
    hand_over(spool);
    uv_mutex_lock(&spool->lock);
    bool any = spool->answered.first || spool->state != spool->told;
    uv_mutex_unlock(&spool->lock);
    if (any)
      uv_async_send(&spool->wake);
  }
}
