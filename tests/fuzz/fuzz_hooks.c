/*
 * Configurations: any bytes, as the whole document and as the `advanced` object of a good hook. What is refused has a mistake that says why; what
 * loads is stored in a form that loads again as the same hook.
 */
#include "fuzz.h"

#include "base/err.h"
#include "hooks/hooks.h"

static void check_mistakes(const xh_mistakes *mistakes, int rc)
{
  size_t errors = 0;
  for (size_t i = 0; i < mistakes->count; i++) {
    const xh_mistake *one = &mistakes->items[i];
    CHECK(one->pointer && (*one->pointer == '\0' || *one->pointer == '/') && one->message && *one->message);
    errors += !one->warning;
  }
  CHECK(errors == mistakes->errors && mistakes->count == mistakes->errors + mistakes->warnings);
  CHECK((rc == XH_ECONFIG) == (errors > 0));
}

static void check_hook(const xh_hook *hook)
{
  xh_hook *again;
  char label[64];
  CHECK(xh_hook_compile(xh_str_z(hook->config), &again) == 0);
  CHECK(strcmp(hook->digest, again->digest) == 0 && strcmp(hook->config, again->config) == 0);
  CHECK(strcmp(hook->target_key, again->target_key) == 0 && strcmp(hook->url, again->url) == 0);
  CHECK(hook->types && hook->schedule_count >= 1 && hook->timeout_ms > 0 && hook->expire_ms > 0);
  CHECK(hook->schedule_count == again->schedule_count && hook->header_count == again->header_count);
  CHECK(hook->secret_count == again->secret_count && hook->when_count == again->when_count);
  xh_hook_label(hook, label, sizeof label);
  CHECK(memchr(label, 0, sizeof label));
  xh_hook_unref(again);
}

static void compile(xh_str config, unsigned checks)
{
  xh_hooks *hooks = NULL;
  xh_mistakes mistakes;
  int rc = xh_hooks_compile(config, checks | XH_CHECK_ALL, &hooks, &mistakes);
  CHECK(rc == 0 || rc == XH_ECONFIG);
  check_mistakes(&mistakes, rc);
  CHECK(rc != 0 || xh_json_validate(config, NULL) == 0);
  for (size_t i = 0; rc == 0 && i < xh_hooks_count(hooks); i++)
    check_hook(xh_hooks_at(hooks, i));
  xh_hooks_unref(hooks);
  xh_mistakes_done(&mistakes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *copy = fuzz_copy(data, size);
  xh_buf wrapped;
  xh_buf_init(&wrapped, size + 256);
  xh_buf_z(&wrapped, "{\"hooks\":[{\"method\":\"*\",\"type\":\"pre/post\",\"url\":\"http://h/\",\"format\":\"json\",\"advanced\":");
  xh_buf_append(&wrapped, copy, size);
  xh_buf_z(&wrapped, "}]}");
  compile((xh_str){copy, size}, XH_CHECK_STRICT);
  compile((xh_str){copy, size}, 0);
  compile(xh_buf_span(&wrapped), XH_CHECK_STRICT);
  xh_buf_done(&wrapped);
  free(copy);
  return 0;
}
