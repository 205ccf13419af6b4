#include "cli/json_view.h"

#include <time.h>

enum { TEXT_CAP_BYTES = 256 * 1024 * 1024 };

xh_str view_member(xh_str object, const char *name)
{
  xh_str value = {NULL, 0};
  if (object.ptr)
    xh_json_find(object, xh_str_z(name), &value);
  return value;
}

bool view_is(xh_str object, const char *name)
{
  xh_str value = view_member(object, name);
  return value.ptr && xh_json_typeof(value) == XH_JSON_TRUE;
}

int64_t view_number(xh_str object, const char *name)
{
  int64_t number = 0;
  xh_str value = view_member(object, name);
  return value.ptr && xh_json_i64(value, &number) ? number : 0;
}

bool view_equals(xh_str object, const char *name, const char *text)
{
  xh_str value = view_member(object, name);
  return value.len >= 2 && *value.ptr == '"' && xh_str_eqz((xh_str){value.ptr + 1, value.len - 2}, text);
}

void view_put(FILE *out, xh_str value, size_t most)
{
  xh_buf text, plain;
  xh_json_type type = value.ptr ? xh_json_typeof(value) : XH_JSON_NULL;
  if (type == XH_JSON_NULL)
    return;
  xh_buf_init(&text, TEXT_CAP_BYTES);
  xh_buf_init(&plain, TEXT_CAP_BYTES);
  if (type != XH_JSON_STRING)
    xh_buf_str(&text, value);
  else
    xh_json_decode(value, &text);
  xh_buf_plain(&plain, xh_buf_span(&text), most, "");
  fwrite(xh_buf_span(&plain).ptr, 1, plain.len, out);
  xh_buf_done(&plain);
  xh_buf_done(&text);
}

void view_time(int64_t wall_ms, char *out, size_t size)
{
  time_t seconds = (time_t)(wall_ms / 1000);
  struct tm local;
  if (!localtime_r(&seconds, &local) || strftime(out, size, "%Y-%m-%d %H:%M:%S", &local) == 0)
    snprintf(out, size, "-");
}
