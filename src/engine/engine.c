#include "engine/engine.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { PRUNE_AGAIN_MS = 60000 };

/* ---- sources ---- */

static void free_source(void *value)
{
  source *s = value;
  xh_hooks_unref(s->hooks);
  free(s->routes);
  free(s);
}

source *engine_source(xh_engine *e, xh_str name)
{
  source *s = xh_map_get(&e->sources, name);
  if (s || name.len > XH_SOURCE_NAME_MAX)
    return s;
  int64_t id = xh_outbox_source(e->outbox, name);
  s = id ? calloc(1, sizeof *s) : NULL;
  if (!s || xh_map_set(&e->sources, name, s) != 0) {
    free(s);
    return NULL;
  }
  s->engine = e;
  memcpy(s->name, name.ptr, name.len);
  s->id = id;
  return s;
}

int xh_engine_configure(xh_engine *engine, xh_str source_name, xh_hooks *hooks)
{
  source *s = engine_source(engine, source_name);
  size_t count = xh_hooks_count(hooks);
  route *routes = s ? calloc(count + 1, sizeof *routes) : NULL;
  if (!routes)
    return XH_ENOMEM;
  for (size_t i = 0; i < count; i++) {
    xh_hook *hook = xh_hooks_at(hooks, i);
    char label[256];
    xh_hook_label(hook, label, sizeof label);
    routes[i].hook_id = xh_outbox_hook(engine->outbox, s->id, xh_str_z(hook->digest), xh_str_z(hook->config), xh_str_z(label),
                                       xh_str_z(hook->url_shown));
    routes[i].target_id = xh_outbox_target(engine->outbox, xh_str_z(hook->target_key), xh_str_z(hook->url_shown));
    if (!routes[i].hook_id || !routes[i].target_id ||
        xh_dispatcher_set_hook(engine->dispatcher, routes[i].hook_id, routes[i].target_id, hook) != 0) {
      free(routes);
      return XH_ENOMEM;
    }
  }
  xh_hooks_unref(s->hooks);
  free(s->routes);
  s->hooks = xh_hooks_ref(hooks);
  s->routes = routes;
  return 0;
}

void engine_refused(xh_engine *e, int code)
{
  size_t at = code < 0 ? (size_t)-code : 0;
  if (at < sizeof e->refused.count / sizeof *e->refused.count)
    e->refused.count[at]++;
}

/* ---- housekeeping ---- */

static void on_pruned(void *arg, int rc, int64_t count)
{
  xh_engine *e = arg;
  e->pruning = false;
  if (rc == 0 && count > 0)
    xh_log(XH_LOG_DEBUG, "pruned %lld deliveries", (long long)count);
  engine_plan_prune(e);
}

static void on_prune_timer(uv_timer_t *timer)
{
  xh_engine *e = timer->data;
  e->pruning = xh_outbox_prune(e->outbox, false, 0, on_pruned, e) == 0;
}

/* A timer only while something is kept that will be old some time: an idle program sleeps. */
void engine_plan_prune(xh_engine *e)
{
  int64_t at_ms = xh_outbox_next_prune_ms(e->outbox);
  if (at_ms == 0 || e->pruning || e->stopping || uv_is_active((uv_handle_t *)&e->prune_timer))
    return;
  int64_t wait_ms = at_ms - xh_wall_ms();
  uv_timer_start(&e->prune_timer, on_prune_timer, (uint64_t)(wait_ms > PRUNE_AGAIN_MS ? wait_ms : PRUNE_AGAIN_MS), 0);
}

static void on_outbox_ready(uv_async_t *async)
{
  xh_engine *e = async->data;
  xh_outbox_dispatch(e->outbox);
}

static void wake(void *arg)
{
  xh_engine *e = arg;
  uv_async_send(&e->outbox_ready);
}

static void on_outbox_lost(void *arg)
{
  xh_engine *e = arg;
  if (e->dispatcher)
    xh_dispatcher_outbox_lost(e->dispatcher);
}

/* ---- what others ask ---- */

const char *xh_engine_instance(const xh_engine *engine)
{
  return xh_outbox_instance(engine->outbox);
}

const xh_sink *xh_engine_sink(xh_engine *engine)
{
  return &engine->sink;
}

void xh_engine_set_intake(xh_engine *engine, xh_intake *intake)
{
  engine->intake = intake;
}

void xh_engine_on_stdio_end(xh_engine *engine, void (*ended)(void *arg), void *arg)
{
  engine->stdio_ended = ended;
  engine->stdio_arg = arg;
}

int xh_engine_event(xh_engine *engine, xh_str source_name, const xh_event *event, xh_engine_event_cb done, void *arg)
{
  source *s = engine_source(engine, source_name);
  if (!s)
    return XH_ENOMEM;
  incoming in = {.source = s, .event = event, .done = done, .done_arg = arg};
  return engine_accept(engine, &in);
}

void xh_engine_get_totals(const xh_engine *engine, xh_engine_totals *ret_totals)
{
  xh_outbox_stats stats;
  xh_dispatcher_stats flow;
  xh_outbox_get_stats(engine->outbox, &stats);
  xh_dispatcher_get_stats(engine->dispatcher, &flow);
  *ret_totals = (xh_engine_totals){.pending = flow.pending_count,
                                   .delivered = stats.delivered_total,
                                   .dead = stats.dead_total,
                                   .accepting = (int64_t)engine->accepting_count};
}

bool xh_engine_is_settled(const xh_engine *engine)
{
  xh_dispatcher_stats flow;
  xh_outbox_stats store;
  xh_dispatcher_get_stats(engine->dispatcher, &flow);
  xh_outbox_get_stats(engine->outbox, &store);
  return flow.pending_count == 0 && engine->accepting_count == 0 && store.memory_bytes == 0;
}

/* ---- life ---- */

static void free_parts(xh_engine *e)
{
  xh_report_close(e->report);
  xh_map_done(&e->sources, free_source);
  free(e->matched);
  free(e);
}

int xh_engine_open(const xh_engine_options *options, xh_engine **ret_engine, int *ret_pid)
{
  xh_engine *e = calloc(1, sizeof *e);
  if (!e)
    return XH_ENOMEM;
  e->loop = options->loop;
  e->started_ms = xh_wall_ms();
  engine_init_sink(e);
  xh_outbox_options outbox = {.folder = options->folder,
                              .wake = wake,
                              .wake_arg = e,
                              .lost = on_outbox_lost,
                              .lost_arg = e,
                              .delivered_keep_ms = options->delivered_keep_ms,
                              .delivered_keep_bytes = options->delivered_keep_bytes,
                              .dead_keep_ms = options->dead_keep_ms,
                              .memory_cap_bytes = options->memory_cap_bytes,
                              .begin_in_trouble = options->begin_in_trouble};
  xh_transport_options transport = {.allow_metadata = options->allow_metadata,
                                    .allow_metadata_count = options->allow_metadata_count};
  uv_async_init(e->loop, &e->outbox_ready, on_outbox_ready);
  uv_timer_init(e->loop, &e->prune_timer);
  e->outbox_ready.data = e->prune_timer.data = e;
  e->handles_open = 2;
  int rc = xh_outbox_open(&outbox, &e->outbox, ret_pid);
  if (rc == 0)
    rc = xh_report_new(options->folder, &e->report);
  if (rc == 0)
    rc = xh_transport_new(e->loop, &transport, &e->transport);
  if (rc == 0)
    rc = xh_dispatcher_new(
        &(xh_dispatcher_options){.loop = e->loop, .transport = e->transport, .outbox = e->outbox}, &e->dispatcher);
  if (rc) {
    xh_engine_free(e);
    return rc;
  }
  *ret_engine = e;
  return 0;
}

void xh_engine_start(xh_engine *engine)
{
  xh_dispatcher_start(engine->dispatcher);
  engine_plan_prune(engine);
}

static void on_handle_closed(uv_handle_t *handle)
{
  xh_engine *e = handle->data;
  e->handles_open--;
}

static void nothing(void *arg)
{
  (void)arg;
}

/* The loop has to run on until the handles are closed; the engine is freed after that. */
static void on_transport_closed(void *arg)
{
  xh_engine *e = arg;
  e->transport = NULL;
  if (e->stopped)
    e->stopped(e->stopped_arg);
}

static void close_parts(xh_engine *e)
{
  engine_end_questions(e);
  engine_end_waiters(e); /* they watch the dispatcher */
  engine_end_tests(e);
  xh_report_close(e->report); /* before the writer: the last connection to close cleans the journal up */
  e->report = NULL;
  if (e->outbox)
    xh_outbox_close(e->outbox); /* the dispatcher hears of its last callbacks */
  e->outbox = NULL;
  uv_close((uv_handle_t *)&e->outbox_ready, on_handle_closed);
  uv_close((uv_handle_t *)&e->prune_timer, on_handle_closed);
  xh_dispatcher_free(e->dispatcher);
  e->dispatcher = NULL;
  if (e->transport)
    xh_transport_close(e->transport, on_transport_closed, e);
}

static void on_dispatcher_stopped(void *arg)
{
  close_parts(arg);
}

void xh_engine_stop(xh_engine *engine, void (*done)(void *arg), void *arg)
{
  if (engine->stopping)
    return;
  engine->stopping = true;
  engine->stopped = done ? done : nothing;
  engine->stopped_arg = arg;
  uv_timer_stop(&engine->prune_timer);
  xh_dispatcher_stop(engine->dispatcher, XH_STOP_GRACE_MS, on_dispatcher_stopped, engine);
}

void xh_engine_free(xh_engine *engine)
{
  if (!engine)
    return;
  if (!engine->stopping) { /* never started, or opening failed */
    engine->stopping = true;
    close_parts(engine);
  }
  while (engine->handles_open > 0 || engine->transport)
    uv_run(engine->loop, UV_RUN_ONCE);
  free_parts(engine);
}
