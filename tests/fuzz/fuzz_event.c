/* Events: every property is a valid value inside the text, and the one that JSON.parse would give. */
#include "fuzz.h"

#include "base/event.h"

static void check_property(const xh_event *event, const char *name, xh_str value)
{
  xh_str found = {NULL, 0};
  fuzz_check_value(value, event->raw);
  CHECK(xh_json_find(event->raw, xh_str_z(name), &found) == (value.ptr != NULL));
  CHECK(found.ptr == value.ptr && found.len == value.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *copy = fuzz_copy(data, size);
  xh_event event;
  xh_event_fault fault = {SIZE_MAX, ""};
  xh_str text = {copy, size}, found;
  if (xh_event_parse(text, &event, &fault) != 0) {
    CHECK(fault.offset <= size && *fault.what && memchr(fault.what, 0, sizeof fault.what));
    free(copy);
    return 0;
  }
  CHECK(fuzz_is_inside(event.raw, text) && xh_json_validate(event.raw, NULL) == 0);
  CHECK(event.method.len > 0 && event.method.len <= XH_METHOD_BYTES_MAX && fuzz_is_inside(event.method, event.raw));
  CHECK(xh_json_find(event.raw, XH_STR("method"), &found) && found.ptr + 1 == event.method.ptr && found.len == event.method.len + 2);
  CHECK(xh_json_find(event.raw, XH_STR("type"), &found) && found.len == strlen(xh_event_type_name(event.type)) + 2);
  check_property(&event, "callId", event.call_id);
  check_property(&event, "userId", event.user_id);
  check_property(&event, "userName", event.user_name);
  check_property(&event, "userIp", event.user_ip);
  check_property(&event, "params", event.params);
  check_property(&event, "timestamp", event.timestamp);
  check_property(&event, "duration", event.duration);
  check_property(&event, "result", event.result);
  check_property(&event, "error", event.error);
  free(copy);
  return 0;
}
