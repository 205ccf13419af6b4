#include "base/err.h"
#include "base/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(int code, xh_str text)
{
  xh_json_fault fault = {0};
  int rc = xh_json_validate(text, &fault);
  if (rc != code)
    fail_msg("%.*s: %s instead of %s", (int)text.len, text.ptr, xh_err_text(rc), xh_err_text(code));
  if (rc) {
    assert_non_null(fault.what);
    assert_true(fault.offset <= text.len);
  }
}

static void what_is_legal_passes(void **state)
{
  (void)state;
  static const char *const texts[] = {"null", " true ", "false", "\t\r\n[]", "{}", "\"\"", "-0", "0.5e-10", "1E+2", "12345678901234567890123",
                                      "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"a\":2}", "\"\\ud800\"", "\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                      "\"\xc3\xbc\xe2\x9c\x93\xf0\x9f\x94\x91\x7f\"", "[ 1 , 2 ]", "\"\xef\xbf\xbf\""};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    expect(0, xh_str_z(texts[i]));
}

static void what_is_not_is_refused_with_its_own_code(void **state)
{
  (void)state;
  static const char *const wrong[] = {"01", "+1", ".5", "1.", "1e", "nul", "NaN", "'a'", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "1 2",
                                      "\"\t\"", "\"\\x\"", "\"\\u12g4\"", "]", "[1}", "--1", "tru e"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    int rc = xh_json_validate(xh_str_z(wrong[i]), NULL);
    assert_true(rc == XH_EJSON || rc == XH_ETRUNCATED);
  }
  static const char *const cut[] = {"", "  ", "[", "[1", "[1,", "{\"a\"", "{\"a\":", "\"abc", "\"\\", "tru", "-", "\"\\u12"};
  for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
    expect(XH_ETRUNCATED, xh_str_z(cut[i]));
  static const char *const bytes[] = {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x9c\"", "\"\x80\""};
  for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
    expect(XH_EUTF8, xh_str_z(bytes[i]));
  expect(XH_ENUL, (xh_str){"\"a\0b\"", 5});
  expect(XH_ENUL, (xh_str){"[1]\0", 4});
}

static void faults_name_their_place(void **state)
{
  (void)state;
  xh_json_fault fault;
  assert_int_equal(xh_json_validate(XH_STR("{\"a\":1 \"b\":2}"), &fault), XH_EJSON);
  assert_int_equal(fault.offset, 7);
  assert_int_equal(xh_json_validate(XH_STR("[1,2] 3"), &fault), XH_EJSON);
  assert_int_equal(fault.offset, 6);
}

static void nesting_has_a_limit_and_needs_no_stack(void **state)
{
  (void)state;
  size_t size = 2 * (XH_JSON_DEPTH_MAX + 1);
  char *text = malloc(size);
  for (size_t depth = XH_JSON_DEPTH_MAX; depth <= XH_JSON_DEPTH_MAX + 1; depth++) {
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    expect(depth > XH_JSON_DEPTH_MAX ? XH_EDEPTH : 0, (xh_str){text, 2 * depth});
  }
  free(text);
}

static void members_are_found_where_they_stand(void **state)
{
  (void)state;
  xh_str object = XH_STR("{ \"a\" : 1 , \"b\\u0063\" : [ \"x\" , {\"d\":true} ], \"a\":\"last\" }"), value = {NULL, 0};
  assert_true(xh_json_find(object, XH_STR("a"), &value));
  assert_true(xh_str_eqz(value, "\"last\"")); /* as JSON.parse does */
  assert_true(xh_json_find(object, XH_STR("bc"), &value));
  assert_int_equal(xh_json_typeof(value), XH_JSON_ARRAY);
  assert_true(xh_json_path(object, XH_STR("bc.1.d"), &value));
  assert_true(xh_str_eqz(value, "true"));
  xh_str before = value;
  assert_false(xh_json_find(object, XH_STR("c"), &value));
  assert_false(xh_json_path(object, XH_STR("bc.2"), &value));
  assert_false(xh_json_path(object, XH_STR("bc.x"), &value));
  assert_false(xh_json_path(object, XH_STR("a.b"), &value));
  assert_ptr_equal(value.ptr, before.ptr); /* untouched */
}

static void keys_are_compared_by_what_they_mean(void **state)
{
  (void)state;
  assert_true(xh_json_key_eq(XH_STR("t\\u006fken"), XH_STR("token")));
  assert_true(xh_json_key_eq(XH_STR("\\ud83d\\udd11"), XH_STR("\xf0\x9f\x94\x91")));
  assert_true(xh_json_key_eq(XH_STR(""), XH_STR("")));
  assert_false(xh_json_key_eq(XH_STR("toke"), XH_STR("token")));
  assert_false(xh_json_key_eq(XH_STR("token\\u0000"), XH_STR("token")));
  assert_false(xh_json_key_eq(XH_STR("Token"), XH_STR("token")));
}

static void expect_decoded(const char *json, const char *text)
{
  xh_buf out;
  xh_buf_init(&out, 100);
  assert_int_equal(xh_json_decode(xh_str_z(json), &out), 0);
  assert_string_equal(out.ptr ? out.ptr : "", text);
  xh_buf_done(&out);
}

static void strings_are_decoded(void **state)
{
  (void)state;
  expect_decoded("\"\"", "");
  expect_decoded(" \"a\\n\\\"\\/\\\\\" ", "a\n\"/\\");
  expect_decoded("\"\\u00fc\\u2713\\ud83d\\udd11\"", "\xc3\xbc\xe2\x9c\x93\xf0\x9f\x94\x91");
  expect_decoded("\"\\ud800x\\udc00\"", "\xef\xbf\xbdx\xef\xbf\xbd"); /* lone ones */
  expect_decoded("\"\\ud800\\ud83d\\udd11\"", "\xef\xbf\xbd\xf0\x9f\x94\x91");
  xh_buf out;
  xh_buf_init(&out, 4);
  assert_int_equal(xh_json_decode(XH_STR("7"), &out), XH_EINVAL);
  assert_int_equal(xh_json_decode(XH_STR("\"12345\""), &out), XH_ECAP);
  xh_buf_done(&out);
}

static void integers_are_read_exactly(void **state)
{
  (void)state;
  int64_t n = 5;
  assert_true(xh_json_i64(XH_STR("9223372036854775807"), &n) && n == INT64_MAX);
  assert_true(xh_json_i64(XH_STR("-9223372036854775808"), &n) && n == INT64_MIN);
  assert_true(xh_json_i64(XH_STR("1795457437249.75"), &n) && n == 1795457437249);
  assert_false(xh_json_i64(XH_STR("9223372036854775808"), &n));
  assert_false(xh_json_i64(XH_STR("\"1\""), &n));
  assert_false(xh_json_i64(XH_STR("null"), &n));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_legal_passes),
      cmocka_unit_test(what_is_not_is_refused_with_its_own_code),
      cmocka_unit_test(faults_name_their_place),
      cmocka_unit_test(nesting_has_a_limit_and_needs_no_stack),
      cmocka_unit_test(members_are_found_where_they_stand),
      cmocka_unit_test(keys_are_compared_by_what_they_mean),
      cmocka_unit_test(strings_are_decoded),
      cmocka_unit_test(integers_are_read_exactly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
