/* From ready to settled: starting attempts within the limits, and what their outcomes mean. */
#include "base/clock.h"
#include "base/log.h"
#include "delivery/dispatcher_internal.h"
#include "payload/payload.h"

#include <stdlib.h>

enum { LOG_AGAIN_MS = 60000 };

static double draw(xh_dispatcher *d)
{
  d->random_state ^= d->random_state << 13; /* xorshift64: jitter needs no more */
  d->random_state ^= d->random_state >> 7;
  d->random_state ^= d->random_state << 17;
  return (double)(d->random_state >> 11) / (double)(1ull << 53);
}

/* ---- ends without an attempt ---- */

static void tell_watcher(job *j, const xh_first_attempt *first)
{
  xh_watch_cb watch = j->watch;
  if (!watch)
    return;
  j->watch = NULL;
  watch(j->watch_arg, first);
}

static void bury(job *j, const char *reason)
{
  target *t = j->target;
  xh_settlement settlement = {.delivery_id = j->delivery->id,
                              .target_id = t->id,
                              .state = XH_DEAD,
                              .attempt_count = j->delivery->attempt_count};
  snprintf(settlement.reason, sizeof settlement.reason, "%s", reason);
  (void)xh_outbox_settle(t->dispatcher->outbox, &settlement);
  tell_watcher(j, &(xh_first_attempt){.delivery_id = j->delivery->id, .words = reason});
  t->pending_count--;
  dispatcher_drop(t->dispatcher, j);
}

/* Why `j` must not be sent any more, or NULL. */
static const char *why_not(const job *j)
{
  if (xh_expired(j->hook, j->delivery->accepted_ms, xh_dispatcher_now_ms(j->target->dispatcher)))
    return "expired: its hook's retry.expire has passed";
  if (xh_outbox_hook_stopped(j->target->dispatcher->outbox, j->delivery->hook_id))
    return "the hook is stopped: its target answered 410 Gone";
  return NULL;
}

/* ---- the log: a target's troubles once, not once a delivery ---- */

static void log_down(target *t, const char *words)
{
  int64_t now_ms = xh_mono_ms();
  if (t->failing_since_ms == 0)
    t->failing_since_ms = xh_wall_ms();
  if (t->logged_down || (t->logged_mono_ms && now_ms - t->logged_mono_ms < LOG_AGAIN_MS))
    return;
  t->logged_down = true;
  t->logged_mono_ms = now_ms;
  xh_log(XH_LOG_WARN, "target %s fails: %s; deliveries wait and will be tried again", target_shown(t), words);
}

static void log_up(target *t)
{
  if (t->failing_since_ms && t->logged_down) {
    char took[48];
    xh_duration_text(xh_wall_ms() - t->failing_since_ms, took, sizeof took);
    xh_log(XH_LOG_INFO, "target %s answers again, after %s; %lld deliveries pending", target_shown(t), took,
           (long long)t->pending_count);
  }
  t->failing_since_ms = 0;
  t->logged_down = false;
}

/* ---- outcomes ---- */

static void set_held(target *t, bool held)
{
  t->held_since_ms = held ? xh_wall_ms() : 0;
  xh_outbox_target_set_held(t->dispatcher->outbox, t->id, t->held_since_ms);
  if (!held)
    t->window = XH_TARGET_WINDOW_FIRST;
}

/* What the outcome says about the target, apart from the delivery. Returns whether the delivery's schedule is burnt. */
static bool judge_target(target *t, const xh_outcome *outcome, bool is_probe)
{
  bool was_held = t->breaker.held;
  bool changed = false;
  t->window = xh_window_after(t->window, !outcome->target_down, XH_TARGET_IN_FLIGHT_MAX);
  if (outcome->target_down) {
    if (was_held && !is_probe)
      xh_breaker_late_failure(&t->breaker, xh_mono_ms(), outcome->retry_after_s);
    else
      changed = xh_breaker_failure(&t->breaker, xh_mono_ms(), outcome->retry_after_s);
    log_down(t, outcome->record.words);
  } else if (outcome->result == XH_RESULT_DELIVERED) {
    changed = xh_breaker_success(&t->breaker);
    log_up(t);
  } else {
    changed = xh_breaker_alive(&t->breaker);
    if (outcome->result != XH_RESULT_GONE) /* of that stop_hook() tells */
      log_down(t, outcome->record.words);
  }
  if (changed)
    set_held(t, t->breaker.held);
  return !(was_held && outcome->target_down);
}

static void stop_hook(job *j)
{
  xh_dispatcher *d = j->target->dispatcher;
  if (xh_outbox_hook_stopped(d->outbox, j->delivery->hook_id))
    return;
  char label[256];
  xh_hook_label(j->hook, label, sizeof label);
  xh_outbox_hook_set_stopped(d->outbox, j->delivery->hook_id, xh_wall_ms());
  xh_log(XH_LOG_WARN,
         "hook %s is stopped: its target answered 410 Gone. Its events are kept as dead; a test that succeeds, a retry by hand "
         "or a changed configuration starts it again",
         label);
}

/* Fills in state, count and next attempt. Returns false when the job stays in memory, not burnt. */
static void decide(job *j, const xh_outcome *outcome, bool burnt, xh_settlement *settlement)
{
  xh_delivery *delivery = j->delivery;
  int64_t now_ms = xh_dispatcher_now_ms(j->target->dispatcher);
  if (outcome->result == XH_RESULT_DELIVERED || outcome->result == XH_RESULT_GONE) {
    delivery->attempt_count++;
    settlement->state = outcome->result == XH_RESULT_DELIVERED ? XH_DELIVERED : XH_DEAD;
    if (outcome->result == XH_RESULT_GONE)
      snprintf(settlement->reason, sizeof settlement->reason, "the target answered 410 Gone");
  } else if (!burnt) {
    settlement->state = XH_PENDING;
    if (delivery->next_attempt_ms == 0)
      delivery->next_attempt_ms = 1; /* due, and no longer fresh: it has an attempt */
  } else {
    const char *reason = "";
    delivery->attempt_count++;
    delivery->next_attempt_ms = xh_next_attempt_ms(j->hook, delivery->attempt_count, delivery->accepted_ms, now_ms,
                                                   outcome->retry_after_s, draw(j->target->dispatcher), &reason);
    settlement->state = delivery->next_attempt_ms ? XH_PENDING : XH_DEAD;
    snprintf(settlement->reason, sizeof settlement->reason, "%s", reason);
  }
  settlement->next_attempt_ms = settlement->state == XH_PENDING ? delivery->next_attempt_ms : 0;
  settlement->attempt_count = delivery->attempt_count;
}

static void release_followers(job *j)
{
  job *follower;
  while ((follower = j->followers.last) != NULL) {
    job_list_remove(&j->followers, follower);
    target_make_ready(j->target, follower, true);
  }
}

static void put_after_failure(job *j, bool burnt)
{
  target *t = j->target;
  if (!burnt) {
    target_make_ready(t, j, true);
  } else if (j->durable) {
    target_retry_at(t, j->delivery->next_attempt_ms);
    dispatcher_drop(t->dispatcher, j);
  } else {
    j->due_ms = j->delivery->next_attempt_ms;
    job_list_append(&t->deferred, j);
  }
}

/* A place is free. */
static void go_on(target *t)
{
  target_pump(t);
  target_plan(t);
  dispatcher_feed_starved(t->dispatcher);
  dispatcher_check_stopped(t->dispatcher);
}

/* For want of our own means it was not sent at all: nothing is burnt, nobody is told, and it comes again soon with those that follow it. */
static void put_off(job *j, const xh_outcome *outcome)
{
  target *t = j->target;
  xh_dispatcher *d = t->dispatcher;
  int64_t now_ms = xh_mono_ms();
  if (d->put_off_logged_ms == 0 || now_ms - d->put_off_logged_ms >= LOG_AGAIN_MS) {
    d->put_off_logged_ms = now_ms;
    xh_log(XH_LOG_ERROR, "deliveries are put off: %s (to %s)", outcome->record.words, target_shown(t));
  }
  if (j->is_probe)
    xh_breaker_put_off(&t->breaker, now_ms);
  j->due_ms = xh_dispatcher_now_ms(d) + XH_PUT_OFF_MS;
  job_list_append(&t->deferred, j);
}

static void on_outcome(void *arg, xh_outcome *outcome)
{
  job *j = arg;
  target *t = j->target;
  xh_dispatcher *d = t->dispatcher;
  j->run = NULL;
  job_list_remove(&t->sending, j);
  t->in_flight--;
  d->in_flight--;
  if (outcome->result == XH_RESULT_NOT_SENT) {
    put_off(j, outcome);
    go_on(t);
    return;
  }
  release_followers(j);
  bool burnt = judge_target(t, outcome, j->is_probe);
  xh_settlement settlement = {
      .delivery_id = j->delivery->id,
      .target_id = t->id,
      .has_attempt = true,
      .first_attempt = j->delivery->next_attempt_ms == 0,
      .attempt = outcome->record};
  decide(j, outcome, burnt, &settlement);
  if (outcome->result == XH_RESULT_GONE)
    stop_hook(j);
  bool ended = settlement.state != XH_PENDING;
  tell_watcher(j, &(xh_first_attempt){.delivery_id = j->delivery->id,
                                      .delivered = outcome->result == XH_RESULT_DELIVERED,
                                      .http_status = outcome->record.http_status,
                                      .duration_ms = outcome->record.total_us / 1000,
                                      .words = outcome->record.words});
  if (xh_outbox_settle(d->outbox, &settlement) != 0)
    j->durable = false; /* what the outbox knows is old: it waits in memory */
  if (ended) {
    t->pending_count--;
    dispatcher_drop(d, j);
  } else {
    j->urgent = false;
    put_after_failure(j, burnt);
  }
  go_on(t);
}

/* ---- starting ---- */

static bool start(job *j)
{
  target *t = j->target;
  xh_dispatcher *d = t->dispatcher;
  char webhook_id[XH_WEBHOOK_ID_SIZE];
  xh_webhook_id(xh_outbox_instance(d->outbox), j->delivery->id, webhook_id);
  xh_str body = {j->delivery->body->bytes, j->delivery->body->len};
  int rc = xh_attempt_start(d->transport, j->hook, webhook_id, body, xh_payload_content_type(j->hook->format), on_outcome, j,
                            &j->run);
  if (rc)
    return false;
  job_list_append(&t->sending, j);
  t->in_flight++;
  d->in_flight++;
  j->is_probe = t->breaker.held && !t->breaker.probing;
  if (j->is_probe)
    t->breaker.probing = true;
  return true;
}

static bool is_place_free(const target *t)
{
  unsigned most = t->in_flight == 0 ? XH_IN_FLIGHT_FIRST_MAX : XH_IN_FLIGHT_MAX;
  return t->dispatcher->in_flight < most;
}

static void starve(target *t)
{
  xh_dispatcher *d = t->dispatcher;
  if (t->starved)
    return;
  t->starved = true;
  t->next_starved = NULL;
  if (d->starved_last)
    d->starved_last->next_starved = t;
  else
    d->starved_first = t;
  d->starved_last = t;
}

/* Takes the first ready job that may start now out of the queue, or NULL. */
static job *next_job(target *t)
{
  for (;;) {
    job *j = t->ready.first;
    if (!j || !target_may_start(t, j, xh_mono_ms()))
      return NULL;
    if (target_hurry_leader(t, j))
      continue;
    target_unready(t, j);
    const char *reason = why_not(j);
    if (reason) {
      bury(j, reason);
      continue;
    }
    job *leader = target_leader_of(t, j);
    if (!leader)
      return j;
    job_list_append(&leader->followers, j);
  }
}

void target_pump(target *t)
{
  xh_dispatcher *d = t->dispatcher;
  if (d->stopping || !d->started)
    return;
  for (;;) {
    if (!is_place_free(t) && t->ready.count > 0 && !t->ready.first->urgent) {
      starve(t);
      break;
    }
    job *j = next_job(t);
    if (!j)
      break;
    if (!start(j)) {
      target_make_ready(t, j, true);
      target_wake_at(t, xh_mono_ms() + 1000);
      break;
    }
  }
  target_refill(t);
}

void dispatcher_feed_starved(xh_dispatcher *d)
{
  while (d->starved_first && is_place_free(d->starved_first)) {
    target *t = d->starved_first;
    d->starved_first = t->next_starved;
    if (!d->starved_first)
      d->starved_last = NULL;
    t->starved = false;
    target_pump(t);
  }
}
