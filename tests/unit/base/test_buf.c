#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static void a_stranger_s_text_does_not_move_the_cursor(void **state)
{
  (void)state;
  static const struct {
    const char *text, *kept, *shown;
    size_t most_bytes;
  } cases[] = {
      {"vm.start à Zürich 🔑", "", "vm.start à Zürich 🔑", SIZE_MAX},
      {"a\033[2Jb\rc\nd\te\x7f", "", "a?[2Jb c d e?", SIZE_MAX},
      {"a\nb\tc\rd", "\n\t", "a\nb\tc d", SIZE_MAX},
      {"\xc2\x9b"
       "31m \xc2\xa0",
       "", "?31m \xc2\xa0", SIZE_MAX},
      {"\xe2\x80\xae" "txt.exe\xe2\x81\xa6 \xe2\x80\xa9\xe2\x80\xaf", "", "?txt.exe? \xe2\x80\xa9\xe2\x80\xaf", SIZE_MAX},
      {"\xff\xc3(\xed\xa0\x80", "", "?" "?(?" "?" "?", SIZE_MAX},
      {"12345", "", "12345", 5},
      {"123456", "", "12345…", 5},
      {"1234ü6", "", "1234…", 5},
      {"", "", "", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    xh_buf out;
    xh_buf_init(&out, 1000);
    assert_int_equal(xh_buf_plain(&out, xh_str_z(cases[i].text), cases[i].most_bytes, cases[i].kept), 0);
    assert_string_equal(xh_buf_span(&out).ptr, cases[i].shown);
    xh_buf_done(&out);
  }
}

static void a_full_buffer_changes_no_more(void **state)
{
  (void)state;
  xh_buf out;
  xh_buf_init(&out, 4);
  assert_int_equal(xh_buf_z(&out, "abc"), 0);
  assert_int_equal(xh_buf_z(&out, "de"), XH_ECAP);
  assert_int_equal(xh_buf_char(&out, 'd'), XH_ECAP);
  assert_string_equal(out.ptr, "abc");
  xh_buf_clear(&out);
  assert_int_equal(xh_buf_plain(&out, XH_STR("12345"), SIZE_MAX, ""), XH_ECAP);
  xh_buf_done(&out);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stranger_s_text_does_not_move_the_cursor),
      cmocka_unit_test(a_full_buffer_changes_no_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
