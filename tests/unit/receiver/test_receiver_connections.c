/* Which connections are closed. */
#include "receiver/connections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void those_past_their_deadline_are_found_once(void **state)
{
  (void)state;
  xh_connections all = {.first = NULL};
  xh_connection a, b, c;
  xh_connections_add(&all, &a, 100);
  xh_connections_add(&all, &b, 300);
  xh_connections_add(&all, &c, 200);
  assert_null(xh_connections_late(&all, 99));
  assert_ptr_equal(xh_connections_late(&all, 200), &a);
  assert_ptr_equal(xh_connections_late(&all, 200), &c);
  assert_null(xh_connections_late(&all, 200));
  xh_connections_remove(&all, &c);
  assert_int_equal(all.count, 2);
  assert_ptr_equal(xh_connections_late(&all, 1000), &b);
  assert_true(a.closing && b.closing);
}

static void one_that_is_worked_on_stays(void **state)
{
  (void)state;
  xh_connections all = {.first = NULL};
  xh_connection a, b;
  xh_connections_add(&all, &a, 100);
  xh_connections_add(&all, &b, 100);
  xh_connections_touch(&all, &a, INT64_MAX);
  xh_connections_touch(&all, &b, INT64_MAX);
  assert_null(xh_connections_late(&all, INT64_MAX));
  assert_null(xh_connections_stalest(&all));
  xh_connections_touch(&all, &b, 500);
  assert_null(xh_connections_late(&all, 499));
  assert_ptr_equal(xh_connections_late(&all, 500), &b);
}

static void for_a_newcomer_the_one_without_a_change_for_the_longest_time_goes(void **state)
{
  (void)state;
  xh_connections all = {.first = NULL};
  xh_connection a, b, c;
  xh_connections_add(&all, &a, 900);
  xh_connections_add(&all, &b, 100);
  xh_connections_add(&all, &c, 100);
  xh_connections_touch(&all, &a, 100); /* its deadline is the same, it is younger */
  assert_ptr_equal(xh_connections_stalest(&all), &b);
  assert_ptr_equal(xh_connections_stalest(&all), &c);
  assert_ptr_equal(xh_connections_stalest(&all), &a);
  assert_null(xh_connections_stalest(&all));
  xh_connections_remove(&all, &b);
  xh_connections_remove(&all, &a);
  xh_connections_remove(&all, &c);
  assert_null(all.first);
  assert_null(all.last);
  assert_int_equal(all.count, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(those_past_their_deadline_are_found_once),
      cmocka_unit_test(one_that_is_worked_on_stays),
      cmocka_unit_test(for_a_newcomer_the_one_without_a_change_for_the_longest_time_goes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
