/* What is remembered of deliveries. */
#include "receiver/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { NOW = 1000000 };

static void states_change_and_are_taken_back(void **state)
{
  (void)state;
  xh_seen *seen;
  assert_int_equal(xh_seen_new(&seen), 0);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), NOW), XH_SEEN_NEVER);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_RUNNING, NOW), 0);
  assert_int_equal(xh_seen_set(seen, XH_STR("b"), XH_SEEN_FAILED, NOW), 0);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), NOW), XH_SEEN_RUNNING);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_DONE, NOW), 0);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), NOW), XH_SEEN_DONE);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_NEVER, NOW), 0);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), NOW), XH_SEEN_NEVER);
  assert_int_equal(xh_seen_get(seen, XH_STR("b"), NOW), XH_SEEN_FAILED);
  assert_int_equal(xh_seen_get(seen, XH_STR(""), NOW), XH_SEEN_NEVER);
  xh_seen_free(seen);
}

static void what_is_too_old_is_forgotten(void **state)
{
  (void)state;
  xh_seen *seen;
  char id[16];
  assert_int_equal(xh_seen_new(&seen), 0);
  for (int i = 0; i < 3000; i++) { /* the ring grows, and goes round */
    snprintf(id, sizeof id, "msg_%d", i);
    assert_int_equal(xh_seen_set(seen, xh_str_z(id), XH_SEEN_DONE, NOW + i * 60000LL), 0);
  }
  int64_t now_ms = NOW + 2999 * 60000LL;
  for (int i = 0; i < 3000; i++) {
    snprintf(id, sizeof id, "msg_%d", i);
    assert_int_equal(xh_seen_get(seen, xh_str_z(id), now_ms), i < 2999 - 25 * 60 ? XH_SEEN_NEVER : XH_SEEN_DONE);
  }
  assert_int_equal(xh_seen_get(seen, XH_STR("msg_2999"), now_ms + XH_SEEN_KEEP_MS + 1), XH_SEEN_NEVER);
  xh_seen_free(seen);
}

static void the_age_is_that_of_the_last_state(void **state)
{
  (void)state;
  const int64_t day_ms = 24 * 3600000LL;
  const int64_t kept_ms = XH_SEEN_KEEP_MS;
  xh_seen *seen;
  assert_int_equal(xh_seen_new(&seen), 0);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_RUNNING, NOW), 0);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_NEVER, NOW), 0); /* it failed, and comes again a day later */
  assert_int_equal(xh_seen_set(seen, XH_STR("b"), XH_SEEN_RUNNING, NOW), 0); /* its scripts take a day */
  assert_int_equal(xh_seen_set(seen, XH_STR("c"), XH_SEEN_DONE, NOW), 0);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_DONE, NOW + day_ms), 0);
  assert_int_equal(xh_seen_set(seen, XH_STR("b"), XH_SEEN_DONE, NOW + day_ms), 0);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), NOW + kept_ms + 1), XH_SEEN_DONE);
  assert_int_equal(xh_seen_get(seen, XH_STR("c"), NOW + kept_ms + 1), XH_SEEN_NEVER);
  assert_int_equal(xh_seen_get(seen, XH_STR("b"), NOW + day_ms + kept_ms), XH_SEEN_DONE);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), NOW + day_ms + kept_ms + 1), XH_SEEN_NEVER);
  assert_int_equal(xh_seen_get(seen, XH_STR("b"), NOW + day_ms + kept_ms + 1), XH_SEEN_NEVER);
  xh_seen_free(seen);
}

static void of_too_many_the_oldest_go(void **state)
{
  (void)state;
  xh_seen *seen;
  char id[16];
  assert_int_equal(xh_seen_new(&seen), 0);
  for (int i = 0; i <= XH_SEEN_MAX; i++) {
    snprintf(id, sizeof id, "%d", i);
    assert_int_equal(xh_seen_set(seen, xh_str_z(id), XH_SEEN_DONE, NOW), 0);
  }
  assert_int_equal(xh_seen_get(seen, XH_STR("0"), NOW), XH_SEEN_NEVER);
  snprintf(id, sizeof id, "%d", XH_SEEN_MAX);
  assert_int_equal(xh_seen_get(seen, xh_str_z(id), NOW), XH_SEEN_DONE);
  assert_int_equal(xh_seen_get(seen, XH_STR("100"), NOW), XH_SEEN_DONE);
  xh_seen_free(seen);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(states_change_and_are_taken_back),
      cmocka_unit_test(what_is_too_old_is_forgotten),
      cmocka_unit_test(the_age_is_that_of_the_last_state),
      cmocka_unit_test(of_too_many_the_oldest_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
