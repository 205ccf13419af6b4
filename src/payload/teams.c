#include "payload/formats.h"

#include "payload/story.h"

#include <string.h>

/* Without a meaning in Markdown within a line? */
static bool is_plain(char c)
{
  return !strchr("\\`*_[]<>&~|{", c);
}

/* What makes a heading, a list or a quotation of a line that begins with it: "#", "+", "-", or "1. " and "1) ". */
static size_t opening_mark(const char *text)
{
  size_t digits = strspn(text, "0123456789");
  if (digits > 0)
    return text[digits] && strchr(".)", text[digits]) && (text[digits + 1] == ' ' || !text[digits + 1]) ? digits : strlen(text);
  return *text && strchr("#+-", *text) ? 0 : strlen(text);
}

/*
 * A text in which strangers had a say (whoever fails to sign in chooses the name), as TextBlocks and facts take it: they render a subset of
 * Markdown, and {{DATE(…)}} ("Text features", adaptivecards.io). Escaped, so that people read it as it is: no link, no emphasis. An opening
 * parenthesis is escaped only where it would end a link's text, for readers that know links and no escapes.
 */
static void put_plain(xh_buf *out, const char *text)
{
  xh_buf plain;
  xh_buf_init(&plain, 16384);
  text += strspn(text, " ");
  size_t opening = opening_mark(text);
  for (size_t i = 0; text[i]; i++) {
    if (!is_plain(text[i]) || i == opening || (text[i] == '(' && i > 0 && text[i - 1] == ']'))
      xh_buf_char(&plain, '\\');
    xh_buf_char(&plain, text[i]);
  }
  xh_buf_json_buf(out, &plain);
  xh_buf_done(&plain);
}

static void put_fact(xh_buf *out, const char *title, const char *value, bool *first)
{
  if (!*value)
    return;
  xh_buf_z(out, *first ? "{\"title\":" : ",{\"title\":");
  xh_buf_json_z(out, title);
  xh_buf_z(out, ",\"value\":");
  put_plain(out, value);
  xh_buf_char(out, '}');
  *first = false;
}

void format_teams(const xh_event *event, xh_str source, xh_buf *out)
{
  story s;
  bool first = true;
  char site[80], method[XH_METHOD_BYTES_MAX + 1];
  story_tell(event, &s);
  size_t len = source.len < sizeof site - 1 ? source.len : sizeof site - 1;
  memcpy(site, source.ptr ? source.ptr : "", len);
  site[len] = '\0';
  memcpy(method, event->method.ptr, event->method.len);
  method[event->method.len] = '\0';
  const char *colour = event->type == XH_PRE ? "Accent" : s.failed ? "Attention" : "Good";
  xh_buf_z(out, "{\"type\":\"message\",\"attachments\":[{\"contentType\":\"application/vnd.microsoft.card.adaptive\",\"contentUrl\":null,"
                "\"content\":{\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\",\"type\":\"AdaptiveCard\","
                "\"version\":\"1.4\",\"body\":[{\"type\":\"TextBlock\",\"size\":\"Medium\",\"weight\":\"Bolder\",\"wrap\":true,\"color\":");
  xh_buf_json_z(out, colour);
  xh_buf_z(out, ",\"text\":");
  put_plain(out, s.title);
  xh_buf_z(out, "}");
  if (s.failed) {
    xh_buf_z(out, ",{\"type\":\"TextBlock\",\"wrap\":true,\"text\":");
    put_plain(out, s.error);
    xh_buf_z(out, "}");
  }
  xh_buf_z(out, ",{\"type\":\"FactSet\",\"facts\":[");
  put_fact(out, "By", s.who, &first);
  put_fact(out, "Object", s.object, &first);
  put_fact(out, "When", s.when, &first);
  put_fact(out, "Took", s.duration, &first);
  put_fact(out, "Result", s.result, &first);
  put_fact(out, "Method", method, &first);
  put_fact(out, "From", s.from, &first);
  put_fact(out, "Site", site, &first);
  xh_buf_z(out, "]}],\"msteams\":{\"width\":\"Full\"}}}]}");
}
