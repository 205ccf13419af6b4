#include "receiver/spool_internal.h"

#include "base/clock.h"
#include "base/err.h"

#include <stdlib.h>

/* A job that is loaded or handed out. */
typedef struct out_job {
  size_t lane, bytes;
  char *object; /* NULL: none */
} out_job;

/* The taker's `arg`: a lane that is being filled. */
typedef struct filling {
  xh_spool *spool;
  size_t index;
  int64_t credits;
} filling;

static void free_out(void *value)
{
  out_job *out = value;
  free(out->object);
  free(out);
}

static bool is_out(void *arg, int64_t id, const char *object)
{
  const filling *f = arg;
  return xh_map_get_id(&f->spool->out, id) || (object && xh_map_get(&f->spool->lanes[f->index].busy, xh_str_z(object)));
}

static bool fits(void *arg, size_t body_bytes)
{
  const filling *f = arg;
  const lane *l = &f->spool->lanes[f->index];
  return f->credits > (int64_t)l->loaded.count && (l->out_count == 0 || l->out_bytes + body_bytes <= f->spool->options.window_bytes);
}

static int take(void *arg, xh_job *job)
{
  const filling *f = arg;
  lane *l = &f->spool->lanes[f->index];
  out_job *out = calloc(1, sizeof *out);
  if (!out)
    return XH_ENOMEM;
  *out = (out_job){.lane = f->index, .bytes = job->body_len, .object = job->object ? strdup(job->object) : NULL};
  if ((job->object && !out->object) || xh_map_set_id(&f->spool->out, job->spool_id, out) != 0) {
    free_out(out);
    return XH_ENOMEM;
  }
  if (out->object && xh_map_set(&l->busy, xh_str_z(out->object), out) != 0) {
    xh_map_remove_id(&f->spool->out, job->spool_id);
    free_out(out);
    return XH_ENOMEM;
  }
  l->out_count++;
  l->out_bytes += out->bytes;
  xh_job_list_push(&l->loaded, job);
  return 0;
}

/* Those that stood behind a job that has ended. */
static int load_freed(lane *l, xh_spool_db *db, const char *name, const xh_spool_taker *taker, bool *ret_full)
{
  int rc = 0;
  while (l->freed.first && rc == 0 && !*ret_full) {
    rc = xh_spool_db_load_behind(db, name, l->freed.first->job->object, l->cursor, taker, ret_full, &l->due_ms);
    if (rc == 0 && !*ret_full)
      spool_free_op(spool_pop(&l->freed));
  }
  return rc;
}

/* What does not fit keeps its place: nothing that comes after it is loaded before it. */
int spool_window_load(xh_spool *spool, size_t index, bool *ret_asked)
{
  lane *l = &spool->lanes[index];
  const char *name = spool->options.lanes[index];
  filling f = {.spool = spool, .index = index};
  const xh_spool_taker taker = {.arg = &f, .is_out = is_out, .fits = fits, .take = take};
  int64_t now_ms = xh_wall_ms();
  bool full = false;
  int rc = 0;
  uv_mutex_lock(&spool->lock);
  f.credits = l->credits;
  uv_mutex_unlock(&spool->lock);
  l->room = f.credits > (int64_t)l->loaded.count;
  if (!l->room || (!l->freed.first && l->due_ms > now_ms && !l->more))
    return 0;
  *ret_asked = true;
  rc = load_freed(l, spool->db, name, &taker, &full);
  if (rc == 0 && !full && l->due_ms <= now_ms) {
    rc = xh_spool_db_load_due(spool->db, name, now_ms, &taker, &l->due_ms);
    full = l->due_ms == 0;
    l->due_ms = rc ? 0 : l->due_ms;
  }
  if (rc == 0 && !full && l->more) {
    rc = xh_spool_db_load(spool->db, name, &l->cursor, &taker, &full);
    l->more = rc != 0 || full;
  }
  l->room = rc == 0 && !full;
  return rc;
}

void spool_window_end(xh_spool *spool, op *o)
{
  out_job *out = xh_map_remove_id(&spool->out, o->job->spool_id);
  if (!out) {
    spool_free_op(o);
    return;
  }
  lane *l = &spool->lanes[out->lane];
  l->out_count--;
  l->out_bytes -= out->bytes;
  if (o->kind == OP_FAILED && o->failure.next_ms > 0 && o->failure.next_ms < l->due_ms)
    l->due_ms = o->failure.next_ms;
  if (out->object) {
    xh_map_remove(&l->busy, xh_str_z(out->object));
    free(o->job->body);
    free(o->job->object);
    o->job->body = NULL;
    o->job->object = out->object;
    out->object = NULL;
    spool_push(&l->freed, o);
  } else {
    spool_free_op(o);
  }
  free_out(out);
}

void spool_window_free(xh_spool *spool)
{
  for (size_t i = 0; spool->lanes && i < spool->options.lane_count; i++) {
    lane *l = &spool->lanes[i];
    for (xh_job *job; (job = xh_job_list_pop(&l->loaded)) != NULL;)
      xh_job_free(job);
    for (op *o; (o = spool_pop(&l->freed)) != NULL;)
      spool_free_op(o);
    xh_map_done(&l->busy, NULL);
  }
  xh_map_done(&spool->out, free_out);
}
