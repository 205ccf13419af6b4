#include "base/clock.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const int64_t NOW_MS = 1795457437249; /* 2026-11-23T18:10:37.249Z */

static void moments_are_written_as_javascript_does(void **state)
{
  (void)state;
  char out[XH_ISO_SIZE];
  xh_iso_time(NOW_MS, out);
  assert_string_equal(out, "2026-11-23T18:10:37.249Z");
  xh_iso_time(0, out);
  assert_string_equal(out, "1970-01-01T00:00:00.000Z");
  xh_iso_time(-1, out);
  assert_string_equal(out, "1969-12-31T23:59:59.999Z");
  xh_iso_time(INT64_MAX, out);
  assert_string_equal(out, "9999-12-31T23:59:59.999Z");
  xh_iso_time(INT64_MIN, out);
  assert_string_equal(out, "0000-01-01T00:00:00.000Z");
}

static void moments_are_read_in_every_form(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int64_t ms;
  } cases[] = {{"2026-11-23T18:10:37.249Z", NOW_MS},
               {"2026-11-23T18:10:37.249", NOW_MS},
               {"2026-11-23T19:10:37.249+01:00", NOW_MS},
               {"2026-11-23T12:40:37.249-05:30", NOW_MS},
               {"2026-11-23", 1795392000000},
               {"2026-11-23T08:15", 1795421700000},
               {"2024-02-29", 1709164800000},
               {"1795457437249", NOW_MS},
               {"90s", NOW_MS - 90000},
               {"15m", NOW_MS - 900000},
               {"2h", NOW_MS - 7200000},
               {"7d", NOW_MS - 604800000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t ms = 0;
    if (xh_time_parse(cases[i].text, NOW_MS, &ms) != 0 || ms != cases[i].ms)
      fail_msg("%s: %lld instead of %lld", cases[i].text, (long long)ms, (long long)cases[i].ms);
  }
}

static void what_is_no_moment_is_refused(void **state)
{
  (void)state;
  static const char *const wrong[] = {"",          "yesterday",   "2026-02-29",       "2026-13-01",          "2026-11-23T24:00", "2026-11-23T08",
                                      "12",        "2026-11-23x", "2026-11-23T08:15Zx", "2026-11-23T08:15+1", "-5m",
                                      "10000000d", "1e3s"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    int64_t ms = 42;
    if (xh_time_parse(wrong[i], NOW_MS, &ms) != XH_EINVAL || ms != 42)
      fail_msg("%s was read as %lld", wrong[i], (long long)ms);
  }
}

static void durations_are_read_and_told(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int64_t ms;
  } cases[] = {{"500ms", 500}, {"10s", 10000}, {"5m", 300000}, {"2h", 7200000}, {"7d", 604800000}, {"3", 3000}};
  int64_t ms;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(xh_duration_parse(cases[i].text, &ms), 0);
    assert_int_equal(ms, cases[i].ms);
  }
  static const char *const wrong[] = {"", "s", "-1s", "5y", "99999999999999999999d", "nan", "0x10"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (xh_duration_parse(wrong[i], &ms) != XH_EINVAL)
      fail_msg("%s was read", wrong[i]);
  static const struct {
    int64_t ms;
    const char *text;
  } told[] = {{12, "12 ms"}, {3449, "3.4 s"}, {125000, "2 min 5 s"}, {11520000, "3 h 12 min"}, {4 * 86400000 + 7200000, "4 d 2 h"}};
  for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
    char out[48];
    xh_duration_text(told[i].ms, out, sizeof out);
    assert_string_equal(out, told[i].text);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(moments_are_written_as_javascript_does),
      cmocka_unit_test(moments_are_read_in_every_form),
      cmocka_unit_test(what_is_no_moment_is_refused),
      cmocka_unit_test(durations_are_read_and_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
