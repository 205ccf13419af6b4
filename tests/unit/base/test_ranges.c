#include "base/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void grows_together_and_apart(void **state)
{
  (void)state;
  xh_ranges r = {.count = 0};
  assert_int_equal(xh_ranges_clear_up_to(&r, 9), 9);
  xh_ranges_add(&r, 7);
  xh_ranges_add(&r, 9);
  assert_int_equal(r.count, 2);
  xh_ranges_add(&r, 8);
  xh_ranges_add(&r, 8);
  assert_int_equal(r.count, 1);
  assert_int_equal(xh_ranges_clear_up_to(&r, 12), 6);
  assert_int_equal(xh_ranges_clear_up_to(&r, 5), 5);
  xh_ranges_remove(&r, 8);
  assert_false(xh_ranges_have(&r, 8));
  assert_true(xh_ranges_have(&r, 7) && xh_ranges_have(&r, 9));
  xh_ranges_remove(&r, 7);
  assert_int_equal(xh_ranges_clear_up_to(&r, 12), 8);
  xh_ranges_remove(&r, 9);
  xh_ranges_remove(&r, 9);
  assert_int_equal(r.count, 0);
}

/* Against a plain array: as long as there is room nothing is in it that was not put there; later nothing is missing. */
static void never_too_few(void **state)
{
  (void)state;
  enum { NUMBERS = 400 };
  srand(7);
  for (int round = 0; round < 200; round++) {
    xh_ranges r = {.count = 0};
    bool in[NUMBERS] = {false};
    bool joined = false;
    for (int step = 0; step < 300; step++) {
      int number = 1 + rand() % (round % 2 ? 40 : NUMBERS - 1);
      in[number] = rand() % 3 > 0;
      (in[number] ? xh_ranges_add : xh_ranges_remove)(&r, number);
      assert_true(r.count <= XH_RANGES_MAX);
      joined = joined || r.count == XH_RANGES_MAX;
      for (size_t i = 0; i < r.count; i++)
        assert_true(r.items[i].first <= r.items[i].last && (i == 0 || r.items[i - 1].last + 1 < r.items[i].first));
      for (int i = 1; i < NUMBERS; i++)
        assert_true(xh_ranges_have(&r, i) == in[i] || (joined && !in[i]));
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(grows_together_and_apart), cmocka_unit_test(never_too_few)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
