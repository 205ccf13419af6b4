/* Each allocation of compiling and matching fails in turn: an error, never a hook that is less than what was configured. */
#include "failing_memory.h"

#include "base/err.h"
#include "hooks/hooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char CONFIG[] =
    "{\"hooks\":["
    "{\"method\":\"vm.start\",\"type\":\"pre/post\",\"url\":\"https://user:secret@example.org:8443/x?y=1\",\"format\":\"json\","
    "\"name\":\"all\",\"waitForResponse\":true,\"advanced\":{\"headers\":[{\"name\":\"X-A\",\"value\":\"1\"},{\"name\":\"X-B\","
    "\"value\":\"2\"}],\"token\":\"t\",\"passphrase\":\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\",\"previousPassphrase\":\"plain\","
    "\"timeout\":3,\"retry\":{\"schedule\":[0,1,2],\"expire\":60},\"only\":\"failure\",\"when\":[{\"property\":\"params.id\","
    "\"matches\":[\"a\\tb*\",\"c\"]},{\"property\":\"userName\",\"matches\":[\"x\"],\"negate\":true}],\"fields\":[\"method\",\"params.id\"],"
    "\"tls\":{\"caFile\":\"/ca.pem\"},\"proxy\":\"http://p:q@proxy:3128\"}},"
    "{\"method\":\"vm.*\",\"type\":\"post\",\"url\":\"http://b/\",\"format\":\"slack\"},"
    "{\"method\":\"*\",\"type\":\"post\",\"url\":\"http://b/\",\"format\":\"slack\"}"
    "]}";

static const char EVENT[] = "{\"type\":\"post\",\"method\":\"vm.start\",\"userName\":\"esc\\u0061ped\",\"params\":{\"id\":[\"no\","
                            "\"a\\tbc\"]},\"error\":{\"message\":\"no\"}}";

static void expect_same(const xh_hook *a, const xh_hook *b)
{
  assert_string_equal(a->config, b->config);
  assert_string_equal(a->digest, b->digest);
  assert_string_equal(a->target_key, b->target_key);
  assert_string_equal(a->url_shown, b->url_shown);
  assert_int_equal(a->header_count, b->header_count);
  assert_int_equal(a->secret_count, b->secret_count);
  assert_int_equal(a->schedule_count, b->schedule_count);
  assert_int_equal(a->when_count, b->when_count);
  for (size_t i = 0; i < a->when_count; i++)
    assert_int_equal(a->when[i].match_count, b->when[i].match_count);
  assert_int_equal(a->field_count, b->field_count);
  assert_int_equal(a->expire_ms, b->expire_ms);
  assert_int_equal(a->only, b->only);
  assert_int_equal(!a->name, !b->name);
  assert_int_equal(!a->proxy, !b->proxy);
  assert_int_equal(!a->tls.ca_file, !b->tls.ca_file);
}

static xh_hooks *compile(void)
{
  xh_hooks *hooks;
  xh_mistakes mistakes;
  assert_int_equal(xh_hooks_compile(XH_STR(CONFIG), 0, &hooks, &mistakes), 0);
  xh_mistakes_done(&mistakes);
  return hooks;
}

static void a_configuration_is_compiled_whole_or_not_at_all(void **state)
{
  (void)state;
  xh_hooks *whole = compile();
  long n = 0;
  bool failed;
  do {
    xh_hooks *hooks = NULL;
    xh_mistakes mistakes;
    memory_fails_in(++n);
    int rc = xh_hooks_compile(XH_STR(CONFIG), 0, &hooks, &mistakes);
    failed = memory_failed();
    if (rc == 0) {
      assert_int_equal(xh_hooks_count(hooks), xh_hooks_count(whole));
      for (size_t i = 0; i < xh_hooks_count(hooks); i++)
        expect_same(xh_hooks_at(hooks, i), xh_hooks_at(whole, i));
      xh_hooks_unref(hooks);
    } else if (rc != XH_ENOMEM) {
      fail_msg("allocation %ld: %s, %zu mistakes, the first: %s", n, xh_err_text(rc), mistakes.count,
               mistakes.count ? mistakes.items[0].message : "");
    }
    xh_mistakes_done(&mistakes);
  } while (failed);
  assert_true(n > 100);
  xh_hooks_unref(whole);
}

static void a_stored_hook_is_not_taken_for_a_broken_one(void **state)
{
  (void)state;
  xh_hooks *whole = compile();
  const xh_hook *one = xh_hooks_at(whole, 0);
  long n = 0;
  bool failed;
  do {
    xh_hook *hook = NULL;
    memory_fails_in(++n);
    int rc = xh_hook_compile(xh_str_z(one->config), &hook);
    failed = memory_failed();
    if (rc == 0)
      expect_same(hook, one);
    else
      assert_int_equal(rc, XH_ENOMEM);
    xh_hook_unref(hook);
  } while (failed);
  xh_hooks_unref(whole);
}

static void on_hit(xh_hook *hook, void *arg)
{
  size_t *count = arg;
  (void)hook;
  (*count)++;
}

static void an_event_is_matched_with_all_its_hooks_or_an_error(void **state)
{
  (void)state;
  xh_hooks *hooks = compile();
  xh_event event;
  assert_int_equal(xh_event_parse(XH_STR(EVENT), &event, NULL), 0);
  long n = 0;
  bool failed;
  do {
    size_t count = 0;
    memory_fails_in(++n);
    int rc = xh_hooks_match(hooks, &event, on_hit, &count);
    failed = memory_failed();
    if (rc == 0)
      assert_int_equal(count, 3);
    else
      assert_int_equal(rc, XH_ENOMEM);
  } while (failed);
  assert_true(n > 1); /* something was decoded */
  xh_hooks_unref(hooks);
}

static void mistakes_are_listed_or_an_error(void **state)
{
  (void)state;
  static const char wrong[] = "{\"hooks\":[{\"methd\":\"vm.start\",\"type\":\"later\",\"url\":\"ftp://u:p@h/\",\"format\":7},3],\"x\":[]}";
  long n = 0;
  bool failed;
  do {
    xh_hooks *hooks = NULL;
    xh_mistakes mistakes;
    memory_fails_in(++n);
    int rc = xh_hooks_compile(XH_STR(wrong), XH_CHECK_STRICT, &hooks, &mistakes);
    failed = memory_failed();
    assert_true(rc == XH_ENOMEM || rc == XH_ECONFIG);
    assert_true(rc == XH_ENOMEM || mistakes.errors >= 6);
    for (size_t i = 0; i < mistakes.count; i++)
      assert_null(strstr(mistakes.items[i].message, "(null)"));
    xh_mistakes_done(&mistakes);
  } while (failed);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_configuration_is_compiled_whole_or_not_at_all),
      cmocka_unit_test(a_stored_hook_is_not_taken_for_a_broken_one),
      cmocka_unit_test(an_event_is_matched_with_all_its_hooks_or_an_error),
      cmocka_unit_test(mistakes_are_listed_or_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
