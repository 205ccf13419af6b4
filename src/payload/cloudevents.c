#include "payload/formats.h"

#include "base/json_scan.h"
#include "payload/story.h"

/* Unique with `source`: a call has its id, and a pre and a post event ("id", CloudEvents 1.0.2). A source that gives none gets a number
 * made of the event's bytes (FNV-1a, 64 bits): the same for a repeated event, as it should be. Attempts share the body anyway. */
static void put_id(const xh_event *original, xh_buf *out)
{
  char call_id[128];
  xh_buf id;
  story_text(original->call_id, call_id, sizeof call_id);
  xh_buf_init(&id, 512);
  if (*call_id) {
    xh_buf_z(&id, call_id);
  } else {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < original->raw.len; i++)
      hash = (hash ^ (unsigned char)original->raw.ptr[i]) * 1099511628211u;
    xh_buf_printf(&id, "%016llx", (unsigned long long)hash);
  }
  xh_buf_printf(&id, "-%s", xh_event_type_name(original->type));
  xh_buf_json_buf(out, &id);
  xh_buf_done(&id);
}

void format_cloudevents(const xh_event *event, const xh_event *original, xh_str source, xh_buf *out)
{
  story s;
  story_tell(event, &s);
  xh_buf_z(out, "{\"specversion\":\"1.0\",\"id\":");
  put_id(original, out);
  xh_buf_z(out, ",\"source\":\"/xen-orchestra/");
  xh_buf_str(out, source.len ? source : XH_STR("local"));
  xh_buf_z(out, "\",\"type\":\"xo.api.");
  xh_buf_str(out, event->method);
  xh_buf_printf(out, ".%s\"", xh_event_type_name(event->type));
  if (*s.object_id) {
    xh_buf_z(out, ",\"subject\":");
    xh_buf_json_z(out, s.object_id);
  }
  if (*s.iso) {
    xh_buf_z(out, ",\"time\":");
    xh_buf_json_z(out, s.iso);
  }
  xh_buf_z(out, ",\"datacontenttype\":\"application/json\",\"data\":");
  xh_buf_str(out, event->raw);
  xh_buf_char(out, '}');
}
