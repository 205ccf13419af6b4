/* Each allocation of rendering fails in turn: the body as ever, or an error. */
#include "failing_memory.h"

#include "base/err.h"
#include "hooks/hooks.h"
#include "payload/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char EVENT[] =
    "{\"type\":\"post\",\"callId\":\"c1\",\"method\":\"token.create\",\"userId\":\"u\",\"userName\":\"admin@example.org\","
    "\"params\":{\"id\":\"67aac198\",\"name\":\"a name\",\"p\\u0061ssword\":\"* obfuscated *\",\"list\":[1,2,3]},"
    "\"timestamp\":1795457437249,\"duration\":12,\"result\":{\"token\":\"secret\",\"more\":{\"password\":\"x\"}},"
    "\"error\":{\"message\":\"no\",\"stack\":\"at a\\nat b\",\"code\":7}}";

static void render_with_each_allocation_failing(const char *format, const char *advanced)
{
  char config[1024];
  xh_hook *hook;
  xh_event event;
  xh_payload payload;
  xh_buf whole, body;
  snprintf(config, sizeof config, "{\"method\":\"*\",\"type\":\"pre/post\",\"url\":\"http://h/\",\"format\":\"%s\",\"advanced\":%s}", format,
           advanced);
  assert_int_equal(xh_hook_compile(xh_str_z(config), &hook), 0);
  assert_int_equal(xh_event_parse(XH_STR(EVENT), &event, NULL), 0);
  xh_buf_init(&whole, 1 << 20);
  assert_int_equal(xh_payload_render(hook, &event, XH_STR("paris"), &payload, &whole), 0);
  long n = 0;
  bool failed;
  do {
    xh_buf_init(&body, 1 << 20);
    memory_fails_in(++n);
    int rc = xh_payload_render(hook, &event, XH_STR("paris"), &payload, &body);
    failed = memory_failed();
    if (rc == 0) {
      bool same = body.len == whole.len && memcmp(body.len ? body.ptr : "", whole.len ? whole.ptr : "", whole.len) == 0;
      /* a card may name the method instead of telling it in words */
      if (!same && (xh_json_validate(xh_buf_span(&body), NULL) != 0 || !strstr(body.ptr, "\"text\":\"token.create\"")))
        fail_msg("%s %s, allocation %ld: %s", format, advanced, n, body.ptr);
    } else {
      assert_int_equal(rc, XH_ENOMEM);
    }
    xh_buf_done(&body);
  } while (failed);
  xh_buf_done(&whole);
  xh_hook_unref(hook);
}

static void every_format_is_whole_or_an_error(void **state)
{
  (void)state;
  static const char *const formats[] = {"json", "office365", "teams", "slack", "cloudevents"};
  static const char *const advanced[] = {"{}", "{\"fields\":[\"method\",\"params.id\",\"params.name\",\"result\"]}", "{\"maskSecrets\":false}",
                                         "{\"dropStack\":true}"};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    for (size_t j = 0; j < sizeof advanced / sizeof *advanced; j++)
      render_with_each_allocation_failing(formats[i], advanced[j]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_format_is_whole_or_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
