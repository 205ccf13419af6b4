/*
 * Bodies: whatever the event and the hook's options, each format gives valid JSON; masking leaves nothing to mask; cards stay within what chats take.
 * Two lines: an `advanced` object, an event.
 */
#include "fuzz.h"

#include "hooks/hooks.h"
#include "payload/payload.h"

static xh_hook *hook_of(xh_format format, xh_str advanced)
{
  xh_buf config;
  xh_hook *hook = NULL;
  xh_buf_init(&config, advanced.len + 256);
  xh_buf_printf(&config, "{\"method\":\"*\",\"type\":\"pre/post\",\"url\":\"http://h/\",\"format\":\"%s\",\"advanced\":", xh_format_name(format));
  xh_buf_str(&config, advanced);
  xh_buf_char(&config, '}');
  if (xh_hook_compile(xh_buf_span(&config), &hook) != 0)
    hook = NULL;
  xh_buf_done(&config);
  return hook;
}

static void check_body(xh_format format, xh_str advanced, const xh_event *event)
{
  enum { CARD_BYTES_MAX = 28 * 1024 };
  xh_payload payload;
  xh_buf body;
  xh_hook *hook = hook_of(format, advanced);
  if (!hook)
    return;
  xh_buf_init(&body, event->raw.len * 8 + 65536);
  CHECK(xh_payload_render(hook, event, XH_STR("paris"), &payload, &body) == 0);
  CHECK(!payload.verbatim || (body.len == 0 && format == XH_FORMAT_JSON));
  if (!payload.verbatim)
    CHECK(xh_json_validate(xh_buf_span(&body), NULL) == 0);
  if (format == XH_FORMAT_TEAMS || format == XH_FORMAT_SLACK)
    CHECK(body.len < CARD_BYTES_MAX);
  xh_buf_done(&body);
  xh_hook_unref(hook);
}

static void check_redaction(const xh_event *event)
{
  xh_buf masked, again;
  xh_event seen;
  xh_buf_init(&masked, event->raw.len * 16 + 1024);
  xh_buf_init(&again, event->raw.len * 16 + 1024);
  CHECK(xh_redact(event, &masked) == 0);
  if (masked.len > 0) {
    CHECK(xh_event_parse(xh_buf_span(&masked), &seen, NULL) == 0);
    CHECK(seen.type == event->type && xh_str_eq(seen.method, event->method));
    CHECK(xh_redact(&seen, &again) == 0 && again.len == 0);
  }
  xh_buf_done(&masked);
  xh_buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  xh_str rest = {(const char *)data, size};
  xh_str advanced = fuzz_line(&rest);
  char *copy = fuzz_copy(rest.ptr, rest.len);
  xh_event event;
  if (xh_event_parse((xh_str){copy, rest.len}, &event, NULL) == 0) {
    check_redaction(&event);
    for (int format = 0; format < XH_FORMAT_COUNT; format++) {
      check_body((xh_format)format, advanced, &event);
      check_body((xh_format)format, XH_STR("{\"dropStack\":true,\"maskSecrets\":false}"), &event);
    }
  }
  free(copy);
  return 0;
}
