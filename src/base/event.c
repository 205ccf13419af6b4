#include "base/event.h"

#include "base/err.h"

#include <stdio.h>

static int fault(xh_event_fault *out, int code, size_t offset, const char *what)
{
  if (out) {
    out->offset = offset;
    snprintf(out->what, sizeof out->what, "%s", what);
  }
  return code;
}

static bool method_char(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
         c == ':' || c == '$';
}

/* Takes the quotes off a method name that consists of plain characters. */
static const char *read_method(xh_str value, xh_str *ret_method)
{
  if (xh_json_typeof(value) != XH_JSON_STRING)
    return "property \"method\" is not a string";
  xh_str name = {value.ptr + 1, value.len - 2};
  if (name.len == 0 || name.len > XH_METHOD_BYTES_MAX)
    return "property \"method\" must have 1 to 128 characters";
  for (size_t i = 0; i < name.len; i++)
    if (!method_char(name.ptr[i]))
      return "property \"method\" is no method name: letters, digits and . _ - : $ are allowed";
  *ret_method = name;
  return NULL;
}

static const char *read_type(xh_str value, xh_event_type *ret_type)
{
  if (xh_str_eqz(value, "\"pre\""))
    *ret_type = XH_PRE;
  else if (xh_str_eqz(value, "\"post\""))
    *ret_type = XH_POST;
  else
    return "property \"type\" must be \"pre\" or \"post\"";
  return NULL;
}

int xh_event_parse(xh_str text, xh_event *ret_event, xh_event_fault *ret_fault)
{
  xh_json_fault json_fault;
  int rc = xh_json_validate(text, &json_fault);
  if (rc)
    return fault(ret_fault, rc, json_fault.offset, json_fault.what);
  return xh_event_from_valid(text, ret_event, ret_fault);
}

int xh_event_from_valid(xh_str text, xh_event *ret_event, xh_event_fault *ret_fault)
{
  xh_event event = {.raw = xh_json_trim(text)};
  xh_json_iter it;
  if (xh_json_typeof(text) != XH_JSON_OBJECT || !xh_json_iter_init(&it, text))
    return fault(ret_fault, XH_EEVENT, 0, "an event is an object");
  xh_str type = {NULL, 0}, method = {NULL, 0}, key, value;
  const struct {
    const char *name;
    xh_str *to;
  } properties[] = {
      {"type", &type},
      {"method", &method},
      {"callId", &event.call_id},
      {"userId", &event.user_id},
      {"userName", &event.user_name},
      {"userIp", &event.user_ip},
      {"params", &event.params},
      {"timestamp", &event.timestamp},
      {"duration", &event.duration},
      {"result", &event.result},
      {"error", &event.error},
  };
  while (xh_json_next(&it, &key, &value))
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
      if (xh_json_key_eq(key, xh_str_z(properties[i].name))) {
        *properties[i].to = value;
        break;
      }
  if (!method.ptr || !type.ptr)
    return fault(ret_fault, XH_EMISSING, 0,
                 method.ptr ? "property \"type\" is missing" : "property \"method\" is missing");
  const char *wrong = read_method(method, &event.method);
  if (!wrong)
    wrong = read_type(type, &event.type);
  if (wrong)
    return fault(ret_fault, XH_EEVENT, 0, wrong);
  *ret_event = event;
  return 0;
}
