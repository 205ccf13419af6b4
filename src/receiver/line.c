#include "receiver/line.h"

#include "base/clock.h"

static const char DIM[] = "\033[2m", RED[] = "\033[31m", GREEN[] = "\033[32m", BOLD[] = "\033[1m", RESET[] = "\033[0m";

static void paint(xh_line_style style, const char *code, xh_buf *out)
{
  if (style.colour)
    xh_buf_z(out, code);
}

static void append_time(xh_line_style style, int64_t wall_ms, xh_buf *out)
{
  char time[XH_ISO_SIZE];
  xh_iso_time(wall_ms, time);
  if (style.json) {
    xh_buf_z(out, "{\"time\":\"");
    xh_buf_z(out, time);
    xh_buf_char(out, '"');
    return;
  }
  paint(style, DIM, out);
  xh_buf_z(out, time);
  paint(style, RESET, out);
  xh_buf_char(out, ' ');
}

static void append_member(const char *name, xh_str text, xh_buf *out)
{
  xh_buf_char(out, ',');
  xh_buf_json_z(out, name);
  xh_buf_char(out, ':');
  xh_buf_json(out, text);
}

/* Copies `json` without the white space outside strings. Returns false when `cap_bytes` ended it. */
static bool compact(xh_str json, size_t cap_bytes, xh_buf *out)
{
  bool inside = false;
  size_t start = out->len;
  for (size_t i = 0; i < json.len; i++) {
    char c = json.ptr[i];
    if (!inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
      continue;
    if (out->len - start >= cap_bytes && ((unsigned char)c & 0xc0) != 0x80)
      return false;
    xh_buf_char(out, c);
    if (inside && c == '\\' && i + 1 < json.len)
      xh_buf_char(out, json.ptr[++i]);
    else if (c == '"')
      inside = !inside;
  }
  return true;
}

void xh_line_compact(xh_str json, size_t cap_bytes, xh_buf *out)
{
  xh_buf text;
  xh_buf_init(&text, cap_bytes + 16);
  bool whole = compact(json, cap_bytes, &text);
  xh_buf_plain(out, xh_buf_span(&text), text.len, "");
  xh_buf_done(&text);
  if (!whole)
    xh_buf_z(out, "…");
}

static void append_value(const char *name, xh_str value, xh_buf *out)
{
  if (!value.ptr)
    return;
  xh_buf_printf(out, ",\"%s\":", name);
  size_t start = out->len;
  if (value.len > XH_LINE_VALUE_JSON_BYTES || !compact(value, XH_LINE_VALUE_JSON_BYTES, out)) {
    out->len = start;
    xh_buf_printf(out, "{\"omittedBytes\":%zu}", value.len);
  }
}

static int64_t event_time(const xh_event *event, int64_t now_ms)
{
  int64_t ms = 0;
  bool sane = event->timestamp.ptr && xh_json_i64(event->timestamp, &ms) && ms > 0 && ms < INT64_C(253402300800000);
  return sane ? ms : now_ms;
}

static void event_json(const xh_event *event, xh_buf *out)
{
  append_member("method", event->method, out);
  append_member("type", xh_str_z(xh_event_type_name(event->type)), out);
  append_value("callId", event->call_id, out);
  append_value("userName", event->user_name, out);
  append_value("params", event->params, out);
  append_value("duration", event->duration, out);
  append_value("result", event->result, out);
  append_value("error", event->error, out);
}

static void event_text(xh_line_style style, const xh_event *event, xh_buf *out)
{
  bool failed = xh_event_failed(event);
  xh_str message;
  xh_buf_char(out, '[');
  paint(style, BOLD, out);
  xh_buf_str(out, event->method);
  paint(style, RESET, out);
  xh_buf_printf(out, "|%s] ", xh_event_type_name(event->type));
  if (event->params.ptr)
    xh_line_compact(event->params, XH_LINE_VALUE_TEXT_BYTES, out);
  if (event->type == XH_PRE && !failed && !event->result.ptr)
    return;
  xh_buf_z(out, " → ");
  paint(style, failed ? RED : GREEN, out);
  if (failed) {
    xh_buf_z(out, "error: ");
    bool named = xh_json_find(event->error, XH_STR("message"), &message);
    xh_line_compact(named ? message : event->error, XH_LINE_VALUE_TEXT_BYTES, out);
  } else if (event->result.ptr) {
    xh_line_compact(event->result, XH_LINE_VALUE_TEXT_BYTES, out);
  } else {
    xh_buf_z(out, "ok");
  }
  paint(style, RESET, out);
}

void xh_line_message(xh_line_style style, const xh_message *message, xh_str delivery, bool again, int64_t now_ms, xh_buf *out)
{
  bool is_event = message->kind == XH_MESSAGE_EVENT;
  append_time(style, is_event ? event_time(&message->event, now_ms) : now_ms, out);
  if (style.json) {
    if (delivery.len)
      append_member("delivery", delivery, out);
    if (again)
      xh_buf_z(out, ",\"again\":true");
    if (is_event) {
      event_json(&message->event, out);
    } else {
      append_member("card", xh_str_z(xh_message_kind_name(message->kind)), out);
      xh_buf words;
      xh_buf_init(&words, XH_LINE_VALUE_JSON_BYTES + 16);
      xh_message_words(message, XH_LINE_VALUE_JSON_BYTES, &words);
      append_member("text", xh_buf_span(&words), out);
      xh_buf_done(&words);
    }
    xh_buf_z(out, "}\n");
    return;
  }
  if (is_event) {
    event_text(style, &message->event, out);
  } else {
    xh_buf_printf(out, "[%s] ", xh_message_kind_name(message->kind));
    xh_message_words(message, 2 * (size_t)XH_LINE_VALUE_TEXT_BYTES, out);
  }
  xh_buf_z(out, again ? " (came before: not run again)\n" : "\n");
}

void xh_line_refused(xh_line_style style, int status, xh_str why, xh_str client, int64_t now_ms, xh_buf *out)
{
  append_time(style, now_ms, out);
  if (style.json) {
    xh_buf_printf(out, ",\"refused\":%d", status);
    append_member("error", why, out);
    append_member("client", client, out);
    xh_buf_z(out, "}\n");
    return;
  }
  paint(style, RED, out);
  xh_buf_printf(out, "refused with %d: ", status);
  xh_buf_plain(out, why, why.len, "");
  paint(style, RESET, out);
  xh_buf_z(out, " (from ");
  xh_buf_plain(out, client, client.len, "");
  xh_buf_z(out, ")\n");
}

void xh_line_output(xh_line_style style, xh_str delivery, xh_str script, xh_str text, int64_t now_ms, xh_buf *out)
{
  append_time(style, now_ms, out);
  if (style.json) {
    append_member("delivery", delivery, out);
    append_member("script", script, out);
    append_member("output", text, out);
    xh_buf_z(out, "}\n");
    return;
  }
  xh_buf_plain(out, delivery, delivery.len, "");
  xh_buf_char(out, ' ');
  xh_buf_plain(out, script, script.len, "");
  xh_buf_z(out, ": ");
  xh_buf_plain(out, text, text.len, "");
  xh_buf_char(out, '\n');
}

void xh_line_outcome(xh_line_style style, xh_str delivery, xh_str script, bool ok, xh_str words, int64_t duration_ms, int64_t now_ms,
                     xh_buf *out)
{
  append_time(style, now_ms, out);
  if (style.json) {
    append_member("delivery", delivery, out);
    append_member("script", script, out);
    xh_buf_printf(out, ",\"ok\":%s", ok ? "true" : "false");
    append_member("outcome", words, out);
    xh_buf_printf(out, ",\"durationMs\":%lld}\n", (long long)duration_ms);
    return;
  }
  char duration[64];
  xh_duration_text(duration_ms, duration, sizeof duration);
  xh_buf_plain(out, delivery, delivery.len, "");
  xh_buf_char(out, ' ');
  xh_buf_plain(out, script, script.len, "");
  xh_buf_z(out, ": ");
  paint(style, ok ? GREEN : RED, out);
  xh_buf_plain(out, words, words.len, "");
  paint(style, RESET, out);
  xh_buf_printf(out, " after %s\n", duration);
}

void xh_line_dropped(xh_line_style style, uint64_t count, int64_t now_ms, xh_buf *out)
{
  append_time(style, now_ms, out);
  if (style.json) {
    xh_buf_printf(out, ",\"droppedLines\":%llu}\n", (unsigned long long)count);
    return;
  }
  paint(style, RED, out);
  xh_buf_printf(out, "%llu %s missing here: they could not be written as fast as they came", (unsigned long long)count,
                count == 1 ? "line is" : "lines are");
  paint(style, RESET, out);
  xh_buf_char(out, '\n');
}
