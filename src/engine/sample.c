#include "engine/sample.h"

#include "base/clock.h"
#include "base/err.h"
#include "delivery/attempt.h"
#include "payload/payload.h"

#include <stdio.h>
#include <stdlib.h>

enum { RESULT_CAP_BYTES = 8 * 1024 * 1024, SAMPLE_CAP_BYTES = 4096, TESTS_AT_ONCE = 8 };

typedef struct one_test {
  xh_sample_run *run;
  xh_hook *hook; /* referenced */
  xh_attempt_run *attempt; /* while it runs */
  xh_buf body;
} one_test;

struct xh_sample_run {
  xh_sample ask;
  size_t count, started, ended;
  one_test *tests;
  xh_buf results; /* entries separated by commas */
};

/* A method the hook is for: its own name, or a well-known one that its wildcard fits. */
static xh_str sample_method(const xh_hook *hook)
{
  xh_str pattern = xh_str_z(hook->method);
  if (!memchr(pattern.ptr, '*', pattern.len))
    return pattern;
  if (xh_method_fits(pattern, XH_STR("vm.start")))
    return XH_STR("vm.start");
  for (const char *const *name = xh_hooks_methods(); *name; name++)
    if (xh_method_fits(pattern, xh_str_z(*name)))
      return xh_str_z(*name);
  return XH_STR("vm.start");
}

/* What the stock plugin's Test sends, in its words: callId "0", and here a time that is true. */
static void sample_event(const xh_hook *hook, xh_buf *out)
{
  xh_str method = sample_method(hook);
  bool post = (hook->types & XH_POST) != 0;
  xh_buf_z(out, "{\"callId\":\"0\",\"userId\":\"xo-hooks-test\",\"userName\":\"test@xo-hooks\",\"method\":");
  xh_buf_json(out, method);
  xh_buf_printf(out, ",\"params\":{\"id\":\"00000000-0000-4000-8000-000000000000\"},\"timestamp\":%lld", (long long)xh_wall_ms());
  if (post && hook->only == XH_ONLY_FAILURE)
    xh_buf_z(out, ",\"duration\":42,\"error\":{\"code\":1,\"message\":\"a sample error: this is a test\",\"name\":\"XoError\"}");
  else if (post)
    xh_buf_z(out, ",\"duration\":42,\"result\":true");
  xh_buf_z(out, post ? ",\"type\":\"post\"}" : ",\"type\":\"pre\"}");
}

static int render_sample(one_test *t, xh_str from)
{
  xh_buf sample;
  xh_event event;
  xh_payload payload;
  xh_buf_init(&sample, SAMPLE_CAP_BYTES);
  sample_event(t->hook, &sample);
  int rc = xh_event_parse(xh_buf_span(&sample), &event, NULL);
  if (rc == 0)
    rc = xh_payload_render(t->hook, &event, from, &payload, &t->body);
  if (rc == 0 && payload.verbatim)
    rc = xh_buf_str(&t->body, event.raw);
  xh_buf_done(&sample);
  return rc;
}

static void add_result(one_test *t, const xh_outcome *outcome)
{
  xh_buf *out = &t->run->results;
  const xh_attempt *a = &outcome->record;
  char label[256];
  xh_hook_label(t->hook, label, sizeof label);
  xh_buf_z(out, out->len ? ",{\"hook\":" : "{\"hook\":");
  xh_buf_json_z(out, label);
  xh_buf_printf(out, ",\"index\":%u,\"url\":", t->hook->index);
  xh_buf_json_z(out, t->hook->url_shown);
  xh_buf_printf(out, ",\"ok\":%s,\"status\":", outcome->result == XH_RESULT_DELIVERED ? "true" : "false");
  if (a->http_status)
    xh_buf_i64(out, a->http_status);
  else
    xh_buf_z(out, "null");
  xh_buf_printf(out, ",\"durationMs\":%lld", (long long)(a->total_us / 1000));
  const int64_t times_us[] = {a->name_us, a->connect_us, a->tls_us, a->first_byte_us, a->total_us};
  static const char *const names[] = {"nameLookupMs", "connectMs", "tlsMs", "firstByteMs", "totalMs"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (times_us[i] >= 0)
      xh_buf_printf(out, ",\"%s\":%.3f", names[i], (double)times_us[i] / 1000);
  xh_buf_printf(out, ",\"fault\":\"%s\",\"error\":", xh_fault_name(a->fault));
  xh_buf_json_z(out, outcome->result == XH_RESULT_DELIVERED ? NULL : a->words);
  xh_buf_z(out, ",\"answer\":");
  xh_buf_json(out, (xh_str){a->answer ? a->answer : "", a->answer_len});
  xh_buf_char(out, '}');
}

static void finish(xh_sample_run *run)
{
  xh_buf result;
  xh_buf_init(&result, RESULT_CAP_BYTES + 64);
  xh_buf_z(&result, "{\"results\":[");
  xh_buf_str(&result, xh_buf_span(&run->results));
  xh_buf_z(&result, "]}");
  run->ask.done(run->ask.arg, &result);
  xh_buf_done(&result);
  for (size_t i = 0; i < run->count; i++) {
    xh_hook_unref(run->tests[i].hook);
    xh_buf_done(&run->tests[i].body);
  }
  xh_buf_done(&run->results);
  xh_hooks_unref(run->ask.hooks);
  free(run->tests);
  free(run);
}

static void start_more(xh_sample_run *run);

static void end_one(one_test *t, xh_outcome *outcome)
{
  xh_sample_run *run = t->run;
  add_result(t, outcome);
  free(outcome->record.answer);
  run->ended++;
  if (outcome->result == XH_RESULT_DELIVERED && run->ask.worked)
    run->ask.worked(run->ask.arg, t->hook);
}

static void on_outcome(void *arg, xh_outcome *outcome)
{
  one_test *t = arg;
  xh_sample_run *run = t->run;
  t->attempt = NULL;
  end_one(t, outcome);
  start_more(run);
}

static void end_without(one_test *t, const char *why)
{
  xh_outcome outcome = {.result = XH_RESULT_FAILED, .record = {.fault = XH_FAULT_OURS, .total_us = 0}};
  snprintf(outcome.record.words, sizeof outcome.record.words, "not sent: %s", why);
  end_one(t, &outcome);
}

static void start_one(xh_sample_run *run, one_test *t)
{
  char id[40];
  snprintf(id, sizeof id, "msg_test%08x%08x", (unsigned)(xh_wall_ms() & 0xffffffff), t->hook->index);
  int rc = t->body.len ? xh_attempt_start(run->ask.transport, t->hook, id, xh_buf_span(&t->body),
                                          xh_payload_content_type(t->hook->format), on_outcome, t, &t->attempt)
                       : XH_ENOMEM;
  if (rc)
    end_without(t, xh_err_text(rc));
}

static void start_more(xh_sample_run *run)
{
  while (run->started < run->count && run->started - run->ended < TESTS_AT_ONCE)
    start_one(run, &run->tests[run->started++]);
  if (run->ended == run->count)
    finish(run);
}

/* Is place `index` asked for? Without a list all enabled hooks are. */
static bool chosen(xh_str list, const xh_hook *hook)
{
  xh_json_iter it;
  xh_str value;
  int64_t index;
  if (!list.ptr || !xh_json_iter_init(&it, list))
    return hook->enabled;
  while (xh_json_next(&it, NULL, &value))
    if (xh_json_i64(value, &index) && index == (int64_t)hook->index)
      return true;
  return false;
}

void xh_sample_end(xh_sample_run *run)
{
  run->ask.worked = NULL;
  for (size_t i = 0; i < run->count; i++) {
    one_test *t = &run->tests[i];
    if (t->attempt)
      xh_attempt_cancel(t->attempt);
    if (t->attempt || i >= run->started)
      end_without(t, "the program ends");
    t->attempt = NULL;
  }
  finish(run);
}

int xh_sample_send(const xh_sample *sample, xh_sample_run **ret_run)
{
  size_t hooks = xh_hooks_count(sample->hooks);
  xh_sample_run *run = calloc(1, sizeof *run);
  one_test *tests = run ? calloc(hooks + 1, sizeof *tests) : NULL;
  if (!tests) {
    free(run);
    return XH_ENOMEM;
  }
  *run = (xh_sample_run){.ask = *sample, .tests = tests};
  xh_hooks_ref(sample->hooks);
  xh_buf_init(&run->results, RESULT_CAP_BYTES);
  for (size_t i = 0; i < hooks; i++) {
    xh_hook *hook = xh_hooks_at(sample->hooks, i);
    if (!chosen(sample->list, hook))
      continue;
    one_test *t = &tests[run->count++];
    t->run = run;
    t->hook = xh_hook_ref(hook);
    xh_buf_init(&t->body, RESULT_CAP_BYTES);
    if (render_sample(t, sample->source) != 0)
      xh_buf_clear(&t->body);
  }
  if (ret_run)
    *ret_run = run;
  start_more(run);
  return 0;
}
