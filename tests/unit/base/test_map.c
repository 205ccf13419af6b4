#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void keeps_what_was_set(void **state)
{
  (void)state;
  xh_map map;
  xh_map_init(&map);
  static int values[5000];
  for (int i = 0; i < 5000; i++) {
    char key[32];
    snprintf(key, sizeof key, i % 2 ? "%d" : "a long key %d", i);
    assert_int_equal(xh_map_set(&map, xh_str_z(key), &values[i]), 0);
  }
  for (int i = 0; i < 5000; i += 3) {
    char key[32];
    snprintf(key, sizeof key, i % 2 ? "%d" : "a long key %d", i);
    assert_ptr_equal(xh_map_remove(&map, xh_str_z(key)), &values[i]);
    assert_null(xh_map_remove(&map, xh_str_z(key)));
  }
  for (int i = 0; i < 5000; i++) {
    char key[32];
    snprintf(key, sizeof key, i % 2 ? "%d" : "a long key %d", i);
    assert_ptr_equal(xh_map_get(&map, xh_str_z(key)), i % 3 ? &values[i] : NULL);
  }
  size_t at = 0, seen = 0;
  void *value;
  while (xh_map_next(&map, &at, NULL, &value))
    seen++;
  assert_int_equal(seen, map.count);
  assert_int_equal(seen, 3333);
  xh_map_done(&map, NULL);
}

static void numbers_and_replacement(void **state)
{
  (void)state;
  xh_map map;
  int a, b;
  xh_map_init(&map);
  assert_null(xh_map_get_id(&map, 7));
  for (int64_t round = 0; round < 100000; round++) {
    assert_int_equal(xh_map_set_id(&map, round, &a), 0);
    if (round >= 10)
      assert_ptr_equal(xh_map_remove_id(&map, round - 10), &a);
  }
  assert_int_equal(map.count, 10);
  assert_true(map.room <= 64); /* places of removed keys are used again */
  assert_int_equal(xh_map_set_id(&map, 99999, &b), 0);
  assert_ptr_equal(xh_map_get_id(&map, 99999), &b);
  assert_int_equal(map.count, 10);
  xh_map_done(&map, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_what_was_set), cmocka_unit_test(numbers_and_replacement)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
