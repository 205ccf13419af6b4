/* Intake's sink: what arrives on a connection, handed to the engine. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/engine_internal.h"

#include <stdio.h>
#include <string.h>

enum {
  MISTAKES_TOLD_MAX = 100, /* in an answer to configure; then how many more there are */
  BAD_TOLD_MAX = 10,       /* refused lines of a source that the log tells, */
  BAD_EVERY_MS = 60000     /* in so long a time */
};

static source *source_of(xh_engine *e, xh_peer *peer)
{
  source *s = xh_peer_data(peer);
  if (s)
    return s;
  bool said;
  s = engine_source(e, xh_str_z(xh_peer_hello(peer, &said)->source));
  xh_peer_set_data(peer, s);
  return s;
}

/* A session that goes on after a reconnect (or our restart) is told how far its events are safe. */
static int64_t on_hello(void *arg, xh_peer *peer, const xh_hello *hello)
{
  xh_engine *e = arg;
  source *s = engine_source(e, xh_str_z(hello->source));
  if (!s)
    return 0;
  xh_peer_set_data(peer, s);
  if (!*hello->session)
    return 0;
  s->session_peer = peer;
  if (strcmp(hello->session, s->session) != 0) {
    char stored[64] = "";
    int64_t seq = 0;
    xh_outbox_source_progress(e->outbox, s->id, stored, &seq);
    snprintf(s->session, sizeof s->session, "%s", hello->session);
    s->seq_committed = strcmp(stored, hello->session) == 0 ? seq : 0;
    s->seq_seen = s->seq_committed;
    s->refused.count = 0;
    s->generation++;
  }
  return xh_ranges_clear_up_to(&s->refused, s->seq_committed);
}

static void send_mistakes(xh_peer *peer, int64_t id, const xh_mistakes *mistakes)
{
  xh_buf line;
  xh_buf_init(&line, 4 * 1024 * 1024);
  const xh_mistake *first = NULL;
  for (size_t i = 0; i < mistakes->count && !first; i++)
    if (!mistakes->items[i].warning)
      first = &mistakes->items[i];
  xh_buf_printf(&line, "{\"id\":%lld,\"error\":{\"code\":\"ECONFIG\",\"pointer\":", (long long)id);
  xh_buf_json_z(&line, first ? first->pointer : "");
  xh_buf_z(&line, ",\"message\":");
  xh_buf_json_z(&line, first ? first->message : "out of memory");
  xh_buf_z(&line, ",\"mistakes\":[");
  size_t written = 0;
  for (size_t i = 0; i < mistakes->count && written < MISTAKES_TOLD_MAX; i++) {
    if (mistakes->items[i].warning)
      continue;
    xh_buf_z(&line, written++ ? ",{\"pointer\":" : "{\"pointer\":");
    xh_buf_json_z(&line, mistakes->items[i].pointer);
    xh_buf_z(&line, ",\"found\":");
    xh_buf_json_z(&line, mistakes->items[i].found);
    xh_buf_z(&line, ",\"message\":");
    xh_buf_json_z(&line, mistakes->items[i].message);
    xh_buf_char(&line, '}');
  }
  xh_buf_printf(&line, "],\"more\":%zu}}", mistakes->errors - written);
  if (xh_buf_error(&line) == 0)
    xh_peer_line(peer, xh_buf_span(&line));
  else
    xh_peer_error(peer, id, XH_ECONFIG, "mistakes in the configuration");
  xh_buf_done(&line);
}

static void send_warnings(xh_peer *peer, int64_t id, const xh_mistakes *mistakes)
{
  xh_buf line;
  xh_buf_init(&line, 4 * 1024 * 1024);
  xh_buf_printf(&line, "{\"id\":%lld,\"ok\":true,\"warnings\":[", (long long)id);
  for (size_t i = 0; i < mistakes->count && i < MISTAKES_TOLD_MAX; i++) {
    xh_buf_z(&line, i ? ",{\"pointer\":" : "{\"pointer\":");
    xh_buf_json_z(&line, mistakes->items[i].pointer);
    xh_buf_z(&line, ",\"message\":");
    xh_buf_json_z(&line, mistakes->items[i].message);
    xh_buf_char(&line, '}');
  }
  xh_buf_z(&line, "]}");
  if (xh_buf_error(&line) == 0)
    xh_peer_line(peer, xh_buf_span(&line));
  else
    xh_peer_ok(peer, id);
  xh_buf_done(&line);
}

static void on_configure(void *arg, xh_peer *peer, int64_t id, xh_str config)
{
  xh_engine *e = arg;
  source *s = source_of(e, peer);
  xh_hooks *hooks = NULL;
  xh_mistakes mistakes = {0};
  int rc = s ? xh_hooks_compile(config, 0, &hooks, &mistakes) : XH_ENOMEM;
  if (rc == 0)
    rc = xh_engine_configure(e, xh_str_z(s->name), hooks);
  if (rc == 0 && mistakes.count)
    send_warnings(peer, id, &mistakes);
  else if (rc == 0)
    xh_peer_ok(peer, id);
  else if (rc == XH_ECONFIG)
    send_mistakes(peer, id, &mistakes);
  else
    xh_peer_error(peer, id, rc, xh_err_text(rc));
  if (rc == 0)
    xh_log(XH_LOG_INFO, "source %s: %zu hook%s configured", s->name, xh_hooks_count(hooks), xh_hooks_count(hooks) == 1 ? "" : "s");
  else if (s)
    xh_log(XH_LOG_WARN, "source %s: its new configuration was refused, the old one stays (%zu mistakes)", s->name, mistakes.errors);
  xh_mistakes_done(&mistakes);
  xh_hooks_unref(hooks);
}

/* An event that was sent again after a reconnect: acknowledged (now, or when it is committed), not taken twice. */
static bool is_duplicate(source *s, xh_peer *peer, int64_t id, bool wait)
{
  if (id > s->seq_seen) {
    s->seq_seen = id;
    return false;
  }
  bool refused = xh_ranges_have(&s->refused, id);
  if (refused && !engine_is_accepting(s->engine, s, id))
    return false;
  s->engine->duplicate_count++;
  if (id <= s->seq_committed && !refused)
    xh_peer_accepted(peer, id, true);
  if (wait) {
    char line[64];
    int len = snprintf(line, sizeof line, "{\"id\":%lld,\"settled\":[]}", (long long)id);
    xh_peer_line(peer, (xh_str){line, (size_t)len});
  }
  return true;
}

static void on_event(void *arg, xh_peer *peer, int64_t id, bool wait, const xh_event *event)
{
  xh_engine *e = arg;
  source *s = source_of(e, peer);
  if (!s) {
    xh_peer_error(peer, id, XH_ENOMEM, xh_err_text(XH_ENOMEM));
    return;
  }
  bool said;
  const xh_hello *hello = xh_peer_hello(peer, &said);
  bool numbered = id > 0 && *hello->session && strcmp(hello->session, s->session) == 0;
  if (numbered && is_duplicate(s, peer, id, wait))
    return;
  incoming in = {.source = s, .event = event, .peer = peer, .id = id, .wait = wait, .numbered = numbered};
  int rc = engine_accept(e, &in);
  if (rc < 0) {
    engine_refused(e, rc);
    xh_peer_error(peer, id, rc, xh_err_text(rc));
    engine_refuse(e, &in, rc);
  }
}

static void on_call(void *arg, xh_peer *peer, int64_t id, xh_str name, xh_str params)
{
  engine_call(arg, peer, id, name, params);
}

static void tell_untold(source *s)
{
  if (s->bad_untold > 0)
    xh_log(XH_LOG_WARN, "source %s: %lld more lines were refused; `xo-hooks stats` counts them by reason", s->name, (long long)s->bad_untold);
  s->bad_untold = 0;
}

/* A source that sends rubbish must not fill the log with it: some lines a minute are told, the others are counted. */
static bool may_tell(source *s)
{
  int64_t now_ms = xh_mono_ms();
  if (s->bad_told == 0 || now_ms - s->bad_since_ms > BAD_EVERY_MS) {
    tell_untold(s);
    s->bad_since_ms = now_ms;
    s->bad_told = 0;
  }
  if (s->bad_told < BAD_TOLD_MAX) {
    s->bad_told++;
    return true;
  }
  s->bad_untold++;
  return false;
}

static void on_refused(void *arg, xh_peer *peer, int64_t id, int code)
{
  xh_engine *e = arg;
  bool said;
  source *s = source_of(e, peer);
  if (s && id)
    engine_refuse(e, &(incoming){.source = s, .peer = peer, .id = id}, code);
  const xh_hello *hello = xh_peer_hello(peer, &said);
  engine_refused(e, code);
  if (!s || may_tell(s))
    xh_log(XH_LOG_WARN, "source %s: a line was refused: %s", hello->source, xh_err_text(code));
}

static void on_closed(void *arg, xh_peer *peer, bool stdio)
{
  xh_engine *e = arg;
  source *s = xh_peer_data(peer);
  if (s && s->session_peer == peer)
    s->session_peer = NULL;
  if (s && s->bad_untold > 0 && s->bad_told++ < 2 * BAD_TOLD_MAX)
    tell_untold(s);
  if (stdio && e->stdio_ended)
    e->stdio_ended(e->stdio_arg);
}

void engine_init_sink(xh_engine *e)
{
  e->sink = (xh_sink){.arg = e,
                      .hello = on_hello,
                      .configure = on_configure,
                      .event = on_event,
                      .call = on_call,
                      .refused = on_refused,
                      .closed = on_closed};
}
