/* Sources that wait: `settled` is answered when the waiting hooks' first attempts have ended, and no later than their timeouts. */
#include "base/err.h"
#include "engine/engine_internal.h"

#include <stdlib.h>

enum { SETTLED_CAP_BYTES = 1024 * 1024, LABEL_SIZE = 256 };

typedef struct watch {
  struct watch *next;
  waiter *waiter;
  int64_t delivery_id;
  char label[LABEL_SIZE];
} watch;

struct waiter {
  waiter *next, **link; /* among the engine's, until it is answered; `link` is what points here */
  xh_engine *engine;
  xh_peer *peer; /* referenced */
  int64_t id;
  uv_timer_t timer;
  int64_t timeout_ms;
  watch *watches; /* still open */
  bool begun;
  xh_buf settled; /* the entries, separated by commas */
  size_t unlisted;
};

waiter *waiter_new(xh_engine *e, xh_peer *peer, int64_t id)
{
  waiter *w = calloc(1, sizeof *w);
  if (!w)
    return NULL;
  w->engine = e;
  w->peer = xh_peer_ref(peer);
  w->id = id;
  xh_buf_init(&w->settled, SETTLED_CAP_BYTES);
  uv_timer_init(e->loop, &w->timer);
  w->timer.data = w;
  e->handles_open++;
  w->link = &e->waiters;
  w->next = e->waiters;
  if (w->next)
    w->next->link = &w->next;
  e->waiters = w;
  return w;
}

/* More than fits is not listed: its number is told instead. */
static void add_entry(waiter *w, const char *label, const xh_first_attempt *first)
{
  char webhook_id[XH_WEBHOOK_ID_SIZE];
  xh_webhook_id(xh_outbox_instance(w->engine->outbox), first->delivery_id, webhook_id);
  xh_buf *out = &w->settled;
  size_t whole = out->len;
  if (w->unlisted > 0) {
    w->unlisted++;
    return;
  }
  if (out->len)
    xh_buf_char(out, ',');
  xh_buf_z(out, "{\"hook\":");
  xh_buf_json_z(out, label);
  xh_buf_printf(out, ",\"delivery\":\"%s\",\"ok\":%s,\"status\":", webhook_id, first->delivered ? "true" : "false");
  if (first->http_status)
    xh_buf_i64(out, first->http_status);
  else
    xh_buf_z(out, "null");
  xh_buf_printf(out, ",\"durationMs\":%lld,\"error\":", (long long)first->duration_ms);
  xh_buf_json_z(out, first->delivered ? NULL : first->words);
  xh_buf_char(out, '}');
  if (xh_buf_error(out)) {
    xh_buf_cut(out, whole);
    w->unlisted = 1;
  }
}

static void on_closed(uv_handle_t *handle)
{
  waiter *w = handle->data;
  w->engine->handles_open--;
  xh_peer_unref(w->peer);
  xh_buf_done(&w->settled);
  free(w);
}

static void answer(waiter *w)
{
  *w->link = w->next;
  if (w->next)
    w->next->link = w->link;
  xh_buf line;
  xh_buf_init(&line, SETTLED_CAP_BYTES + 128);
  xh_buf_printf(&line, "{\"id\":%lld,\"settled\":[", (long long)w->id);
  xh_buf_str(&line, xh_buf_span(&w->settled));
  xh_buf_char(&line, ']');
  if (w->unlisted > 0)
    xh_buf_printf(&line, ",\"unlisted\":%zu", w->unlisted);
  xh_buf_char(&line, '}');
  if (xh_buf_error(&line) == 0)
    xh_peer_line(w->peer, xh_buf_span(&line));
  else
    xh_peer_error(w->peer, w->id, XH_ENOMEM, "what the hooks answered can't be told: out of memory");
  xh_buf_done(&line);
  uv_close((uv_handle_t *)&w->timer, on_closed);
}

static watch *unlink_watch(waiter *w, const watch *one)
{
  watch **at = &w->watches;
  while (*at != one)
    at = &(*at)->next;
  watch *found = *at;
  *at = found->next;
  return found;
}

static void on_first(void *arg, const xh_first_attempt *first)
{
  watch *one = arg;
  waiter *w = one->waiter;
  unlink_watch(w, one);
  add_entry(w, one->label, first);
  free(one);
  if (!w->watches && w->begun)
    answer(w);
}

/* Answers now, whatever is still open. */
static void answer_without(waiter *w, int64_t duration_ms, const char *words)
{
  while (w->watches) {
    watch *one = w->watches;
    xh_dispatcher_unwatch(w->engine->dispatcher, one->delivery_id);
    add_entry(w, one->label, &(xh_first_attempt){.delivery_id = one->delivery_id, .duration_ms = duration_ms, .words = words});
    w->watches = one->next;
    free(one);
  }
  answer(w);
}

static void on_time(uv_timer_t *timer)
{
  waiter *w = timer->data;
  answer_without(w, w->timeout_ms, "no answer in time; the delivery goes on");
}

void engine_end_waiters(xh_engine *e)
{
  while (e->waiters)
    answer_without(e->waiters, 0, "the program ends; the delivery goes on at its next start");
}

void waiter_add(waiter *w, const xh_hook *hook, xh_submission *submission)
{
  watch *one = calloc(1, sizeof *one);
  if (!one)
    return; /* sent all the same; not waited for */
  one->waiter = w;
  one->delivery_id = submission->delivery->id;
  xh_hook_label(hook, one->label, sizeof one->label);
  one->next = w->watches;
  w->watches = one;
  if (hook->timeout_ms > w->timeout_ms)
    w->timeout_ms = hook->timeout_ms;
  submission->watch = on_first;
  submission->watch_arg = one;
}

void waiter_add_known(waiter *w, const xh_hook *hook, int64_t delivery_id, const char *words)
{
  char label[LABEL_SIZE];
  xh_hook_label(hook, label, sizeof label);
  add_entry(w, label, &(xh_first_attempt){.delivery_id = delivery_id, .words = words});
}

void waiter_begin(waiter *w)
{
  w->begun = true;
  if (!w->watches) {
    answer(w);
    return;
  }
  uv_update_time(w->engine->loop);
  uv_timer_start(&w->timer, on_time, (uint64_t)w->timeout_ms, 0);
}
