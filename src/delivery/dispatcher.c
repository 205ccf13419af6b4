#include "delivery/dispatcher.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "delivery/dispatcher_internal.h"
#include "hooks/hooks.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
  BURST_COUNT = 1024, /* so many deliveries in memory at once leave a heap worth giving back, */
  CALM_MS = 1000      /* after so long without any */
};

/* ---- hooks ---- */

static void unref_hook(void *hook)
{
  xh_hook_unref(hook);
}

int xh_dispatcher_set_hook(xh_dispatcher *dispatcher, int64_t hook_id, int64_t target_id, xh_hook *hook)
{
  xh_hook *old = xh_map_get_id(&dispatcher->hooks, hook_id);
  if (!dispatcher_target(dispatcher, target_id) || xh_map_set_id(&dispatcher->hooks, hook_id, hook) != 0)
    return XH_ENOMEM;
  xh_hook_ref(hook);
  xh_hook_unref(old);
  return 0;
}

int dispatcher_hook(xh_dispatcher *d, int64_t hook_id, xh_hook **ret_hook)
{
  xh_hook *hook = xh_map_get_id(&d->hooks, hook_id);
  char *config;
  if (hook) {
    *ret_hook = hook;
    return 0;
  }
  int rc = xh_outbox_hook_config(d->outbox, hook_id, &config);
  if (rc == 0) {
    rc = xh_hook_compile(xh_str_z(config), &hook);
    free(config);
  }
  if (rc == 0 && xh_map_set_id(&d->hooks, hook_id, hook) != 0) {
    xh_hook_unref(hook);
    rc = XH_ENOMEM;
  }
  if (rc)
    xh_log(XH_LOG_ERROR, "hook %lld in the outbox can't be read: %s", (long long)hook_id, xh_err_text(rc));
  else
    *ret_hook = hook;
  return rc;
}

/* ---- targets ---- */

static void free_target(void *value)
{
  target *t = value;
  target_forget_gone(t);
  free(t);
}

target *dispatcher_target(xh_dispatcher *d, int64_t target_id)
{
  target *t = xh_map_get_id(&d->targets, target_id);
  if (t)
    return t;
  t = calloc(1, sizeof *t);
  if (!t || xh_map_set_id(&d->targets, target_id, t) != 0) {
    free(t);
    return NULL;
  }
  t->id = target_id;
  t->dispatcher = d;
  t->window = XH_TARGET_WINDOW_FIRST;
  t->timer_at_ms = INT64_MAX;
  return t;
}

const char *target_shown(const target *t)
{
  return xh_outbox_target_shown(t->dispatcher->outbox, t->id);
}

/* After a burst the C library keeps the heap for the next one; a host that is short of memory needs it now. */
static void give_memory_back(uv_timer_t *timer)
{
  xh_dispatcher *d = timer->data;
  if (d->active.count > 0)
    return; /* when these are gone it is asked again */
  d->burst_count = 0;
  malloc_trim(0);
}

void dispatcher_drop(xh_dispatcher *d, job *j)
{
  if (d->active.count > d->burst_count)
    d->burst_count = d->active.count;
  xh_map_remove_id(&d->active, j->delivery->id);
  target_note_gone(j->target, j->delivery->id);
  d->ready_bytes -= job_bytes(j->delivery);
  job_free(j);
  if (d->active.count == 0 && d->burst_count >= BURST_COUNT && !d->stopping)
    uv_timer_start(&d->calm, give_memory_back, CALM_MS, 0);
}

/* ---- time ---- */

/* What waits keeps its distance, so that nothing expires or comes years late because the clock was set. */
static void move_along(xh_dispatcher *d, int64_t jump_ms)
{
  d->moved_ms += jump_ms;
  xh_outbox_shift_due(d->outbox, jump_ms);
  size_t at = 0;
  void *value;
  while (xh_map_next(&d->targets, &at, NULL, &value)) {
    target *t = value;
    t->due_ms = xh_moved(t->due_ms, jump_ms);
  }
  at = 0;
  while (xh_map_next(&d->active, &at, NULL, &value)) {
    job *j = value;
    j->due_ms = xh_moved(j->due_ms, jump_ms);
    delivery_move(j->delivery, jump_ms);
  }
}

int64_t xh_dispatcher_now_ms(xh_dispatcher *dispatcher)
{
  xh_dispatcher *d = dispatcher;
  int64_t wall_ms = xh_wall_ms(), offset_ms = wall_ms - xh_mono_ms();
  int64_t jump_ms = offset_ms - d->clock_offset_ms;
  if (jump_ms > -XH_CLOCK_JUMP_MS && jump_ms < XH_CLOCK_JUMP_MS)
    return wall_ms;
  d->clock_offset_ms = offset_ms;
  xh_log(XH_LOG_WARN, "the clock was set %s by %lld ms; times of retries and expiry move with it", jump_ms > 0 ? "forward" : "back",
         (long long)(jump_ms > 0 ? jump_ms : -jump_ms));
  move_along(d, jump_ms);
  return wall_ms;
}

int64_t xh_dispatcher_moved_ms(const xh_dispatcher *dispatcher)
{
  return dispatcher->moved_ms;
}

static void for_each_target(xh_dispatcher *d, void (*each)(target *t))
{
  size_t at = 0;
  void *value;
  while (xh_map_next(&d->targets, &at, NULL, &value))
    each(value);
}

static void on_target_timer(uv_timer_t *timer)
{
  target *t = timer->data;
  t->timer_at_ms = INT64_MAX;
  target_check_time(t, xh_dispatcher_now_ms(t->dispatcher), xh_mono_ms());
  target_plan(t);
}

void target_wake_at(target *t, int64_t mono_ms)
{
  xh_dispatcher *d = t->dispatcher;
  if (d->stopping || mono_ms >= t->timer_at_ms)
    return;
  if (!t->has_timer) {
    uv_timer_init(d->loop, &t->timer);
    t->timer.data = t;
    t->has_timer = true;
  }
  t->timer_at_ms = mono_ms;
  int64_t wait_ms = mono_ms - xh_mono_ms();
  uv_update_time(d->loop);
  uv_timer_start(&t->timer, on_target_timer, (uint64_t)(wait_ms > 0 ? wait_ms : 0), 0);
}

/* ---- submissions ---- */

static void on_kick(uv_idle_t *idle)
{
  xh_dispatcher *d = idle->data;
  target *next;
  uv_idle_stop(idle);
  for (target *t = d->kicked_first; t; t = next) {
    next = t->next_kicked;
    t->kicked = false;
    target_pump(t);
    target_plan(t);
  }
  d->kicked_first = d->kicked_last = NULL;
}

static void kick(target *t)
{
  xh_dispatcher *d = t->dispatcher;
  if (t->kicked || d->stopping)
    return;
  t->kicked = true;
  t->next_kicked = NULL;
  if (d->kicked_last)
    d->kicked_last->next_kicked = t;
  else
    d->kicked_first = t;
  d->kicked_last = t;
  uv_idle_start(&d->kick, on_kick);
}

/* Does it stay in the outbox for now? Then everything after it does too, until the target has caught up. */
/* A post event that is not stored waits when its pre event may be in the outbox only. */
static bool waits_for_outbox(const target *t, const xh_submission *s)
{
  return t->overflow && t->pre_left && !s->durable && !s->urgent && s->delivery->type == XH_POST;
}

static bool leave_in_outbox(target *t, const xh_submission *s)
{
  const xh_dispatcher *d = t->dispatcher;
  size_t bytes = job_bytes(s->delivery);
  if (s->urgent || !s->durable)
    return false;
  bool full = !target_has_room(t, bytes) || (d->ready_bytes > 0 && d->ready_bytes + bytes > XH_READY_BYTES_MAX);
  if (!t->overflow && !full)
    return false;
  if (!t->overflow)
    t->cursor = s->delivery->id - 1;
  t->pre_left = (t->overflow && t->pre_left) || s->delivery->type == XH_PRE;
  t->overflow = true;
  t->dropped_since_refill = true;
  return true;
}

void xh_dispatcher_submit(xh_dispatcher *dispatcher, const xh_submission *submission)
{
  xh_dispatcher *d = dispatcher;
  xh_delivery *delivery = submission->delivery;
  target *t = dispatcher_target(d, delivery->target_id);
  if (!t) {
    xh_delivery_free(delivery); /* it stays in the outbox; can't be: its target was made with its hook */
    return;
  }
  t->pending_count++;
  xh_hook *hook = NULL;
  (void)dispatcher_hook(d, delivery->hook_id, &hook);
  if (leave_in_outbox(t, submission)) {
    xh_delivery_free(delivery);
    target_refill(t);
    return;
  }
  int64_t id = delivery->id;
  job *j = hook ? job_new(t, delivery, hook) : NULL;
  if (!hook)
    xh_delivery_free(delivery);
  if (!j || xh_map_set_id(&d->active, id, j) != 0) {
    job_free(j);
    target_again_from(t, id);
    return;
  }
  j->durable = submission->durable;
  j->urgent = submission->urgent;
  j->watch = submission->watch;
  j->watch_arg = submission->watch_arg;
  d->ready_bytes += job_bytes(delivery);
  if (waits_for_outbox(t, submission)) {
    job_list_append(&t->behind, j);
    target_refill(t);
    return;
  }
  target_make_ready(t, j, j->urgent);
  kick(t);
}

void xh_dispatcher_unwatch(xh_dispatcher *dispatcher, int64_t delivery_id)
{
  job *j = xh_map_get_id(&dispatcher->active, delivery_id);
  if (j)
    j->watch = NULL;
}

void xh_dispatcher_look(xh_dispatcher *dispatcher, int64_t target_id, int64_t revived_count)
{
  target *t = dispatcher_target(dispatcher, target_id);
  if (!t)
    return;
  t->pending_count += revived_count;
  target_retry_at(t, xh_dispatcher_now_ms(dispatcher));
  if (t->breaker.held)
    t->breaker.probe_at_ms = xh_mono_ms();
  target_pump(t);
}

void xh_dispatcher_forget(xh_dispatcher *dispatcher, int64_t target_id, int64_t count)
{
  target *t = xh_map_get_id(&dispatcher->targets, target_id);
  if (t)
    t->pending_count -= count;
}

void xh_dispatcher_outbox_lost(xh_dispatcher *dispatcher)
{
  size_t at = 0;
  void *value;
  while (xh_map_next(&dispatcher->targets, &at, NULL, &value))
    ((target *)value)->pending_count = 0;
  at = 0;
  while (xh_map_next(&dispatcher->active, &at, NULL, &value)) {
    job *j = value;
    j->durable = false;
    j->target->pending_count++;
  }
}

/* ---- reports ---- */

int64_t xh_dispatcher_held_since(const xh_dispatcher *dispatcher, int64_t target_id)
{
  const target *t = xh_map_get_id(&dispatcher->targets, target_id);
  return t && t->breaker.held ? t->held_since_ms : 0;
}

bool xh_dispatcher_is_behind(const xh_dispatcher *dispatcher, int64_t target_id)
{
  const target *t = xh_map_get_id(&dispatcher->targets, target_id);
  return t && t->overflow;
}

size_t xh_dispatcher_sending(const xh_dispatcher *dispatcher, int64_t *ids, size_t most)
{
  size_t count = 0, at = 0;
  void *value;
  while (xh_map_next(&dispatcher->targets, &at, NULL, &value))
    for (const job *j = ((target *)value)->sending.first; j; j = j->next, count++)
      if (count < most)
        ids[count] = j->delivery->id;
  return count;
}

void xh_dispatcher_report(const xh_dispatcher *dispatcher, void (*each)(void *arg, const xh_target_report *report), void *arg)
{
  size_t at = 0;
  void *value;
  int64_t now_ms = xh_mono_ms();
  while (xh_map_next(&dispatcher->targets, &at, NULL, &value)) {
    const target *t = value;
    int64_t probe_ms = t->breaker.probe_at_ms - now_ms;
    each(arg, &(xh_target_report){.target_id = t->id,
                                  .url_shown = target_shown(t),
                                  .pending_count = t->pending_count,
                                  .in_flight = t->in_flight,
                                  .held_since_ms = t->breaker.held ? t->held_since_ms : 0,
                                  .failing_since_ms = t->failing_since_ms,
                                  .next_probe_in_ms = t->breaker.held && probe_ms > 0 ? probe_ms : 0});
  }
}

void xh_dispatcher_get_stats(const xh_dispatcher *dispatcher, xh_dispatcher_stats *ret_stats)
{
  xh_dispatcher_stats stats = {.in_flight = dispatcher->in_flight, .ready_bytes = dispatcher->ready_bytes};
  size_t at = 0;
  void *value;
  while (xh_map_next(&dispatcher->targets, &at, NULL, &value)) {
    const target *t = value;
    stats.ready_count += t->ready.count;
    stats.pending_count += t->pending_count;
    stats.held_targets += t->breaker.held;
  }
  *ret_stats = stats;
}

/* ---- life ---- */

static int take_backlog(xh_dispatcher *d)
{
  const xh_target_backlog *items;
  size_t count = xh_outbox_backlog(d->outbox, &items);
  for (size_t i = 0; i < count; i++) {
    target *t = dispatcher_target(d, items[i].target_id);
    if (!t)
      return XH_ENOMEM;
    t->pending_count = items[i].pending_count;
    t->overflow = t->dropped_since_refill = true;
    t->due_ms = 1; /* perhaps; the first look tells */
    if (items[i].held_since_ms) {
      xh_breaker_restore(&t->breaker, xh_mono_ms());
      t->held_since_ms = t->failing_since_ms = items[i].held_since_ms;
      t->logged_down = true;
    }
  }
  return 0;
}

static void free_all(xh_dispatcher *d)
{
  xh_map_done(&d->active, NULL);
  xh_map_done(&d->targets, free_target);
  xh_map_done(&d->hooks, unref_hook);
  free(d);
}

int xh_dispatcher_new(const xh_dispatcher_options *options, xh_dispatcher **ret_dispatcher)
{
  xh_dispatcher *d = calloc(1, sizeof *d);
  if (!d)
    return XH_ENOMEM;
  d->loop = options->loop;
  d->transport = options->transport;
  d->outbox = options->outbox;
  d->clock_offset_ms = xh_wall_ms() - xh_mono_ms();
  if (getrandom(&d->random_state, sizeof d->random_state, GRND_NONBLOCK) != (ssize_t)sizeof d->random_state ||
      d->random_state == 0)
    d->random_state = (uint64_t)xh_wall_ms();
  int rc = take_backlog(d);
  if (rc) {
    free_all(d);
    return rc;
  }
  uv_timer_init(d->loop, &d->calm);
  uv_timer_init(d->loop, &d->grace);
  uv_idle_init(d->loop, &d->kick);
  d->calm.data = d->grace.data = d->kick.data = d;
  d->handles_open = 3;
  *ret_dispatcher = d;
  return 0;
}

void xh_dispatcher_start(xh_dispatcher *dispatcher)
{
  dispatcher->started = true;
  for_each_target(dispatcher, target_pump);
  for_each_target(dispatcher, target_plan);
}

static void one_closed(xh_dispatcher *d)
{
  if (--d->handles_open == 0)
    d->stopped(d->stopped_arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
  one_closed(handle->data);
}

static void on_target_timer_closed(uv_handle_t *handle)
{
  one_closed(((target *)handle->data)->dispatcher);
}

static void close_timer(target *t)
{
  if (!t->has_timer)
    return;
  t->dispatcher->handles_open++;
  uv_close((uv_handle_t *)&t->timer, on_target_timer_closed);
}

static void close_handles(xh_dispatcher *d)
{
  if (uv_is_closing((uv_handle_t *)&d->calm))
    return;
  for_each_target(d, close_timer);
  uv_close((uv_handle_t *)&d->calm, on_handle_closed);
  uv_close((uv_handle_t *)&d->grace, on_handle_closed);
  uv_close((uv_handle_t *)&d->kick, on_handle_closed);
}

void dispatcher_check_stopped(xh_dispatcher *d)
{
  if (d->stopping && d->in_flight == 0)
    close_handles(d);
}

static void on_grace(uv_timer_t *timer)
{
  close_handles(timer->data);
}

static void stop_timer(target *t)
{
  if (t->has_timer)
    uv_timer_stop(&t->timer);
}

void xh_dispatcher_stop(xh_dispatcher *dispatcher, int64_t grace_ms, void (*done)(void *arg), void *arg)
{
  dispatcher->stopping = true;
  dispatcher->stopped = done;
  dispatcher->stopped_arg = arg;
  for_each_target(dispatcher, stop_timer);
  uv_timer_stop(&dispatcher->calm);
  uv_timer_start(&dispatcher->grace, on_grace, (uint64_t)grace_ms, 0);
  dispatcher_check_stopped(dispatcher);
}

void xh_dispatcher_free(xh_dispatcher *dispatcher)
{
  if (!dispatcher)
    return;
  size_t at = 0;
  void *value;
  while (xh_map_next(&dispatcher->active, &at, NULL, &value)) {
    job *j = value;
    if (j->run)
      xh_attempt_cancel(j->run);
    job_free(j);
  }
  free_all(dispatcher);
}
