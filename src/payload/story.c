#include "payload/story.h"

#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* Cuts at a character boundary so that `out` of `size` holds it; "…" tells that there was more. */
static void cut(xh_str text, char *out, size_t size)
{
  static const char more[] = "…";
  size_t len = text.len;
  if (len >= size) {
    len = size - sizeof more;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
      len--;
  }
  if (len > 0)
    memcpy(out, text.ptr, len);
  snprintf(out + len, size - len, "%s", text.len >= size ? more : "");
  for (char *at = out; *at; at++) /* one line */
    if ((unsigned char)*at < ' ' || *at == 127)
      *at = ' ';
}

/* The beginning of a string, as a string: enough to fill `size` decoded, since six bytes ("\u0041") mean one at least. */
static void put_beginning(xh_str string, size_t size, xh_buf *out)
{
  const char *from = string.ptr + 1, *at = from, *end = string.ptr + string.len - 1;
  while (at < end && (size_t)(at - from) < 6 * size)
    at += *at != '\\' ? 1 : at[1] == 'u' ? 6 : 2;
  while (at < end && ((unsigned char)*at & 0xc0) == 0x80)
    at++;
  xh_buf_char(out, '"');
  xh_buf_append(out, from, (size_t)(at - from));
  xh_buf_char(out, '"');
}

void story_text(xh_str value, char *out, size_t size)
{
  *out = '\0';
  if (!value.ptr)
    return;
  if (xh_json_typeof(value) != XH_JSON_STRING) {
    cut(value, out, size);
    return;
  }
  xh_buf beginning, text;
  xh_buf_init(&beginning, 6 * size + 16);
  xh_buf_init(&text, 6 * size + 16);
  put_beginning(value, size, &beginning);
  if (xh_buf_error(&beginning) == 0 && xh_json_decode(xh_buf_span(&beginning), &text) == 0)
    cut(xh_buf_span(&text), out, size);
  else /* without memory: its beginning, still escaped */
    cut((xh_str){value.ptr + 1, value.len > size ? size : value.len - 2}, out, size);
  xh_buf_done(&beginning);
  xh_buf_done(&text);
}

/* ---- the method in words ---- */

static const char *const NAMESPACES[][2] = {{"vm", "VM"},
                                            {"sr", "storage"},
                                            {"pif", "network interface"},
                                            {"vif", "VM network interface"},
                                            {"vbd", "VM disk attachment"},
                                            {"vdi", "disk"},
                                            {"pbd", "storage connection"},
                                            {"acl", "access right"},
                                            {"backupNg", "backup"},
                                            {"metadataBackup", "metadata backup"},
                                            {"mirrorBackup", "mirror backup"},
                                            {"xo", "Xen Orchestra"},
                                            {"ipPool", "IP pool"},
                                            {"pci", "PCI device"},
                                            {"pgpu", "GPU"},
                                            {"vgpu", "virtual GPU"},
                                            {"xostor", "XOSTOR"}};

/* "createJob" → "create job". */
static void add_words(xh_buf *out, xh_str name)
{
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    bool upper = isupper((unsigned char)c) != 0;
    bool in_capitals = upper && i > 0 && isupper((unsigned char)name.ptr[i - 1]);
    if (upper && i > 0 && !in_capitals)
      xh_buf_char(out, ' ');
    xh_buf_char(out, upper && !in_capitals && !(i + 1 < name.len && isupper((unsigned char)name.ptr[i + 1]))
                         ? (char)tolower((unsigned char)c)
                         : c);
  }
}

static void method_words(xh_str method, xh_buf *out)
{
  const char *dot = NULL;
  for (size_t i = 0; i < method.len; i++)
    if (method.ptr[i] == '.')
      dot = method.ptr + i;
  if (!dot) {
    add_words(out, method);
  } else {
    xh_str space = {method.ptr, (size_t)(dot - method.ptr)}, action = {dot + 1, (size_t)(method.ptr + method.len - dot - 1)};
    size_t i = 0, count = sizeof NAMESPACES / sizeof *NAMESPACES;
    while (i < count && !xh_str_eqz(space, NAMESPACES[i][0]))
      i++;
    if (i < count)
      xh_buf_z(out, NAMESPACES[i][1]);
    else
      add_words(out, space);
    xh_buf_z(out, ": ");
    add_words(out, action);
  }
  if (out->len > 0 && out->ptr)
    out->ptr[0] = (char)toupper((unsigned char)out->ptr[0]);
}

/* ---- the object ---- */

/* The parameters that name what a call is about, the most telling first. */
static const char *const ID_KEYS[] = {"id",     "vm",   "host", "pool", "sr",     "network", "vdi",     "srId", "hostId",
                                      "vmId",   "poolId", "remote", "job", "user", "userId",  "subject", "object", "vms", NULL};
static const char *const NAME_KEYS[] = {"name", "name_label", "nameLabel", "label", "email", "host", "url", NULL};

static xh_str first_of(xh_str params, const char *const *keys)
{
  xh_str value;
  for (; *keys; keys++)
    if (xh_json_find(params, xh_str_z(*keys), &value) &&
        (xh_json_typeof(value) == XH_JSON_STRING || xh_json_typeof(value) == XH_JSON_NUMBER || xh_json_typeof(value) == XH_JSON_ARRAY))
      return value;
  return (xh_str){NULL, 0};
}

static void tell_object(const xh_event *event, story *s)
{
  char name[STORY_SHORT_BYTES_MAX] = "";
  if (!event->params.ptr || xh_json_typeof(event->params) != XH_JSON_OBJECT)
    return;
  xh_str id = first_of(event->params, ID_KEYS), label = first_of(event->params, NAME_KEYS);
  story_text(id, s->object_id, sizeof s->object_id);
  if (label.ptr != id.ptr)
    story_text(label, name, sizeof name);
  if (*name && *s->object_id)
    snprintf(s->object, sizeof s->object, "%s (%s)", name, s->object_id);
  else
    snprintf(s->object, sizeof s->object, "%s", *name ? name : s->object_id);
  if (!*s->object_id)
    memcpy(s->object_id, name, sizeof name);
}

/* ---- time and outcome ---- */

static void tell_time(const xh_event *event, story *s)
{
  int64_t ms;
  if (event->timestamp.ptr && xh_json_i64(event->timestamp, &ms) && ms > 0) {
    char iso[XH_ISO_SIZE];
    xh_iso_time(ms, iso);
    snprintf(s->iso, sizeof s->iso, "%s", iso);
    snprintf(s->when, sizeof s->when, "%.10s %.8s UTC", iso, iso + 11);
  }
  if (event->duration.ptr && xh_json_i64(event->duration, &ms) && ms >= 0)
    xh_duration_text(ms, s->duration, sizeof s->duration);
}

static void tell_error(const xh_event *event, story *s)
{
  xh_str message;
  if (xh_json_typeof(event->error) == XH_JSON_OBJECT && xh_json_find(event->error, XH_STR("message"), &message))
    story_text(message, s->error, sizeof s->error);
  else
    story_text(event->error, s->error, sizeof s->error);
  if (!*s->error)
    snprintf(s->error, sizeof s->error, "an error without a message");
}

static void tell_result(const xh_event *event, story *s)
{
  xh_json_type type = event->result.ptr ? xh_json_typeof(event->result) : XH_JSON_NONE;
  if (type == XH_JSON_STRING || type == XH_JSON_NUMBER)
    story_text(event->result, s->result, sizeof s->result);
}

void story_tell(const xh_event *event, story *ret_story)
{
  story *s = ret_story;
  xh_buf title;
  *s = (story){.failed = event->type == XH_POST && event->error.ptr != NULL};
  xh_buf_init(&title, 1024);
  method_words(event->method, &title);
  xh_buf_z(&title, event->type == XH_PRE ? " requested" : s->failed ? " failed" : " done");
  cut(xh_buf_error(&title) ? event->method : xh_buf_span(&title), s->title, sizeof s->title);
  xh_buf_done(&title);
  story_text(event->user_name.ptr ? event->user_name : event->user_id, s->who, sizeof s->who);
  story_text(event->user_ip, s->from, sizeof s->from);
  if (!*s->who)
    snprintf(s->who, sizeof s->who, "Xen Orchestra");
  tell_object(event, s);
  tell_time(event, s);
  if (s->failed)
    tell_error(event, s);
  else
    tell_result(event, s);
}
