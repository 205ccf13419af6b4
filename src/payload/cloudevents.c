#include "payload/formats.h"

#include "base/json_scan.h"
#include "payload/story.h"

void format_cloudevents(const xh_event *event, xh_str source, xh_buf *out)
{
  story s;
  char call_id[128];
  story_tell(event, &s);
  story_text(event->call_id, call_id, sizeof call_id);
  if (!*call_id) /* no id: the moment and the method tell events of one source apart */
    story_text(event->timestamp, call_id, sizeof call_id);
  /* source and id together are unique: each call has its id, and a pre and a post event ("id", CloudEvents 1.0.2). Attempts share the bytes. */
  xh_buf_z(out, "{\"specversion\":\"1.0\",\"id\":");
  xh_buf id;
  xh_buf_init(&id, 512);
  xh_buf_printf(&id, "%s-%s", *call_id ? call_id : "0", xh_event_type_name(event->type));
  xh_buf_json(out, xh_buf_span(&id));
  xh_buf_done(&id);
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
