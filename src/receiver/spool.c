#include "receiver/spool_internal.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

void spool_push(op_list *list, op *o)
{
  o->next = NULL;
  if (list->last)
    list->last->next = o;
  else
    list->first = o;
  list->last = o;
}

op *spool_pop(op_list *list)
{
  op *o = list->first;
  if (!o)
    return NULL;
  list->first = o->next;
  if (!list->first)
    list->last = NULL;
  return o;
}

void spool_free_op(op *o)
{
  for (xh_job *job; (job = xh_job_list_pop(&o->jobs)) != NULL;)
    xh_job_free(job);
  xh_job_free(o->job);
  free(o->delivery);
  free(o->error);
  free(o->tail);
  free(o);
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
  for (op *o; (o = spool_pop(&answered)) != NULL; spool_free_op(o)) {
    if (o->kind == OP_ADD) {
      options->added(options->arg, o->tag, o->rc, o->jobs.first);
    } else if (o->kind == OP_SETTLED) {
      options->settled(options->arg, o->delivery, o->state);
    } else {
      xh_job *job = o->job;
      o->job = NULL;
      options->turn(options->arg, o->lane, job);
    }
  }
}

static void free_spool(xh_spool *spool)
{
  free(spool->lanes);
  free(spool);
}

static void on_closed(uv_handle_t *handle)
{
  xh_spool *spool = handle->data;
  if (--spool->open_handles == 0)
    free_spool(spool);
}

static void close_handles(xh_spool *spool)
{
  uv_close((uv_handle_t *)&spool->wake, on_closed);
  uv_close((uv_handle_t *)&spool->watch, on_closed);
}

static void on_touched(uv_fs_event_t *handle, const char *name, int events, int status)
{
  (void)name;
  (void)events;
  xh_spool *spool = handle->data;
  char path[PATH_MAX];
  size_t size = sizeof path;
  bool gone = status != 0 || uv_fs_event_getpath(handle, path, &size) != 0 || access(path, F_OK) != 0;
  uv_mutex_lock(&spool->lock);
  spool->look = true;
  spool->watching = spool->watching && !gone; /* not made again: somebody may be deleting the folder */
  uv_cond_signal(&spool->work);
  uv_mutex_unlock(&spool->lock);
}

/* `xo-hooks spool` touches the file after it has made jobs due. When it can't be watched, the thread looks by itself now and then. */
static void watch(xh_spool *spool)
{
  char path[PATH_MAX];
  bool ok = snprintf(path, sizeof path, "%s/" XH_SPOOL_WAKE_FILE, spool->options.folder) < (int)sizeof path;
  int fd = ok ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
  if (fd >= 0)
    close(fd);
  ok = fd >= 0 && uv_fs_event_start(&spool->watch, on_touched, path, 0) == 0;
  spool->watching = ok;
}

/* One receiver at a time: two would run the same jobs. The kernel gives the lock up with the process, however that ends. */
static int take_lock(const char *folder, int *ret_fd)
{
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/receiver.lock", folder) >= (int)sizeof path)
    return XH_ECAP;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return xh_err_from_errno(errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int rc = errno == EWOULDBLOCK ? XH_EBUSY : xh_err_from_errno(errno);
    close(fd);
    return rc;
  }
  *ret_fd = fd;
  return 0;
}

static void close_db(xh_spool *spool)
{
  xh_spool_db_close(spool->db);
  if (spool->lock_fd >= 0)
    close(spool->lock_fd);
}

static int open_db(xh_spool *spool)
{
  const xh_spool_options *options = &spool->options;
  int rc = xh_spool_db_open(options->folder, true, &spool->db);
  if (rc == 0)
    rc = take_lock(options->folder, &spool->lock_fd);
  if (rc == 0)
    rc = xh_spool_db_count(spool->db, &spool->pending_at_start, &spool->failed_at_start);
  for (size_t i = 0; i < options->lane_count && rc == 0; i++)
    rc = xh_spool_db_count_lane(spool->db, options->lanes[i], &spool->lanes[i].pending_at_start);
  if (rc == 0)
    rc = xh_spool_db_each_seen(spool->db, options->seen_since_ms, options->seen, options->arg);
  return rc;
}

static int start_thread(xh_spool *spool)
{
  if (uv_mutex_init(&spool->lock) != 0)
    return XH_ENOMEM;
  if (uv_cond_init(&spool->work) != 0) {
    uv_mutex_destroy(&spool->lock);
    return XH_ENOMEM;
  }
  watch(spool);
  if (uv_thread_create(&spool->thread, spool_thread_main, spool) != 0) {
    uv_cond_destroy(&spool->work);
    uv_mutex_destroy(&spool->lock);
    return XH_ENOMEM;
  }
  return 0;
}

static int open_handles(xh_spool *spool)
{
  uv_loop_t *loop = spool->options.loop;
  spool->wake.data = spool->watch.data = spool;
  if (uv_async_init(loop, &spool->wake, on_wake) != 0)
    return XH_EIO;
  uv_fs_event_init(loop, &spool->watch);
  spool->open_handles = 2;
  return 0;
}

int xh_spool_open(const xh_spool_options *options, xh_spool **ret_spool)
{
  xh_spool *spool = calloc(1, sizeof *spool);
  if (!spool)
    return XH_ENOMEM;
  spool->options = *options;
  spool->lock_fd = -1;
  spool->lanes = calloc(options->lane_count, sizeof *spool->lanes);
  xh_map_init(&spool->out);
  for (size_t i = 0; spool->lanes && i < options->lane_count; i++)
    xh_map_init(&spool->lanes[i].busy);
  spool->tidy_ms = xh_mono_ms();
  int rc = spool->lanes ? open_db(spool) : XH_ENOMEM;
  if (rc == 0)
    rc = open_handles(spool);
  if (rc) {
    close_db(spool);
    free_spool(spool);
    return rc;
  }
  spool_mark_more(spool);
  rc = start_thread(spool);
  if (rc) {
    close_db(spool);
    close_handles(spool);
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

int64_t xh_spool_found_in(const xh_spool *spool, size_t index)
{
  return spool->lanes[index].pending_at_start;
}

static void ask(xh_spool *spool, op *o)
{
  uv_mutex_lock(&spool->lock);
  spool_push(&spool->asked, o);
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
  o->tail = failure->tail.len ? malloc(failure->tail.len) : NULL;
  if (o->tail)
    memcpy(o->tail, failure->tail.ptr, failure->tail.len);
  o->failure = (xh_spool_failure){.attempts = failure->attempts, .next_ms = failure->next_ms, .resume = job->resume, .error = o->error};
  o->failure.tail = (xh_str){o->tail, o->tail ? failure->tail.len : 0};
  ask(spool, o);
}

static void drop_list(op_list *list)
{
  for (op *o; (o = spool_pop(list)) != NULL;)
    spool_free_op(o);
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
  for (op *o; (o = spool_pop(&left)) != NULL; spool_free_op(o))
    if (o->kind == OP_ADD)
      spool->options.added(spool->options.arg, o->tag, o->rc, o->jobs.first);
  drop_list(&spool->held);
  spool_window_free(spool);
  close_db(spool);
  uv_cond_destroy(&spool->work);
  uv_mutex_destroy(&spool->lock);
  close_handles(spool);
}
