#include "hooks/hook.h"

#include "hooks/check.h"

#include <stdio.h>
#include <stdlib.h>

const int64_t XH_SCHEDULE_DEFAULT_MS[10] = {0,        5000,     300000,   1800000,  7200000,
                                            18000000, 36000000, 50400000, 72000000, 86400000};

const char *xh_format_name(xh_format format)
{
  static const char *const names[XH_FORMAT_COUNT] = {"json", "office365", "teams", "slack", "cloudevents"};
  return (unsigned)format < XH_FORMAT_COUNT ? names[format] : "unknown";
}

xh_hook *hook_new(void)
{
  xh_hook *hook = calloc(1, sizeof *hook);
  if (!hook)
    return NULL;
  atomic_init(&hook->references, 1);
  hook->enabled = true;
  hook->mask_secrets = true;
  hook->timeout_ms = XH_TIMEOUT_DEFAULT_MS;
  hook->expire_ms = (int64_t)XH_EXPIRE_DEFAULT_S * 1000;
  return hook;
}

xh_hook *xh_hook_ref(xh_hook *hook)
{
  atomic_fetch_add_explicit(&hook->references, 1, memory_order_relaxed);
  return hook;
}

static void free_texts(char **texts, size_t count)
{
  for (size_t i = 0; i < count; i++)
    free(texts[i]);
  free(texts);
}

void xh_hook_unref(xh_hook *hook)
{
  if (!hook || atomic_fetch_sub_explicit(&hook->references, 1, memory_order_acq_rel) != 1)
    return;
  for (size_t i = 0; i < hook->header_count; i++) {
    free(hook->headers[i].name);
    free(hook->headers[i].value);
  }
  for (size_t i = 0; i < hook->when_count; i++) {
    free(hook->when[i].property);
    free_texts(hook->when[i].matches, hook->when[i].match_count);
  }
  free_texts(hook->fields, hook->field_count);
  free(hook->headers);
  free(hook->when);
  free(hook->schedule_ms);
  free(hook->method);
  free(hook->url);
  free(hook->url_shown);
  free(hook->name);
  free(hook->tls.ca_file);
  free(hook->tls.certificate_file);
  free(hook->tls.key_file);
  free(hook->tls.passphrase);
  free(hook->tls.pinned_certificate);
  free(hook->proxy);
  free(hook->config);
  free(hook->target_key);
  free(hook);
}

void xh_hook_label(const xh_hook *hook, char *out, size_t size)
{
  static const char *const types[] = {"", "pre", "post", "pre/post"};
  if (hook->name)
    snprintf(out, size, "%s", hook->name);
  else
    snprintf(out, size, "%s %s → %s", hook->method, types[hook->types & 3], hook->url_shown);
}

/* ---- what identifies it ---- */

static void add_part(xh_buf *key, const char *text)
{
  xh_buf_z(key, text ? text : "-");
  xh_buf_char(key, '\n');
}

bool hook_identify(xh_hook *hook, const json_t *object)
{
  xh_buf key;
  hook->config = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
  if (!hook->config)
    return false;
  xh_digest(xh_str_z(hook->config), hook->digest);
  xh_buf_init(&key, 64 * 1024);
  add_part(&key, hook->url);
  add_part(&key, hook->proxy);
  add_part(&key, hook->tls.ca_file);
  add_part(&key, hook->tls.certificate_file);
  add_part(&key, hook->tls.key_file);
  add_part(&key, hook->tls.pinned_certificate);
  hook->target_key = xh_buf_steal(&key, NULL);
  return hook->target_key != NULL;
}
