#include "receiver/environment.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

enum { VARIABLES_MAX = 96 };

typedef struct builder {
  xh_buf text; /* "NAME=value\0" one after the other */
  size_t starts[VARIABLES_MAX];
  size_t count;
} builder;

static void begin(builder *b, const char *name)
{
  if (b->count < VARIABLES_MAX)
    b->starts[b->count++] = b->text.len;
  xh_buf_z(&b->text, name);
  xh_buf_char(&b->text, '=');
}

static void add(builder *b, const char *name, xh_str value)
{
  if (b->count == VARIABLES_MAX)
    return;
  begin(b, name);
  if (value.len > XH_ENV_VALUE_BYTES_MAX) {
    value.len = XH_ENV_VALUE_BYTES_MAX;
    while (value.len > 0 && ((unsigned char)value.ptr[value.len] & 0xc0) == 0x80)
      value.len--;
  }
  const char *nul = value.len ? memchr(value.ptr, 0, value.len) : NULL; /* \u0000 ends what a variable can hold */
  xh_buf_append(&b->text, value.ptr ? value.ptr : "", nul ? (size_t)(nul - value.ptr) : value.len);
  xh_buf_char(&b->text, 0);
}

/* A string as its text, everything else as JSON; absent and null leave the variable out. */
static void add_json(builder *b, const char *name, xh_str value)
{
  xh_json_type type = value.ptr ? xh_json_typeof(value) : XH_JSON_NONE;
  if (type == XH_JSON_NONE || type == XH_JSON_NULL)
    return;
  if (type != XH_JSON_STRING) {
    add(b, name, value);
    return;
  }
  xh_buf text;
  xh_buf_init(&text, value.len + 16);
  if (xh_json_decode(value, &text) == 0)
    add(b, name, xh_buf_span(&text));
  xh_buf_done(&text);
}

static void add_member(builder *b, const char *name, xh_str object, xh_str member)
{
  xh_str value;
  if (object.ptr && xh_json_typeof(object) == XH_JSON_OBJECT && xh_json_find(object, member, &value))
    add_json(b, name, value);
}

static void add_event(builder *b, const xh_event *event)
{
  add(b, "XO_METHOD", event->method);
  add(b, "XO_TYPE", xh_str_z(xh_event_type_name(event->type)));
  add_json(b, "XO_CALL_ID", event->call_id);
  add_json(b, "XO_USER_ID", event->user_id);
  add_json(b, "XO_USER_NAME", event->user_name);
  add_json(b, "XO_USER_IP", event->user_ip);
  add_json(b, "XO_TIMESTAMP", event->timestamp);
  add_json(b, "XO_DURATION", event->duration);
  add_member(b, "XO_OBJECT_ID", event->params, XH_STR("id"));
  if (event->type == XH_POST)
    add(b, "XO_SUCCESS", xh_event_failed(event) ? XH_STR("false") : XH_STR("true"));
  add_member(b, "XO_ERROR_CODE", event->error, XH_STR("code"));
  add_member(b, "XO_ERROR_MESSAGE", event->error, XH_STR("message"));
}

static bool is_passed(const char *name, const char *const *pass, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (strcmp(pass[i], name) == 0 && getenv(name))
      return true;
  return false;
}

/* What every script has; a variable that is passed takes the place of ours. */
static void add_world(builder *b, const char *const *pass, size_t count)
{
  const char *home = getenv("HOME");
  const struct {
    const char *name, *value;
  } ours[] = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {"HOME", home ? home : "/"}, {"LANG", "C.UTF-8"}};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (!is_passed(ours[i].name, pass, count))
      add(b, ours[i].name, xh_str_z(ours[i].value));
  for (size_t i = 0; i < count; i++)
    if (is_passed(pass[i], pass, count) && !is_passed(pass[i], pass, i))
      add(b, pass[i], xh_str_z(getenv(pass[i])));
}

static int finish(builder *b, char ***ret_env)
{
  int rc = xh_buf_error(&b->text);
  size_t table = (b->count + 1) * sizeof(char *);
  char **env = rc ? NULL : malloc(table + b->text.len);
  if (!rc && !env)
    rc = XH_ENOMEM;
  if (rc == 0) {
    char *text = (char *)env + table;
    memcpy(text, b->text.ptr, b->text.len);
    for (size_t i = 0; i < b->count; i++)
      env[i] = text + b->starts[i];
    env[b->count] = NULL;
    *ret_env = env;
  }
  xh_buf_done(&b->text);
  return rc;
}

int xh_environment_build(const xh_event *event, const xh_job *job, const char *const *pass, size_t count, char ***ret_env)
{
  builder b = {.count = 0};
  xh_buf_init(&b.text, (size_t)VARIABLES_MAX * (XH_ENV_VALUE_BYTES_MAX + 256));
  add_world(&b, pass, count);
  add_event(&b, event);
  add(&b, "XO_DELIVERY_ID", xh_str_z(job->delivery ? job->delivery : ""));
  char digits[16];
  snprintf(digits, sizeof digits, "%d", job->attempt);
  add(&b, "XO_ATTEMPT", xh_str_z(digits));
  return finish(&b, ret_env);
}
