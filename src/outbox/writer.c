#include "outbox/writer.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "outbox/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
  BATCH_COUNT_MAX = 1024,
  BATCH_BYTES_MAX = 16 * 1024 * 1024,
  TRY_AGAIN_MS = 1000,
  /* Nobody waits for outcomes of attempts to be written: a crash before that only sends once more. They gather for a moment, so that
   * many share a transaction, its pages and its fsync. */
  PATIENCE_MS = 10,
  PATIENT_COUNT_MAX = 1024
};

struct writer {
  writer_options options;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;

  /* under the mutex */
  op_queue in;
  uint64_t last_number;
  int64_t patient_until_ms; /* monotonic; when `in` holds only what may wait: how long. 0: it may not */
  op_queue done;
  operation *early_first, *early_last;
  bool lost;
  op_queue identities; /* to be stored before all else in a new database */
  bool identities_given;
  bool stopping;
  bool ended;
  writer_state state;

  /* the thread's own */
  store store;
  progress progress;
  char *folder;
  op_queue work;
  size_t work_bytes;
  int64_t commit_count, refused_count;
  int64_t degraded_since_ms;
  int trouble;
  int64_t try_at_ms; /* monotonic; while degraded */
  bool restoring;    /* the database is a new one: nothing is written before the identities are */
  int replaced_count; /* since the last commit */
};

/* ---- handing back ---- */

/* What stood in a lost database and is on its way back: an accept was written there only, a refill read there what is no more. */
static void void_done(op_queue *done)
{
  for (operation *op = done->first; op; op = op->next)
    if (op->kind == OP_ACCEPT) {
      op->lost = true;
    } else if (op->kind == OP_REFILL) {
      op_reset(op);
      op->rc = XH_ECORRUPT;
    }
}

static void publish(writer *w, op_queue *done, operation *early, bool lost)
{
  bool something = done->first || early || lost;
  pthread_mutex_lock(&w->mutex);
  for (operation *op = done->first; op; op = op->next)
    w->state.memory_bytes -= (int64_t)op->bytes;
  op_queue_join(&w->done, done);
  while (early) {
    operation *next = early->next_early;
    early->next_early = NULL;
    if (w->early_last)
      w->early_last->next_early = early;
    else
      w->early_first = early;
    w->early_last = early;
    early = next;
  }
  if (lost) {
    void_done(&w->done);
    w->lost = true;
    w->identities_given = w->stopping;
  }
  w->state.totals = w->store.totals;
  w->state.id_limit = w->store.id_limit;
  w->state.commit_count = w->commit_count;
  w->state.refused_count = w->refused_count;
  w->state.degraded_since_ms = w->degraded_since_ms;
  w->state.trouble = w->trouble;
  pthread_mutex_unlock(&w->mutex);
  if (something)
    w->options.wake(w->options.wake_arg);
}

/* ---- trouble ---- */

static bool is_environment(int rc)
{
  return rc == XH_EFULL || rc == XH_EIO || rc == XH_EDENIED || rc == XH_EBUSY;
}

static void begin_trouble(writer *w, int rc)
{
  w->try_at_ms = xh_mono_ms() + TRY_AGAIN_MS;
  if (!w->degraded_since_ms) {
    w->degraded_since_ms = xh_wall_ms();
    xh_log(XH_LOG_ERROR,
           "the outbox in %s can't be written: %s. Events are delivered from memory (up to %zu MiB) and lost if this program ends "
           "before there is room; it tries again each second",
           w->folder, xh_err_text(rc), w->options.memory_cap_bytes >> 20);
  }
  w->trouble = rc;
}

static void end_trouble(writer *w)
{
  if (!w->degraded_since_ms)
    return;
  char took[48];
  xh_duration_text(xh_wall_ms() - w->degraded_since_ms, took, sizeof took);
  xh_log(XH_LOG_WARN, "the outbox in %s is written again, after %s; %lld events were refused meanwhile", w->folder, took,
         (long long)w->refused_count);
  w->degraded_since_ms = 0;
  w->trouble = 0;
}

/* Begins a new database, with the identity and the numbers of the one that is lost. */
static int begin_database(writer *w)
{
  store fresh = {0};
  int rc = store_open(&fresh, w->folder, &w->store);
  if (rc)
    return rc;
  store_close(&w->store, false);
  w->store = fresh;
  w->restoring = true;
  publish(w, &(op_queue){0}, NULL, true);
  return 0;
}

/* The database is damaged (or another's): out of the way with it. When no new one can be begun yet, reopen() does it later. */
static int replace_database(writer *w)
{
  char name[4200];
  if (w->replaced_count++ > 1)
    return XH_EIO;
  store_disconnect(&w->store);
  int rc = store_set_aside(w->folder, name, sizeof name);
  if (rc)
    return rc;
  xh_log(XH_LOG_ERROR, "the outbox is damaged and was set aside as %s; a new one begins. What waited in it is not delivered any more",
         name);
  return begin_database(w);
}

/*
 * After an error of the disk the connection may be stale (unmounted, replaced): a new one. It may find another database than the one that was
 * there: one that was made just now and is empty becomes ours, any other is in the way.
 */
static int reopen(writer *w)
{
  store fresh = {0};
  int rc = store_open(&fresh, w->folder, NULL);
  if (rc == XH_ECORRUPT)
    return replace_database(w);
  if (rc)
    return rc;
  if (strcmp(fresh.instance, w->store.instance) != 0) {
    bool unused = fresh.next_id == 1 && fresh.totals.accepted == 0;
    store_close(&fresh, false);
    return unused ? begin_database(w) : replace_database(w);
  }
  if (w->store.next_id > fresh.next_id)
    fresh.next_id = w->store.next_id;
  if (w->store.next_body_id > fresh.next_body_id)
    fresh.next_body_id = w->store.next_body_id;
  store_close(&w->store, false);
  w->store = fresh;
  return 0;
}

/* ---- batches ---- */

static void take_batch(writer *w, op_queue *batch)
{
  size_t bytes = 0;
  while (w->work.first && batch->count < BATCH_COUNT_MAX && bytes < BATCH_BYTES_MAX) {
    operation *op = op_queue_take(&w->work);
    bytes += op->bytes;
    op_queue_put(batch, op);
  }
}

/* Runs all in one transaction. The operation at fault, if one is, goes to `ret_spoiler`. */
static int run_once(writer *w, op_queue *batch, operation **ret_spoiler)
{
  *ret_spoiler = NULL;
  if (!w->store.db)
    return XH_EIO;
  int rc = store_begin(&w->store);
  for (operation *op = batch->first; op && rc == 0; op = op->next) {
    if (op->rc)
      continue; /* spoiled an earlier run */
    if (op->kind == OP_ACCEPT)
      progress_limit(&w->progress, &op->u.accept);
    rc = store_do(&w->store, op);
    if (rc)
      *ret_spoiler = op;
  }
  if (rc == 0)
    rc = store_end(&w->store);
  if (rc == 0)
    return 0;
  store_rollback(&w->store);
  for (operation *op = batch->first; op; op = op->next) {
    int spoiled = op->rc;
    op_reset(op);
    op->rc = spoiled;
  }
  return rc;
}

/* Until the batch is committed, the disk refuses, or the database is found to be damaged. */
static int run_batch(writer *w, op_queue *batch)
{
  for (;;) {
    operation *spoiler;
    int rc = run_once(w, batch, &spoiler);
    if (rc == 0 || rc == XH_ECORRUPT || is_environment(rc))
      return rc;
    if (spoiler) {
      spoiler->rc = rc;
      xh_log(XH_LOG_ERROR, "outbox: an operation failed: %s", xh_err_text(rc));
    } else {
      return XH_EIO;
    }
  }
}

static void finish_batch(writer *w, op_queue *batch)
{
  op_queue done = {0};
  operation *op;
  while ((op = op_queue_take(batch)) != NULL) {
    if (op->unfinished && op->rc == 0) {
      op->unfinished = false;
      op_queue_put(&w->work, op); /* behind what came meanwhile */
      continue;
    }
    if (op->kind == OP_ACCEPT)
      progress_note(&w->progress, &op->u.accept, op->rc);
    w->work_bytes -= op->bytes;
    op_queue_put(&done, op);
  }
  w->commit_count++;
  w->replaced_count = 0;
  end_trouble(w);
  publish(w, &done, NULL, false);
}

/* Answers what can't wait for the disk. What must be written stays in `work`. */
static void answer_while_degraded(writer *w)
{
  op_queue done = {0}, kept = {0};
  operation *early = NULL;
  operation **early_end = &early;
  operation *op;
  size_t kept_bytes = 0;
  while ((op = op_queue_take(&w->work)) != NULL) {
    bool is_read = op->kind == OP_REFILL || op->kind == OP_NEXT_DUE || op->kind == OP_RETRY || op->kind == OP_PRUNE;
    bool too_much = op->kind == OP_ACCEPT && !op->answered && kept_bytes + op->bytes > w->options.memory_cap_bytes;
    if (is_read || too_much) {
      op->rc = too_much ? XH_EFULL : w->trouble;
      w->refused_count += too_much;
      if (too_much)
        progress_note(&w->progress, &op->u.accept, op->rc);
      w->work_bytes -= op->bytes;
      op_queue_put(&done, op);
      continue;
    }
    if (op->kind == OP_ACCEPT && !op->answered) {
      op->answered = true;
      *early_end = op;
      early_end = &op->next_early;
    }
    kept_bytes += op->bytes;
    op_queue_put(&kept, op);
  }
  *early_end = NULL;
  w->work = kept;
  publish(w, &done, early, false);
}

/* The database is there to be written, or a code of is_environment. */
static int have_database(writer *w)
{
  int rc = !w->store.db || (w->degraded_since_ms && w->trouble != XH_EFULL) ? reopen(w) : 0;
  return rc == 0 || is_environment(rc) ? rc : XH_EIO;
}

static void work_once(writer *w)
{
  op_queue batch = {0};
  int rc = have_database(w);
  if (rc == 0 && w->restoring)
    return; /* the identities come first */
  if (rc == 0) {
    take_batch(w, &batch);
    rc = run_batch(w, &batch);
  }
  if (rc == 0) {
    finish_batch(w, &batch);
    return;
  }
  op_queue_join(&batch, &w->work); /* back to the front, in order */
  w->work = batch;
  if (rc == XH_ECORRUPT) {
    rc = replace_database(w);
    if (rc == 0)
      return;
  }
  begin_trouble(w, is_environment(rc) ? rc : XH_EIO);
  answer_while_degraded(w);
}

/* ---- the thread ---- */

/* False when the time has come before anything changed. */
static bool wait_until(writer *w, int64_t mono_ms)
{
  struct timespec until = {.tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000};
  return pthread_cond_timedwait(&w->changed, &w->mutex, &until) == 0;
}

/* The main thread hears of the loss and gives the identities. */
static void wait_for_identities(writer *w)
{
  while (!w->identities_given)
    pthread_cond_wait(&w->changed, &w->mutex);
  for (operation *op = w->identities.first; op; op = op->next)
    w->work_bytes += op->bytes;
  op_queue_join(&w->identities, &w->work);
  w->work = w->identities;
  w->identities = (op_queue){0};
  w->restoring = false;
}

static void wait_for_work(writer *w)
{
  pthread_mutex_lock(&w->mutex);
  if (w->restoring)
    wait_for_identities(w);
  while (!w->in.first && !w->stopping && (w->degraded_since_ms || !w->work.first)) {
    if (!w->degraded_since_ms)
      pthread_cond_wait(&w->changed, &w->mutex);
    else if (!wait_until(w, w->try_at_ms))
      break;
  }
  while (w->patient_until_ms && !w->stopping && !w->degraded_since_ms && !w->work.first && wait_until(w, w->patient_until_ms))
    continue;
  w->patient_until_ms = 0;
  for (operation *op = w->in.first; op; op = op->next)
    w->work_bytes += op->bytes;
  op_queue_join(&w->work, &w->in);
  pthread_mutex_unlock(&w->mutex);
}

static bool is_stopping(writer *w)
{
  pthread_mutex_lock(&w->mutex);
  bool stopping = w->stopping && !w->in.first;
  pthread_mutex_unlock(&w->mutex);
  return stopping;
}

/* The end came while the disk refused. */
static void give_up(writer *w)
{
  op_queue done = {0};
  operation *op;
  long long lost = 0;
  while ((op = op_queue_take(&w->work)) != NULL) {
    lost += op->kind == OP_ACCEPT && op->answered;
    op->rc = w->trouble ? w->trouble : XH_ECLOSED;
    op_queue_put(&done, op);
  }
  if (lost)
    xh_log(XH_LOG_ERROR, "%lld events that were kept in memory could not be written before the end (%s); those not delivered are lost",
           lost, xh_err_text(w->trouble));
  publish(w, &done, NULL, false);
}

static void *run(void *arg)
{
  writer *w = arg;
  for (;;) {
    wait_for_work(w);
    bool stopping = is_stopping(w);
    if (w->degraded_since_ms && !stopping && xh_mono_ms() < w->try_at_ms) {
      answer_while_degraded(w);
      continue;
    }
    if (w->work.first || w->degraded_since_ms)
      work_once(w);
    if (w->restoring)
      continue;
    if (!stopping || (w->work.first && !w->degraded_since_ms))
      continue;
    if (w->work.first)
      give_up(w);
    break;
  }
  store_close(&w->store, !w->degraded_since_ms);
  return NULL;
}

/* ---- the main thread's side ---- */

int writer_start(const writer_options *options, store *s, writer **ret_writer)
{
  writer *w = calloc(1, sizeof *w);
  pthread_condattr_t monotonic;
  if (!w || !(w->folder = strdup(s->folder))) {
    free(w);
    return XH_ENOMEM;
  }
  w->options = *options;
  w->state.totals = s->totals;
  w->state.id_limit = s->id_limit;
  pthread_mutex_init(&w->mutex, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&w->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  w->store = *s;
  if (options->trouble) {
    begin_trouble(w, options->trouble);
    publish(w, &(op_queue){0}, NULL, false);
  }
  if (pthread_create(&w->thread, NULL, run, w) != 0) {
    w->ended = true;
    writer_free(w);
    return XH_ENOMEM;
  }
  *s = (store){0};
  *ret_writer = w;
  return 0;
}

static bool may_wait(const operation *op)
{
  return op->kind == OP_SETTLE || op->kind == OP_TARGET_HELD;
}

void writer_put(writer *w, operation *op)
{
  pthread_mutex_lock(&w->mutex);
  if (w->ended) {
    op->rc = XH_ECLOSED;
    op_queue_put(&w->done, op);
  } else {
    w->state.memory_bytes += (int64_t)op->bytes;
    op->number = ++w->last_number;
    bool first = w->in.count == 0, was_patient = w->patient_until_ms != 0;
    op_queue_put(&w->in, op);
    if (!may_wait(op) || w->in.count >= PATIENT_COUNT_MAX)
      w->patient_until_ms = 0;
    else if (first)
      w->patient_until_ms = xh_mono_ms() + PATIENCE_MS;
    if (first || (was_patient && !w->patient_until_ms))
      pthread_cond_signal(&w->changed);
  }
  pthread_mutex_unlock(&w->mutex);
}

void writer_restore(writer *w, op_queue *identities)
{
  pthread_mutex_lock(&w->mutex);
  for (operation *op = identities->first; op; op = op->next)
    w->state.memory_bytes += (int64_t)op->bytes; /* no number: no event is answered before or after it */
  op_queue_join(&w->identities, identities);
  w->identities_given = true;
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->mutex);
}

void writer_take(writer *w, writer_output *ret_output)
{
  pthread_mutex_lock(&w->mutex);
  *ret_output = (writer_output){.early = w->early_first, .lost = w->lost};
  op_queue_join(&ret_output->done, &w->done);
  w->early_first = w->early_last = NULL;
  w->lost = false;
  pthread_mutex_unlock(&w->mutex);
}

void writer_get_state(writer *w, writer_state *ret_state)
{
  pthread_mutex_lock(&w->mutex);
  *ret_state = w->state;
  pthread_mutex_unlock(&w->mutex);
}

void writer_stop(writer *w, op_queue *identities)
{
  writer_restore(w, identities);
  pthread_mutex_lock(&w->mutex);
  w->stopping = true;
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->mutex);
  pthread_join(w->thread, NULL);
  pthread_mutex_lock(&w->mutex);
  op_queue_free(&w->identities);
  w->ended = true;
  pthread_mutex_unlock(&w->mutex);
}

void writer_free(writer *w)
{
  pthread_cond_destroy(&w->changed);
  pthread_mutex_destroy(&w->mutex);
  progress_done(&w->progress);
  free(w->folder);
  free(w);
}
