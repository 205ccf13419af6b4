#include "base/err.h"
#include "base/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void properties_are_spans_of_the_text(void **state)
{
  (void)state;
  const char *text = "  {\"type\":\"post\",\"callId\":\"c\\u0031\",\"userId\":null,\"method\":\"vm.start\",\"params\":{\"id\":1},"
                     "\"timestamp\":5,\"result\":false,\"mine\":[1],\"m\\u0065thod\":\"vm.stop\"} ";
  xh_event event;
  assert_int_equal(xh_event_parse(xh_str_z(text), &event, NULL), 0);
  assert_int_equal(event.type, XH_POST);
  assert_true(xh_str_eqz(event.method, "vm.stop")); /* the last one counts, whatever its writing */
  assert_true(xh_str_eqz(event.call_id, "\"c\\u0031\""));
  assert_true(xh_str_eqz(event.params, "{\"id\":1}"));
  assert_true(xh_str_eqz(event.result, "false"));
  assert_null(event.error.ptr);
  assert_null(event.duration.ptr);
  assert_false(xh_event_failed(&event));
  assert_ptr_equal(event.raw.ptr, text + 2);
  assert_int_equal(event.raw.len, strlen(text) - 3);
}

static void what_is_no_event_is_told_why(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int code;
    const char *word;
  } cases[] = {
      {"[]", XH_EEVENT, "object"},
      {"{}", XH_EMISSING, "method"},
      {"{\"method\":\"a.b\"}", XH_EMISSING, "type"},
      {"{\"type\":\"pre\"}", XH_EMISSING, "method"},
      {"{\"method\":7,\"type\":\"pre\"}", XH_EEVENT, "method"},
      {"{\"method\":\"\",\"type\":\"pre\"}", XH_EEVENT, "method"},
      {"{\"method\":\"a b\",\"type\":\"pre\"}", XH_EEVENT, "method"},
      {"{\"method\":\"a.b\",\"type\":\"later\"}", XH_EEVENT, "type"},
      {"{\"method\":\"a.b\",\"type\":1}", XH_EEVENT, "type"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    xh_event event;
    xh_event_fault fault = {0};
    assert_int_equal(xh_event_parse(xh_str_z(cases[i].text), &event, &fault), cases[i].code);
    if (!strstr(fault.what, cases[i].word))
      fail_msg("%s: %s", cases[i].text, fault.what);
  }
  xh_event event;
  xh_event_fault fault = {0};
  assert_int_equal(xh_event_parse(XH_STR("{\"method\":\"a.b\""), &event, &fault), XH_ETRUNCATED);
  assert_true(fault.offset > 0);
}

static void a_method_has_a_longest_name(void **state)
{
  (void)state;
  char text[XH_METHOD_BYTES_MAX + 64];
  for (size_t len = XH_METHOD_BYTES_MAX; len <= XH_METHOD_BYTES_MAX + 1; len++) {
    xh_event event;
    size_t at = strlen(strcpy(text, "{\"type\":\"pre\",\"method\":\""));
    memset(text + at, 'm', len);
    strcpy(text + at + len, "\"}");
    assert_int_equal(xh_event_parse(xh_str_z(text), &event, NULL), len > XH_METHOD_BYTES_MAX ? XH_EEVENT : 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(properties_are_spans_of_the_text),
      cmocka_unit_test(what_is_no_event_is_told_why),
      cmocka_unit_test(a_method_has_a_longest_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
