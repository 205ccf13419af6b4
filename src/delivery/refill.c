/* From the outbox into memory: fresh deliveries that did not fit, and retries that are due. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "delivery/dispatcher_internal.h"

#include <stdlib.h>

enum { REFILL_BELOW = XH_READY_COUNT_MAX / 2, REFILL_BELOW_BYTES = XH_READY_BYTES_MAX / 8, AGAIN_MS = 1000 };

void target_again_from(target *t, int64_t delivery_id)
{
  if (!t->overflow || delivery_id <= t->cursor)
    t->cursor = delivery_id - 1;
  t->overflow = t->dropped_since_refill = true;
  target_wake_at(t, xh_mono_ms() + AGAIN_MS);
}

/* Its hook is lost, or can't be had now. */
static int give_up(target *t, xh_delivery *delivery, int rc)
{
  xh_dispatcher *d = t->dispatcher;
  if (rc == XH_ENOENT || rc == XH_ECONFIG) {
    xh_settlement settlement = {.delivery_id = delivery->id,
                                .target_id = t->id,
                                .state = XH_DEAD,
                                .attempt_count = delivery->attempt_count,
                                .reason = "its stored hook can't be read any more"};
    (void)xh_outbox_settle(d->outbox, &settlement);
    t->pending_count--;
    rc = XH_ENOENT;
  }
  xh_delivery_free(delivery);
  return rc;
}

int target_adopt(target *t, xh_delivery *delivery)
{
  xh_dispatcher *d = t->dispatcher;
  xh_hook *hook;
  if (xh_map_get_id(&d->active, delivery->id) || target_is_gone(t, delivery->id)) {
    xh_delivery_free(delivery);
    return 1;
  }
  int rc = dispatcher_hook(d, delivery->hook_id, &hook);
  if (rc)
    return give_up(t, delivery, rc);
  int64_t id = delivery->id;
  job *j = job_new(t, delivery, hook);
  if (!j || xh_map_set_id(&d->active, id, j) != 0) {
    job_free(j);
    return XH_ENOMEM;
  }
  j->durable = true;
  d->ready_bytes += job_bytes(delivery);
  target_make_ready(t, j, false);
  return 0;
}

static void on_due(void *arg, int rc, int64_t earliest_ms)
{
  target *t = arg;
  t->asking_due = false;
  int64_t now_ms = xh_dispatcher_now_ms(t->dispatcher);
  earliest_ms = xh_moved(earliest_ms, t->dispatcher->moved_ms - t->due_moved_ms);
  if (rc == 0 && earliest_ms > 0) /* what is due but in memory already must not be asked for again and again */
    target_retry_at(t, earliest_ms <= now_ms && !t->adopted_last ? now_ms + AGAIN_MS : earliest_ms);
  else if (rc != 0)
    target_retry_at(t, xh_dispatcher_now_ms(t->dispatcher) + AGAIN_MS);
  target_plan(t);
}

void target_retry_at(target *t, int64_t wall_ms)
{
  if (t->due_ms == 0 || wall_ms < t->due_ms)
    t->due_ms = wall_ms;
}

static void ask_due(target *t)
{
  if (t->asking_due)
    return;
  t->due_moved_ms = t->dispatcher->moved_ms;
  t->asking_due = xh_outbox_next_due(t->dispatcher->outbox, t->id, on_due, t) == 0;
  if (!t->asking_due)
    target_retry_at(t, xh_dispatcher_now_ms(t->dispatcher) + AGAIN_MS);
}

/* A delivery that was read is not in memory for want of it, and still in the outbox. */
static void read_again(target *t, int64_t id, int64_t due_ms)
{
  if (due_ms == 0)
    target_again_from(t, id);
  else
    target_retry_at(t, xh_dispatcher_now_ms(t->dispatcher) + AGAIN_MS);
}

static void adopt_all(target *t, xh_delivery *list)
{
  t->adopted_last = false;
  while (list) {
    xh_delivery *next = list->next;
    list->next = NULL;
    delivery_move(list, t->dispatcher->moved_ms - t->refill_moved_ms);
    int64_t id = list->id, due_ms = list->next_attempt_ms;
    int rc = target_adopt(t, list);
    if (rc == 0)
      t->adopted_last = true;
    else if (rc < 0 && rc != XH_ENOENT)
      read_again(t, id, due_ms);
    list = next;
  }
  if (t->gone_lost) { /* all of it is still in the outbox: once more from there */
    read_again(t, 1, 0);
    read_again(t, 1, 1);
  }
  target_forget_gone(t);
}

static void end_waiting_behind(target *t)
{
  job *j;
  while ((j = job_list_take(&t->behind)) != NULL)
    target_make_ready(t, j, j->urgent);
}

static void on_fresh(void *arg, int rc, xh_delivery *list, bool more)
{
  target *t = arg;
  t->refilling = false;
  for (const xh_delivery *at = list; at; at = at->next)
    t->cursor = at->id;
  if (rc == 0 && !more && !t->dropped_since_refill)
    t->overflow = false;
  adopt_all(t, list);
  if (!t->overflow)
    end_waiting_behind(t);
  if (rc != 0)
    target_wake_at(t, xh_mono_ms() + AGAIN_MS);
  else
    target_pump(t);
  target_plan(t);
}

static void on_retries(void *arg, int rc, xh_delivery *list, bool more)
{
  target *t = arg;
  t->refilling = false;
  adopt_all(t, list);
  if (rc != 0 || more)
    target_retry_at(t, xh_dispatcher_now_ms(t->dispatcher) + (rc ? AGAIN_MS : 0));
  else
    ask_due(t);
  target_plan(t);
  target_pump(t);
}

/* Retries that are in memory already come first in the outbox's order: without room for them too they would be all that is ever read. */
static void make_room_for_known(const target *t, xh_refill *refill)
{
  refill->count_max += t->ready.count + t->sending.count + t->deferred.count;
  refill->bytes_max += t->ready_bytes;
  for (const job *j = t->sending.first; j; j = j->next)
    refill->bytes_max += job_bytes(j->delivery);
  for (const job *j = t->deferred.first; j; j = j->next)
    refill->bytes_max += job_bytes(j->delivery);
}

static bool start_refill(target *t, xh_refill_kind kind, int64_t due_ms)
{
  xh_dispatcher *d = t->dispatcher;
  size_t room = XH_READY_COUNT_MAX - (t->ready.count < XH_READY_COUNT_MAX ? t->ready.count : XH_READY_COUNT_MAX);
  size_t bytes = d->ready_bytes < XH_READY_BYTES_MAX ? XH_READY_BYTES_MAX - d->ready_bytes : 0;
  xh_refill refill = {.target_id = t->id,
                      .kind = kind,
                      .after_id = t->cursor,
                      .due_ms = due_ms,
                      .count_max = room,
                      .bytes_max = bytes < XH_READY_BYTES_MAX / 4 ? bytes : XH_READY_BYTES_MAX / 4};
  if (kind == XH_REFILL_DUE)
    make_room_for_known(t, &refill);
  t->refill_moved_ms = d->moved_ms;
  t->refilling = xh_outbox_refill(d->outbox, &refill, kind == XH_REFILL_FRESH ? on_fresh : on_retries, t) == 0;
  if (!t->refilling)
    target_wake_at(t, xh_mono_ms() + AGAIN_MS);
  return t->refilling;
}

void target_refill(target *t)
{
  xh_dispatcher *d = t->dispatcher;
  bool has_enough = t->ready.count > REFILL_BELOW || t->ready_bytes > REFILL_BELOW_BYTES || d->ready_bytes >= XH_READY_BYTES_MAX;
  if (t->refilling || d->stopping || (t->ready.count > 0 && has_enough))
    return;
  if (t->breaker.held && t->ready.count > 0)
    return; /* one is enough for a probe */
  int64_t now_ms = xh_dispatcher_now_ms(t->dispatcher);
  if (t->due_ms > 0 && t->due_ms <= now_ms && !(t->breaker.held && t->overflow)) {
    t->due_ms = 0;
    if (!start_refill(t, XH_REFILL_DUE, now_ms))
      t->due_ms = now_ms + AGAIN_MS;
  } else if (t->overflow) {
    t->dropped_since_refill = false;
    if (!start_refill(t, XH_REFILL_FRESH, 0))
      t->dropped_since_refill = true;
  } else if (t->breaker.held && t->due_ms > 0 && t->in_flight == 0 && t->deferred.count == 0 &&
             xh_mono_ms() >= t->breaker.probe_at_ms) {
    start_refill(t, XH_REFILL_DUE, INT64_MAX); /* a probe needs something to send, due or not */
  }
}

static void wake_deferred(target *t, int64_t wall_ms)
{
  for (job *j = t->deferred.first, *next; j; j = next) {
    next = j->next;
    if (j->due_ms > wall_ms && !t->breaker.held)
      continue;
    job_list_remove(&t->deferred, j);
    target_make_ready(t, j, j->urgent);
  }
}

void target_check_time(target *t, int64_t wall_ms, int64_t mono_ms)
{
  if (t->breaker.held && (t->breaker.probing || mono_ms < t->breaker.probe_at_ms))
    return;
  wake_deferred(t, wall_ms);
  target_pump(t);
}

void target_plan(target *t)
{
  int64_t mono_ms = xh_mono_ms();
  if (t->breaker.held) {
    if (!t->breaker.probing && t->in_flight == 0 && t->pending_count > 0) /* else the outcome of what is under way plans */
      target_wake_at(t, t->breaker.probe_at_ms > mono_ms ? t->breaker.probe_at_ms : mono_ms + 1);
    return;
  }
  int64_t wall_ms = xh_dispatcher_now_ms(t->dispatcher);
  int64_t at = t->due_ms;
  for (const job *j = t->deferred.first; j; j = j->next)
    if (at == 0 || j->due_ms < at)
      at = j->due_ms;
  if (at > 0)
    target_wake_at(t, mono_ms + (at > wall_ms ? at - wall_ms : 1));
}
