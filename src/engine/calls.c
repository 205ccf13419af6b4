/* What can be asked over the protocol: docs/protocol.md, "Calls". */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/engine_internal.h"
#include "engine/sample.h"

#include <stdio.h>
#include <stdlib.h>

enum { RESULT_CAP_BYTES = 256 * 1024 * 1024, STATS_CAP_BYTES = 4 * 1024 * 1024 };

void engine_answer(xh_peer *peer, int64_t id, const xh_buf *result)
{
  if (xh_buf_error(result)) {
    xh_peer_error(peer, id, result->error, xh_err_text(result->error));
    return;
  }
  xh_buf line;
  xh_buf_init(&line, RESULT_CAP_BYTES + 64);
  xh_buf_printf(&line, "{\"id\":%lld,\"result\":", (long long)id);
  xh_buf_str(&line, xh_buf_span(result));
  xh_buf_char(&line, '}');
  if (xh_buf_error(&line))
    xh_peer_error(peer, id, line.error, "the answer is too large");
  else
    xh_peer_line(peer, xh_buf_span(&line));
  xh_buf_done(&line);
}

/* A connection that said hello sees its own source only. */
xh_str engine_scope_of(const xh_peer *peer)
{
  bool said;
  const xh_hello *hello = xh_peer_hello(peer, &said);
  return said ? xh_str_z(hello->source) : XH_STR("");
}

/* ---- stats ---- */

typedef struct target_list {
  const xh_engine *engine;
  xh_buf *out;
} target_list;

/* One that was not used in this life has its URL from the outbox. */
static void add_target(void *arg, const xh_target_report *report)
{
  const target_list *list = arg;
  xh_buf *out = list->out;
  if (out->len && out->ptr[out->len - 1] == '}')
    xh_buf_char(out, ',');
  xh_buf_z(out, "{\"url\":");
  xh_buf_json_z(out, *report->url_shown ? report->url_shown : xh_outbox_target_shown(list->engine->outbox, report->target_id));
  xh_buf_printf(out, ",\"pending\":%lld,\"inFlight\":%u,\"held\":%s", (long long)report->pending_count, report->in_flight,
                report->held_since_ms ? "true" : "false");
  if (report->held_since_ms)
    xh_buf_printf(out, ",\"heldSince\":%lld,\"nextProbeInMs\":%lld", (long long)report->held_since_ms,
                  (long long)report->next_probe_in_ms);
  if (report->failing_since_ms)
    xh_buf_printf(out, ",\"failingSince\":%lld", (long long)report->failing_since_ms);
  xh_buf_char(out, '}');
}

static int64_t resident_bytes(void)
{
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file)
    return 0;
  if (fscanf(file, "%*s %ld", &pages) != 1)
    pages = 0;
  fclose(file);
  return (int64_t)pages * 4096;
}

static void add_refusals(const xh_engine *e, xh_buf *out)
{
  bool first = true;
  xh_buf_z(out, ",\"refused\":{");
  for (int i = 0; i < (int)(sizeof e->refused.count / sizeof *e->refused.count); i++) {
    if (!e->refused.count[i])
      continue;
    xh_buf_printf(out, "%s\"%s\":%lld", first ? "" : ",", xh_err_name(-i), (long long)e->refused.count[i]);
    first = false;
  }
  xh_buf_char(out, '}');
}

static void add_sources(const xh_engine *e, xh_buf *out)
{
  size_t at = 0;
  void *value;
  bool first = true;
  xh_buf_z(out, ",\"sources\":[");
  while (xh_map_next(&e->sources, &at, NULL, &value)) {
    const source *s = value;
    xh_buf_z(out, first ? "{\"name\":" : ",{\"name\":");
    xh_buf_json_z(out, s->name);
    xh_buf_printf(out, ",\"hooks\":%zu,\"events\":%lld}", s->hooks ? xh_hooks_count(s->hooks) : 0, (long long)s->event_count);
    first = false;
  }
  xh_buf_char(out, ']');
}

/* Hooks that a 410 has stopped: nothing is sent for them until a retry or a test that works. */
static void add_stopped(const xh_engine *e, xh_buf *out)
{
  size_t at = 0;
  void *value;
  bool first = true;
  xh_buf_z(out, ",\"stopped\":[");
  while (xh_map_next(&e->sources, &at, NULL, &value)) {
    const source *s = value;
    for (size_t i = 0; s->hooks && i < xh_hooks_count(s->hooks); i++) {
      char label[512];
      const xh_hook *hook = xh_hooks_at(s->hooks, i);
      int64_t since_ms = xh_outbox_hook_stopped(e->outbox, s->routes[i].hook_id);
      if (!since_ms)
        continue;
      xh_hook_label(hook, label, sizeof label);
      xh_buf_z(out, first ? "{\"source\":" : ",{\"source\":");
      xh_buf_json_z(out, s->name);
      xh_buf_z(out, ",\"hook\":");
      xh_buf_json_z(out, label);
      xh_buf_printf(out, ",\"since\":%lld}", (long long)since_ms);
      first = false;
    }
  }
  xh_buf_char(out, ']');
}

void xh_engine_stats_json(xh_engine *engine, xh_buf *out)
{
  xh_outbox_stats store;
  xh_dispatcher_stats flow;
  xh_outbox_get_stats(engine->outbox, &store);
  xh_dispatcher_get_stats(engine->dispatcher, &flow);
  xh_buf_printf(out, "{\"version\":\"%s\",\"pid\":%d,\"upSince\":%lld", XH_VERSION, (int)getpid(), (long long)engine->started_ms);
  xh_buf_printf(out, ",\"events\":{\"received\":%lld,\"unmatched\":%lld,\"repeated\":%lld}", (long long)engine->event_count,
                (long long)engine->unmatched_count, (long long)engine->duplicate_count);
  add_refusals(engine, out);
  xh_buf_printf(out,
                ",\"deliveries\":{\"accepted\":%lld,\"delivered\":%lld,\"dead\":%lld,\"attempts\":%lld,\"pending\":%lld,"
                "\"deadKept\":%lld,\"sending\":%u}",
                (long long)store.accepted_total, (long long)store.delivered_total, (long long)store.dead_total,
                (long long)store.attempt_total, (long long)flow.pending_count, (long long)store.dead_count, flow.in_flight);
  xh_buf_printf(out,
                ",\"store\":{\"durable\":%s,\"fileBytes\":%lld,\"commits\":%lld,\"memoryBytes\":%lld,\"refused\":%lld,\"trouble\":",
                store.degraded ? "false" : "true", (long long)store.file_bytes, (long long)store.commit_count,
                (long long)store.memory_bytes, (long long)store.refused_count);
  xh_buf_json_z(out, *store.trouble ? store.trouble : NULL);
  if (store.degraded)
    xh_buf_printf(out, ",\"troubleSince\":%lld", (long long)store.degraded_since_ms);
  xh_buf_printf(out, "},\"memory\":{\"residentBytes\":%lld,\"readyCount\":%zu,\"readyBytes\":%zu,\"acceptingBytes\":%zu}",
                (long long)resident_bytes(), flow.ready_count, flow.ready_bytes, engine->accepting_bytes);
  add_sources(engine, out);
  xh_buf_z(out, ",\"targets\":[");
  target_list list = {.engine = engine, .out = out};
  xh_dispatcher_report(engine->dispatcher, add_target, &list);
  xh_buf_char(out, ']');
  add_stopped(engine, out);
  xh_buf_char(out, '}');
}

/* ---- retry and prune: answered when the outbox has done it ---- */

typedef struct asked {
  xh_engine *engine;
  xh_peer *peer;
  int64_t id;
} asked;

static asked *asked_new(xh_engine *e, xh_peer *peer, int64_t id)
{
  asked *a = calloc(1, sizeof *a);
  if (a)
    *a = (asked){.engine = e, .peer = xh_peer_ref(peer), .id = id};
  return a;
}

static void asked_end(asked *a, int rc, const char *name, int64_t count)
{
  if (rc) {
    xh_peer_error(a->peer, a->id, rc, xh_err_text(rc));
  } else {
    xh_buf result;
    xh_buf_init(&result, 256);
    xh_buf_printf(&result, "{\"%s\":%lld}", name, (long long)count);
    engine_answer(a->peer, a->id, &result);
    xh_buf_done(&result);
  }
  xh_peer_unref(a->peer);
  free(a);
}

static void on_retried(void *arg, int rc, int64_t count, const xh_retried *targets, size_t target_count)
{
  asked *a = arg;
  for (size_t i = 0; i < target_count; i++)
    xh_dispatcher_look(a->engine->dispatcher, targets[i].target_id, targets[i].revived_count);
  asked_end(a, rc, "retried", count);
}

void engine_retry(xh_engine *e, xh_peer *peer, int64_t id, const int64_t *ids, size_t count)
{
  asked *a = asked_new(e, peer, id);
  xh_retry_filter filter = {.ids = ids, .id_count = count};
  (void)xh_dispatcher_now_ms(e->dispatcher); /* the outbox notes the time: what waited before moves with a jump, this does not */
  int rc = a ? xh_outbox_retry(e->outbox, &filter, on_retried, a) : XH_ENOMEM;
  if (rc == 0)
    return;
  xh_peer_error(peer, id, rc, xh_err_text(rc));
  if (a)
    xh_peer_unref(a->peer);
  free(a);
}

static void on_pruned(void *arg, int rc, int64_t count)
{
  asked_end(arg, rc, "deleted", count);
}

/* What is misspelt must not mean "all". */
static bool has_only(xh_peer *peer, int64_t id, xh_str params, const char *const *known)
{
  char why[160];
  bool good = xh_json_has_only(params, known, why, sizeof why);
  if (!good)
    xh_peer_error(peer, id, XH_EINVAL, why);
  return good;
}

static void call_prune(xh_engine *e, xh_peer *peer, int64_t id, xh_str params)
{
  static const char *const known[] = {"before", NULL};
  xh_str value;
  int64_t before_ms = 0;
  if (!has_only(peer, id, params, known))
    return;
  bool all = xh_json_find(params, XH_STR("before"), &value);
  if (engine_scope_of(peer).len) {
    xh_peer_error(peer, id, XH_EDENIED, "prune touches all sources: ask it on the command line");
    return;
  }
  if (all && !xh_json_i64(value, &before_ms)) {
    xh_peer_error(peer, id, XH_EINVAL, "\"before\" must be a time in epoch milliseconds");
    return;
  }
  asked *a = asked_new(e, peer, id);
  int rc = a ? xh_outbox_prune(e->outbox, all, before_ms, on_pruned, a) : XH_ENOMEM;
  if (rc) {
    if (a)
      xh_peer_unref(a->peer);
    free(a);
    xh_peer_error(peer, id, rc, xh_err_text(rc));
  }
}

/* ---- test ---- */

typedef struct tested {
  xh_engine *engine;
  source *source;
  xh_peer *peer;
  int64_t id;
  xh_sample_run *run;
  struct tested *next, **link; /* among the engine's */
} tested;

/* A hook that a 410 had stopped answers well: it works again. */
static void on_worked(void *arg, const xh_hook *hook)
{
  const tested *t = arg;
  if (!t->engine->outbox || hook->index >= xh_hooks_count(t->source->hooks) || xh_hooks_at(t->source->hooks, hook->index) != hook)
    return; /* configured anew meanwhile */
  int64_t hook_id = t->source->routes[hook->index].hook_id;
  if (xh_outbox_hook_stopped(t->engine->outbox, hook_id))
    xh_outbox_hook_set_stopped(t->engine->outbox, hook_id, 0);
}

static void link_tested(tested *t)
{
  t->next = t->engine->tests;
  t->link = &t->engine->tests;
  if (t->next)
    t->next->link = &t->next;
  *t->link = t;
}

static void unlink_tested(tested *t)
{
  *t->link = t->next;
  if (t->next)
    t->next->link = t->link;
}

static void on_tested(void *arg, const xh_buf *result)
{
  tested *t = arg;
  engine_answer(t->peer, t->id, result);
  unlink_tested(t);
  xh_peer_unref(t->peer);
  free(t);
}

void engine_end_tests(xh_engine *e)
{
  while (e->tests)
    xh_sample_end(e->tests->run);
}

/* The source whose hooks a connection means: its own, or the one that a connection without hello names. */
static source *tested_source(xh_engine *e, const xh_peer *peer, xh_str params)
{
  xh_str value;
  bool said;
  const xh_hello *hello = xh_peer_hello(peer, &said);
  if (said || !xh_json_find(params, XH_STR("source"), &value) || xh_json_typeof(value) != XH_JSON_STRING || value.len < 2)
    return xh_map_get(&e->sources, xh_str_z(hello->source));
  return xh_map_get(&e->sources, (xh_str){value.ptr + 1, value.len - 2});
}

/* Places in the configuration, all of them there. */
static bool are_places(xh_str list, size_t count)
{
  xh_json_iter it;
  xh_str value;
  int64_t index;
  bool good = xh_json_typeof(list) == XH_JSON_ARRAY && xh_json_iter_init(&it, list);
  while (good && xh_json_next(&it, NULL, &value))
    good = xh_json_i64(value, &index) && index >= 0 && index < (int64_t)count;
  return good;
}

static void refuse_places(xh_peer *peer, int64_t id, size_t count)
{
  char why[160];
  snprintf(why, sizeof why, "parameter \"hooks\" must be a list of places in the configuration, from 0; this source has %zu hook%s", count,
           count == 1 ? "" : "s");
  xh_peer_error(peer, id, XH_EINVAL, why);
}

static void call_test(xh_engine *e, xh_peer *peer, int64_t id, xh_str params)
{
  static const char *const known[] = {"hooks", "source", NULL};
  if (!has_only(peer, id, params, known))
    return;
  source *s = tested_source(e, peer, params);
  if (!s || !s->hooks) {
    xh_peer_error(peer, id, XH_ENOENT, "this source has no hooks configured");
    return;
  }
  xh_str list = {NULL, 0};
  if (xh_json_find(params, XH_STR("hooks"), &list) && xh_json_typeof(list) != XH_JSON_NULL && !are_places(list, xh_hooks_count(s->hooks))) {
    refuse_places(peer, id, xh_hooks_count(s->hooks));
    return;
  }
  tested *t = calloc(1, sizeof *t);
  if (t)
    *t = (tested){.engine = e, .source = s, .peer = xh_peer_ref(peer), .id = id};
  xh_sample sample = {.transport = e->transport,
                      .hooks = s->hooks,
                      .list = list,
                      .source = xh_str_z(s->name),
                      .worked = on_worked,
                      .done = on_tested,
                      .arg = t};
  if (t)
    link_tested(t);
  if (t && xh_sample_send(&sample, &t->run) == 0)
    return;
  if (t) {
    unlink_tested(t);
    xh_peer_unref(t->peer);
  }
  free(t);
  xh_peer_error(peer, id, XH_ENOMEM, xh_err_text(XH_ENOMEM));
}

/* ---- questions ---- */

static void call_stats(xh_engine *e, xh_peer *peer, int64_t id, xh_str params)
{
  static const char *const known[] = {NULL};
  if (!has_only(peer, id, params, known))
    return;
  xh_buf result;
  xh_buf_init(&result, STATS_CAP_BYTES);
  xh_engine_stats_json(e, &result);
  engine_answer(peer, id, &result);
  xh_buf_done(&result);
}

static void call_ping(xh_peer *peer, int64_t id)
{
  xh_buf result;
  xh_buf_init(&result, 128);
  xh_buf_z(&result, "{\"version\":\"" XH_VERSION "\"}");
  engine_answer(peer, id, &result);
  xh_buf_done(&result);
}

void engine_call(xh_engine *e, xh_peer *peer, int64_t id, xh_str name, xh_str params)
{
  if (xh_str_eqz(name, "ping"))
    call_ping(peer, id);
  else if (xh_str_eqz(name, "stats"))
    call_stats(e, peer, id, params);
  else if (xh_str_eqz(name, "deliveries"))
    engine_ask(e, peer, id, ASK_DELIVERIES, params);
  else if (xh_str_eqz(name, "delivery"))
    engine_ask(e, peer, id, ASK_DELIVERY, params);
  else if (xh_str_eqz(name, "retry"))
    engine_ask(e, peer, id, ASK_RETRY, params);
  else if (xh_str_eqz(name, "prune"))
    call_prune(e, peer, id, params);
  else if (xh_str_eqz(name, "test"))
    call_test(e, peer, id, params);
  else
    xh_peer_error(peer, id, XH_ENOENT, "there is no such call: ping, stats, deliveries, delivery, retry, test, prune");
}
