#include "cli/filter_options.h"

#include "base/clock.h"

#include <string.h>

static int take_time(const xh_command *command, const char *name, const char *text, int64_t *ret_ms)
{
  if (xh_time_parse(text, xh_wall_ms(), ret_ms) == 0)
    return 1;
  xh_usage_error(command, "--%s %s: must be a time such as 2026-11-23T08:15, or an age such as 15m, 2h, 7d", name, text);
  return -1;
}

int filter_take(filter_options *f, const xh_command *command, int option, const char *argument)
{
  switch (option) {
  case 'm':
    f->method = argument;
    return 1;
  case 'H':
    f->hook = argument;
    return 1;
  case 'u':
    f->user = argument;
    return 1;
  case 'S':
    f->source = argument;
    return 1;
  case 'a':
    return take_time(command, "since", argument, &f->since_ms);
  case 'b':
    return take_time(command, "until", argument, &f->until_ms);
  default:
    return 0;
  }
}

static void put_text(xh_buf *params, const char *name, const char *value, bool *more)
{
  if (!value)
    return;
  xh_buf_printf(params, "%s\"%s\":", *more ? "," : "", name);
  xh_buf_json_z(params, value);
  *more = true;
}

static void put_number(xh_buf *params, const char *name, int64_t value, bool *more)
{
  if (value == 0)
    return;
  xh_buf_printf(params, "%s\"%s\":%lld", *more ? "," : "", name, (long long)value);
  *more = true;
}

/* "dead,waiting" → a list. */
static void put_statuses(xh_buf *params, const char *list, bool *more)
{
  if (!list)
    return;
  xh_buf_printf(params, "%s\"status\":[", *more ? "," : "");
  for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    if (at != list)
      xh_buf_char(params, ',');
    xh_buf_json(params, (xh_str){at, strcspn(at, ",")});
  }
  xh_buf_char(params, ']');
  *more = true;
}

bool filter_put(const filter_options *f, xh_buf *params, bool more)
{
  bool before = more;
  put_statuses(params, f->status, &more);
  put_text(params, "method", f->method, &more);
  put_text(params, "hook", f->hook, &more);
  put_text(params, "user", f->user, &more);
  put_text(params, "source", f->source, &more);
  put_number(params, "since", f->since_ms, &more);
  put_number(params, "until", f->until_ms, &more);
  return more != before;
}
