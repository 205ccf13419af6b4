/* Which connections are closed. */
#include "receiver/connections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static xh_connections all;
static xh_connection a, b, c, d;

static int set_up(void **state)
{
  (void)state;
  all = (xh_connections){.stages = {{.first = NULL}}};
  a = b = c = d = (xh_connection){.fd = -1};
  return 0;
}

static void close_it(void *arg, xh_connection *connection)
{
  (void)arg;
  xh_connections_move(&all, connection, XH_AT_CLOSE, INT64_MAX);
}

/* Works longer, and takes the answer then. */
static void go_on(void *arg, xh_connection *connection)
{
  int *count = arg;
  ++*count;
  xh_connections_move(&all, connection, XH_AT_BODY, connection->deadline_ms + 100);
}

static void those_past_their_deadline_are_found_once(void **state)
{
  (void)state;
  xh_connections_add(&all, &a, 100);
  xh_connections_add(&all, &b, 300);
  xh_connections_add(&all, &c, 200);
  assert_int_equal(xh_connections_sweep(&all, 99, NULL, close_it), 100);
  assert_int_equal(xh_connections_sweep(&all, 200, NULL, close_it), 300);
  assert_true(a.stage == XH_AT_CLOSE && b.stage == XH_AT_HEAD && c.stage == XH_AT_CLOSE);
  xh_connections_remove(&all, &c);
  assert_int_equal(all.stages[XH_AT_CLOSE].count, 1);
  assert_int_equal(xh_connections_sweep(&all, 1000, NULL, close_it), INT64_MAX);
  assert_int_equal(b.stage, XH_AT_CLOSE);
}

static void one_that_is_late_may_have_more_time(void **state)
{
  (void)state;
  int count = 0;
  xh_connections_add(&all, &a, 100);
  xh_connections_add(&all, &b, INT64_MAX);
  xh_connections_move(&all, &a, XH_AT_WORK, 100);
  assert_int_equal(xh_connections_sweep(&all, 150, &count, go_on), 200);
  assert_int_equal(count, 1);
}

static void one_that_is_worked_on_stays(void **state)
{
  (void)state;
  xh_connections_add(&all, &a, 100);
  xh_connections_add(&all, &b, 100);
  xh_connections_move(&all, &a, XH_AT_WORK, INT64_MAX);
  xh_connections_move(&all, &b, XH_AT_WORK, INT64_MAX);
  assert_int_equal(xh_connections_sweep(&all, INT64_MAX - 1, NULL, close_it), INT64_MAX);
  xh_connections_add(&all, &c, 100);
  assert_null(xh_connections_stalest(&all, &c));
  assert_int_equal(xh_connections_served(&all), 3);
  xh_connections_move(&all, &b, XH_AT_BODY, 500);
  assert_int_equal(xh_connections_sweep(&all, 499, NULL, close_it), 500);
  assert_int_equal(xh_connections_served(&all), 2);
}

static void unless_its_client_has_gone_before_or_meanwhile(void **state)
{
  (void)state;
  xh_connections_add(&all, &a, 100);
  xh_connections_add(&all, &b, 100);
  xh_connections_add(&all, &c, 100);
  xh_connections_hung_up(&all, &a);
  assert_int_equal(a.stage, XH_AT_HEAD);
  xh_connections_move(&all, &a, XH_AT_WORK, INT64_MAX);
  xh_connections_move(&all, &b, XH_AT_WORK, INT64_MAX);
  assert_ptr_equal(xh_connections_stalest(&all, NULL), &a);
  xh_connections_remove(&all, &a);
  xh_connections_hung_up(&all, &b);
  assert_ptr_equal(xh_connections_stalest(&all, NULL), &b); /* before the idle one, which nobody gains by closing */
}

static void for_a_newcomer_those_without_a_head_go_first_and_the_longest_silent_of_them(void **state)
{
  (void)state;
  xh_connections_add(&all, &a, 900);
  xh_connections_add(&all, &b, 100);
  xh_connections_add(&all, &c, 100);
  xh_connections_add(&all, &d, 100);
  xh_connections_move(&all, &c, XH_AT_BODY, 100); /* it has sent more than the others */
  xh_connections_touch(&all, &a);
  assert_int_equal(a.deadline_ms, 900);
  assert_ptr_equal(xh_connections_stalest(&all, &d), &b);
  close_it(NULL, &b);
  assert_ptr_equal(xh_connections_stalest(&all, &d), &a);
  close_it(NULL, &a);
  assert_ptr_equal(xh_connections_stalest(&all, &d), &c); /* the newcomer itself is not asked */
  close_it(NULL, &c);
  assert_null(xh_connections_stalest(&all, &d));
  xh_connections_remove(&all, &b);
  xh_connections_remove(&all, &a);
  xh_connections_remove(&all, &c);
  assert_null(all.stages[XH_AT_CLOSE].first);
  assert_null(all.stages[XH_AT_CLOSE].last);
  assert_int_equal(xh_connections_served(&all), 1);
}

static void the_largest_body_that_is_not_complete(void **state)
{
  (void)state;
  xh_connections_add(&all, &a, 900);
  xh_connections_add(&all, &b, 900);
  xh_connections_add(&all, &c, 900);
  a.body_bytes = 10000;
  assert_null(xh_connections_largest(&all));
  xh_connections_move(&all, &b, XH_AT_BODY, 900);
  xh_connections_move(&all, &c, XH_AT_BODY, 900);
  assert_null(xh_connections_largest(&all));
  b.body_bytes = c.body_bytes = 500;
  assert_ptr_equal(xh_connections_largest(&all), &b);
  c.body_bytes++;
  assert_ptr_equal(xh_connections_largest(&all), &c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(those_past_their_deadline_are_found_once, set_up),
      cmocka_unit_test_setup(one_that_is_late_may_have_more_time, set_up),
      cmocka_unit_test_setup(one_that_is_worked_on_stays, set_up),
      cmocka_unit_test_setup(unless_its_client_has_gone_before_or_meanwhile, set_up),
      cmocka_unit_test_setup(for_a_newcomer_those_without_a_head_go_first_and_the_longest_silent_of_them, set_up),
      cmocka_unit_test_setup(the_largest_body_that_is_not_complete, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
