#include "delivery/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int64_t waits[] = {0, 1000, 60000};
static const xh_hook HOOK = {.schedule_ms = waits, .schedule_count = 3, .expire_ms = 120000};

static int64_t next(unsigned used, int64_t accepted_ms, int64_t now_ms, int64_t retry_after_s, double random)
{
  const char *reason = NULL;
  int64_t at_ms = xh_next_attempt_ms(&HOOK, used, accepted_ms, now_ms, retry_after_s, random, &reason);
  assert_int_equal(at_ms == 0, reason != NULL);
  return at_ms;
}

static void waits_follow_the_schedule_with_jitter(void **state)
{
  (void)state;
  assert_int_equal(next(1, 5000, 5000, 0, 0.0), 6000);
  assert_int_equal(next(1, 5000, 5000, 0, 0.5), 6050);
  assert_int_equal(next(2, 5000, 6000, 0, 0.999), 6000 + 60000 + 5994);
  assert_int_equal(next(3, 5000, 6000, 0, 0.0), 0); /* used up */
}

static void retry_after_lengthens_a_wait_within_limits(void **state)
{
  (void)state;
  assert_int_equal(next(1, 5000, 5000, 3, 0.9), 8000);
  assert_int_equal(next(2, 5000, 5000, 3, 0.0), 65000); /* the schedule's own wait is longer */
  static int64_t one[] = {0, 1};
  const xh_hook patient = {.schedule_ms = one, .schedule_count = 2, .expire_ms = INT64_MAX};
  const char *reason;
  assert_int_equal(xh_next_attempt_ms(&patient, 1, 0, 0, INT64_MAX, 0, &reason), (int64_t)XH_RETRY_AFTER_MAX_S * 1000);
}

static void nothing_is_planned_beyond_its_expiry(void **state)
{
  (void)state;
  assert_int_equal(next(2, 0, 60000, 0, 0.0), 120000); /* just so */
  assert_int_equal(next(2, 0, 60001, 0, 0.0), 0);
  assert_false(xh_expired(&HOOK, 1000, 121000));
  assert_true(xh_expired(&HOOK, 1000, 121001));
  assert_false(xh_expired(&HOOK, 1000, 0)); /* accepted "later" */
}

static void a_wait_moves_with_the_clock(void **state)
{
  (void)state;
  assert_int_equal(xh_moved(5000, 1000), 6000);
  assert_int_equal(xh_moved(5000, -1000), 4000);
  assert_int_equal(xh_moved(5000, -9000), 1); /* due, not "none" */
  assert_int_equal(xh_moved(0, 1000), 0);
  assert_int_equal(xh_moved(1, 1000), 1);
}

static void five_failures_hold_and_one_success_releases(void **state)
{
  (void)state;
  xh_breaker b = {0};
  for (int i = 1; i < XH_BREAKER_FAILURES; i++)
    assert_false(xh_breaker_failure(&b, 1000, 0));
  assert_false(b.held);
  assert_true(xh_breaker_failure(&b, 1000, 0));
  assert_true(b.held);
  assert_int_equal(b.probe_at_ms, 1000 + XH_PROBE_FIRST_MS);
  assert_true(xh_breaker_success(&b));
  assert_false(b.held);
  assert_false(xh_breaker_failure(&b, 1000, 0)); /* counted anew */
  assert_true(xh_breaker_alive(&(xh_breaker){.held = true}));
}

static void probes_come_less_and_less_often(void **state)
{
  (void)state;
  xh_breaker b = {.failures = XH_BREAKER_FAILURES};
  int64_t now_ms = 0, wait_ms = XH_PROBE_FIRST_MS;
  for (int i = 0; i < 10; i++) {
    b.probing = true;
    xh_breaker_failure(&b, now_ms, 0);
    assert_false(b.probing);
    assert_int_equal(b.probe_at_ms - now_ms, wait_ms);
    now_ms = b.probe_at_ms;
    wait_ms = wait_ms * 2 < XH_PROBE_MAX_MS ? wait_ms * 2 : XH_PROBE_MAX_MS;
  }
  xh_breaker_failure(&b, 0, 90);
  assert_int_equal(b.probe_at_ms, 90000); /* as it asked */
  xh_breaker_failure(&b, 0, 1000000);
  assert_int_equal(b.probe_at_ms, (int64_t)XH_RETRY_AFTER_MAX_S * 1000);
}

static void what_had_begun_before_lengthens_no_wait(void **state)
{
  (void)state;
  xh_breaker b = {.failures = XH_BREAKER_FAILURES};
  xh_breaker_failure(&b, 0, 0);
  for (int i = 0; i < 15; i++)
    xh_breaker_late_failure(&b, 10, 0);
  assert_true(b.held);
  assert_int_equal(b.probe_at_ms, XH_PROBE_FIRST_MS);
  b.probing = true;
  xh_breaker_late_failure(&b, 10, 0);
  assert_true(b.probing); /* that one is still under way */
  xh_breaker_late_failure(&b, 10, 30);
  assert_int_equal(b.probe_at_ms, 30010); /* as it asked */
  xh_breaker_late_failure(&b, 20, 5);
  assert_int_equal(b.probe_at_ms, 30010);
}

static void a_held_target_of_an_earlier_life_is_probed_at_once(void **state)
{
  (void)state;
  xh_breaker b = {0};
  xh_breaker_restore(&b, 700);
  assert_true(b.held && !b.probing);
  assert_int_equal(b.probe_at_ms, 700);
  assert_false(xh_breaker_failure(&b, 700, 0)); /* was held, is held */
  assert_int_equal(b.probe_at_ms, 700 + XH_PROBE_FIRST_MS);
}

static void the_window_grows_by_one_and_halves(void **state)
{
  (void)state;
  assert_int_equal(xh_window_after(4, true, 16), 5);
  assert_int_equal(xh_window_after(16, true, 16), 16);
  assert_int_equal(xh_window_after(9, false, 16), 4);
  assert_int_equal(xh_window_after(2, false, 16), 1);
  assert_int_equal(xh_window_after(1, false, 16), 1); /* never none */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(waits_follow_the_schedule_with_jitter),
      cmocka_unit_test(retry_after_lengthens_a_wait_within_limits),
      cmocka_unit_test(nothing_is_planned_beyond_its_expiry),
      cmocka_unit_test(a_wait_moves_with_the_clock),
      cmocka_unit_test(five_failures_hold_and_one_success_releases),
      cmocka_unit_test(probes_come_less_and_less_often),
      cmocka_unit_test(what_had_begun_before_lengthens_no_wait),
      cmocka_unit_test(a_held_target_of_an_earlier_life_is_probed_at_once),
      cmocka_unit_test(the_window_grows_by_one_and_halves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
