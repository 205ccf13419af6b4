/* Which hooks want an event. Pure. */
#include "hooks/check.h"

#include "base/err.h"
#include "base/json_scan.h"

bool glob_fits(xh_str pattern, xh_str text)
{
  const char *p = pattern.ptr, *p_end = p + pattern.len, *t = text.ptr, *t_end = t + text.len;
  const char *star = NULL, *star_t = NULL;
  while (t < t_end) {
    if (p < p_end && *p == '*') {
      star = p++;
      star_t = t;
    } else if (p < p_end && (*p == '?' || *p == *t)) {
      p++;
      t++;
    } else if (star) { /* the last star takes one more */
      p = star + 1;
      t = ++star_t;
    } else {
      return false;
    }
  }
  while (p < p_end && *p == '*')
    p++;
  return p == p_end;
}

bool xh_method_fits(xh_str pattern, xh_str method)
{
  return glob_fits(pattern, method);
}

/* One of the patterns fits the value's text; of a list, one of its elements'. */
static bool value_matches(const xh_condition *condition, xh_str value, int *ret_rc)
{
  enum { TEXT_CAP_BYTES = 64 * 1024 };
  xh_json_iter it;
  xh_str element;
  if (xh_json_typeof(value) == XH_JSON_ARRAY && xh_json_iter_init(&it, value)) {
    while (xh_json_next(&it, NULL, &element))
      if (xh_json_typeof(element) != XH_JSON_ARRAY && value_matches(condition, element, ret_rc))
        return true;
    return false;
  }
  xh_buf decoded;
  xh_buf_init(&decoded, TEXT_CAP_BYTES);
  xh_str text = value;
  if (xh_json_typeof(value) == XH_JSON_STRING && xh_json_decode(value, &decoded) == 0)
    text = xh_buf_span(&decoded);
  if (xh_buf_error(&decoded) == XH_ENOMEM)
    *ret_rc = XH_ENOMEM;
  bool fits = false;
  for (size_t i = 0; i < condition->match_count && !fits; i++)
    fits = glob_fits(xh_str_z(condition->matches[i]), text);
  xh_buf_done(&decoded);
  return fits;
}

static bool condition_holds(const xh_condition *condition, const xh_event *event, int *ret_rc)
{
  xh_str path = xh_str_z(condition->property), value = {NULL, 0};
  bool there = true;
  if (xh_str_eqz(path, "userName"))
    value = event->user_name;
  else if (xh_str_eqz(path, "userId"))
    value = event->user_id;
  else if (xh_str_starts(path, XH_STR("params.")) && event->params.ptr)
    there = xh_json_path(event->params, (xh_str){path.ptr + 7, path.len - 7}, &value);
  else
    there = xh_json_path(event->raw, path, &value);
  bool holds = there && value.ptr && value_matches(condition, value, ret_rc);
  return holds != condition->negate;
}

bool hook_wants(const xh_hook *hook, const xh_event *event, int *ret_rc)
{
  if (!hook->enabled || !(hook->types & event->type))
    return false;
  if (event->type == XH_POST && hook->only != XH_ONLY_ALL && (hook->only == XH_ONLY_FAILURE) != (xh_event_failed(event) != 0))
    return false;
  for (size_t i = 0; i < hook->when_count; i++)
    if (!condition_holds(&hook->when[i], event, ret_rc))
      return false;
  return true;
}

bool xh_hook_fits(const xh_hook *hook, const xh_event *event)
{
  int rc = 0;
  return xh_method_fits(xh_str_z(hook->method), event->method) && hook_wants(hook, event, &rc);
}
