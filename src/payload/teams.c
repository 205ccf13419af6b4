#include "payload/formats.h"

#include "payload/story.h"

static void put_fact(xh_buf *out, const char *title, const char *value, bool *first)
{
  if (!*value)
    return;
  xh_buf_z(out, *first ? "{\"title\":" : ",{\"title\":");
  xh_buf_json_z(out, title);
  xh_buf_z(out, ",\"value\":");
  xh_buf_json_z(out, value);
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
  xh_buf_json_z(out, s.title);
  xh_buf_z(out, "}");
  if (s.failed) {
    xh_buf_z(out, ",{\"type\":\"TextBlock\",\"wrap\":true,\"text\":");
    xh_buf_json_z(out, s.error);
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
