#include "payload/filter.h"

#include "base/err.h"

enum { PATHS_MAX = 64, STEPS_MAX = 32 };

/* The ways that are still to go: "id" and "name" of "params.id" and "params.name" inside params. */
typedef struct paths {
  xh_str items[PATHS_MAX];
  size_t count;
} paths;

static void put_member(xh_buf *out, xh_str key, xh_str value, bool *first)
{
  xh_buf_z(out, *first ? "\"" : ",\"");
  xh_buf_str(out, key);
  xh_buf_z(out, "\":");
  xh_buf_str(out, value);
  *first = false;
}

/* Which of `ways` lead through `key`? True when one ends there: the value is wanted whole. */
static bool follow(const paths *ways, xh_str key, paths *ret_further)
{
  ret_further->count = 0;
  for (size_t i = 0; i < ways->count; i++) {
    xh_str way = ways->items[i];
    const char *dot = memchr(way.ptr, '.', way.len);
    xh_str step = {way.ptr, dot ? (size_t)(dot - way.ptr) : way.len};
    if (!xh_json_key_eq(key, step))
      continue;
    if (!dot)
      return true;
    ret_further->items[ret_further->count++] = (xh_str){dot + 1, way.len - step.len - 1};
  }
  return false;
}

static void put_without_stack(xh_buf *out, xh_str error)
{
  xh_json_iter it;
  xh_str key, value;
  bool first = true;
  if (xh_json_typeof(error) != XH_JSON_OBJECT || !xh_json_iter_init(&it, error)) {
    xh_buf_str(out, error);
    return;
  }
  xh_buf_char(out, '{');
  while (xh_json_next(&it, &key, &value))
    if (!xh_json_key_eq(key, XH_STR("stack")))
      put_member(out, key, value, &first);
  xh_buf_char(out, '}');
}

static void put_selected(xh_buf *out, xh_str object, const paths *ways, size_t steps, bool drop_stack)
{
  xh_json_iter it;
  xh_str key, value;
  bool first = true;
  if (steps == STEPS_MAX || xh_json_typeof(object) != XH_JSON_OBJECT || !xh_json_iter_init(&it, object)) {
    xh_buf_str(out, object); /* a way that leads into a list or a plain value takes it whole */
    return;
  }
  xh_buf_char(out, '{');
  while (xh_json_next(&it, &key, &value)) {
    paths further;
    bool whole = ways->count == 0 || follow(ways, key, &further);
    bool is_error = steps == 0 && drop_stack && xh_json_key_eq(key, XH_STR("error"));
    if (whole && !is_error) {
      put_member(out, key, value, &first);
    } else if (whole) {
      put_member(out, key, XH_STR(""), &first);
      put_without_stack(out, value);
    } else if (further.count > 0) {
      put_member(out, key, XH_STR(""), &first);
      put_selected(out, value, &further, steps + 1, drop_stack);
    }
  }
  xh_buf_char(out, '}');
}

int filter_event(const xh_hook *hook, const xh_event *event, xh_buf *out)
{
  paths ways = {.count = 0};
  for (size_t i = 0; i < hook->field_count && i < PATHS_MAX; i++)
    ways.items[ways.count++] = xh_str_z(hook->fields[i]);
  put_selected(out, event->raw, &ways, 0, hook->drop_stack);
  return xh_buf_error(out);
}
