#include "payload/payload.h"

#include "base/err.h"
#include "payload/filter.h"
#include "payload/formats.h"

#include <stdlib.h>

const char *xh_payload_content_type(xh_format format)
{
  return format == XH_FORMAT_CLOUDEVENTS ? "application/cloudevents+json" : "application/json";
}

/* A step of masking or filtering leaves its text in `text`; the event then speaks of that. A filtered event may lack `type` or `method`,
 * which the formats know from before. */
static void look_at(xh_event *event, xh_str text)
{
  static const struct {
    const char *name;
    size_t offset;
  } properties[] = {{"callId", offsetof(xh_event, call_id)},     {"userId", offsetof(xh_event, user_id)},
                    {"userName", offsetof(xh_event, user_name)}, {"userIp", offsetof(xh_event, user_ip)},
                    {"params", offsetof(xh_event, params)},      {"timestamp", offsetof(xh_event, timestamp)},
                    {"duration", offsetof(xh_event, duration)},  {"result", offsetof(xh_event, result)},
                    {"error", offsetof(xh_event, error)}};
  xh_event seen = {.raw = text, .type = event->type, .method = event->method};
  for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
    xh_str value = {NULL, 0};
    xh_json_find(text, xh_str_z(properties[i].name), &value);
    memcpy((char *)&seen + properties[i].offset, &value, sizeof value);
  }
  *event = seen;
}

static int render(xh_format format, const xh_event *event, const xh_event *original, xh_str source, xh_buf *body)
{
  switch (format) {
  case XH_FORMAT_JSON:
    xh_buf_str(body, event->raw);
    break;
  case XH_FORMAT_OFFICE365:
    format_office365(event, body);
    break;
  case XH_FORMAT_TEAMS:
    format_teams(event, source, body);
    break;
  case XH_FORMAT_SLACK:
    format_slack(event, source, body);
    break;
  case XH_FORMAT_CLOUDEVENTS:
    format_cloudevents(event, original, source, body);
    break;
  case XH_FORMAT_COUNT:
    return XH_EINVAL;
  }
  return xh_buf_error(body);
}

int xh_payload_render(const xh_hook *hook, const xh_event *event, xh_str source, xh_payload *ret_payload, xh_buf *body)
{
  xh_buf masked, filtered;
  xh_event seen = *event;
  int rc = 0;
  xh_buf_init(&masked, body->cap_bytes);
  xh_buf_init(&filtered, body->cap_bytes);
  if (hook->mask_secrets)
    rc = xh_redact(event, &masked);
  if (rc == 0 && masked.len > 0)
    look_at(&seen, xh_buf_span(&masked));
  if (rc == 0 && (hook->field_count > 0 || (hook->drop_stack && seen.error.ptr))) {
    rc = filter_event(hook, &seen, &filtered);
    if (rc == 0)
      look_at(&seen, xh_buf_span(&filtered));
  }
  bool verbatim = hook->format == XH_FORMAT_JSON && masked.len == 0 && filtered.len == 0;
  if (rc == 0 && !verbatim)
    rc = render(hook->format, &seen, event, source, body);
  xh_buf_done(&masked);
  xh_buf_done(&filtered);
  if (rc)
    return rc;
  *ret_payload = (xh_payload){.verbatim = verbatim, .content_type = xh_payload_content_type(hook->format)};
  return 0;
}
