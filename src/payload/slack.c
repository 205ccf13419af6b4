/* Limits: docs.slack.dev, "Blocks": header 150 characters, section text 3,000, field 2,000, 10 fields a section. */
#include "payload/formats.h"

#include "payload/story.h"

#include <stdio.h>

enum { FIELD_BYTES_MAX = 1990, SECTION_BYTES_MAX = 2990 };

/* Slack's three escapes; everything else is plain ("Formatting text for app surfaces", "Escaping text"). Stops at a character before `out`
 * would pass `most` bytes. */
static void put_escaped_up_to(xh_buf *out, const char *text, size_t most)
{
  enum { LONGEST_BYTES = 8 }; /* of one character and of the mark of the cut */
  for (; *text; text++) {
    if (out->len + LONGEST_BYTES > most && ((unsigned char)*text & 0xc0) != 0x80) {
      xh_buf_z(out, "…");
      return;
    }
    if (*text == '&')
      xh_buf_z(out, "&amp;");
    else if (*text == '<')
      xh_buf_z(out, "&lt;");
    else if (*text == '>')
      xh_buf_z(out, "&gt;");
    else
      xh_buf_char(out, *text);
  }
}

static void put_escaped(xh_buf *out, const char *text)
{
  put_escaped_up_to(out, text, FIELD_BYTES_MAX);
}

/* In which * _ ~ ` and :emoji: are what they are: texts in which strangers had a say are never mrkdwn. */
static void put_plain_text(xh_buf *out, const char *before, const char *text, size_t most)
{
  xh_buf plain;
  xh_buf_init(&plain, 16384);
  xh_buf_z(&plain, before);
  put_escaped_up_to(&plain, text, most);
  xh_buf_z(out, "{\"type\":\"plain_text\",\"emoji\":false,\"text\":");
  xh_buf_json_buf(out, &plain);
  xh_buf_char(out, '}');
  xh_buf_done(&plain);
}

/* Two fields: Slack sets them side by side, so that names and values are columns. */
static void put_field(xh_buf *out, const char *name, const char *value, bool *first)
{
  if (!*value)
    return;
  xh_buf_printf(out, "%s{\"type\":\"mrkdwn\",\"text\":\"*%s*\"},", *first ? "" : ",", name);
  put_plain_text(out, "", value, FIELD_BYTES_MAX);
  *first = false;
}

/* What notifications show: one sentence. */
static void put_fallback(xh_buf *out, const story *s)
{
  xh_buf text;
  xh_buf_init(&text, 16384);
  put_escaped(&text, s->title);
  xh_buf_z(&text, ", by ");
  put_escaped(&text, s->who);
  if (*s->object) {
    xh_buf_z(&text, ", on ");
    put_escaped(&text, s->object);
  }
  if (s->failed) {
    xh_buf_z(&text, ": ");
    put_escaped(&text, s->error);
  }
  xh_buf_json_buf(out, &text);
  xh_buf_done(&text);
}

static void put_context(xh_buf *out, const xh_event *event, xh_str source, const story *s)
{
  char from[sizeof s->from + 80];
  xh_buf_z(out, "{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\",\"text\":\"`");
  xh_buf_str(out, event->method); /* letters, digits and . _ - : $ */
  xh_buf_printf(out, "` %s\"}", xh_event_type_name(event->type));
  snprintf(from, sizeof from, "%s%s%s%s%.*s", *s->from ? "from " : "", s->from, *s->from && source.len ? " " : "", source.len ? "at " : "",
           (int)(source.len < 64 ? source.len : 64), source.len ? source.ptr : "");
  if (*from) {
    xh_buf_char(out, ',');
    put_plain_text(out, "", from, FIELD_BYTES_MAX);
  }
  xh_buf_z(out, "]}");
}

void format_slack(const xh_event *event, xh_str source, xh_buf *out)
{
  story s;
  bool first = true;
  story_tell(event, &s);
  xh_buf_z(out, "{\"mrkdwn\":false,\"text\":");
  put_fallback(out, &s);
  xh_buf_z(out, ",\"blocks\":[{\"type\":\"header\",\"text\":{\"type\":\"plain_text\",\"emoji\":false,\"text\":");
  xh_buf_json_z(out, s.title);
  xh_buf_z(out, "}},");
  if (s.failed) {
    xh_buf_z(out, "{\"type\":\"section\",\"text\":");
    put_plain_text(out, "⚠️ ", s.error, SECTION_BYTES_MAX);
    xh_buf_z(out, "},");
  }
  xh_buf_z(out, "{\"type\":\"section\",\"fields\":[");
  put_field(out, "By", s.who, &first);
  put_field(out, "Object", s.object, &first);
  put_field(out, "When", s.when, &first);
  put_field(out, "Took", s.duration, &first);
  put_field(out, "Result", s.result, &first);
  xh_buf_z(out, "]},");
  put_context(out, event, source, &s);
  xh_buf_z(out, "]}");
}
