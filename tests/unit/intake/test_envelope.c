#include "base/err.h"
#include "intake/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static envelope parse(const char *line)
{
  envelope e;
  envelope_fault fault = {0};
  if (envelope_parse(xh_str_z(line), &e, &fault) != 0)
    fail_msg("%s: %s", line, fault.what);
  return e;
}

static void each_kind_is_known(void **state)
{
  (void)state;
  envelope e = parse("{\"hello\":{\"protocol\":1,\"source\":\"xo\",\"session\":\"k3j9\",\"acks\":\"cumulative\"}}");
  assert_int_equal(e.kind, ENVELOPE_HELLO);
  assert_string_equal(e.hello.source, "xo");
  assert_string_equal(e.hello.session, "k3j9");
  e = parse("{\"id\":1,\"configure\":{\"hooks\":[]}}");
  assert_int_equal(e.kind, ENVELOPE_CONFIGURE);
  assert_true(e.id == 1 && xh_str_eqz(e.config, "{\"hooks\":[]}"));
  e = parse(" {\"event\" : {\"type\":\"pre\",\"method\":\"a.b\"} } ");
  assert_int_equal(e.kind, ENVELOPE_EVENT);
  assert_true(e.id == 0 && !e.wait && e.event.type == XH_PRE);
  e = parse("{\"wait\":true,\"event\":{\"type\":\"post\",\"method\":\"a.b\"},\"id\":9007199254740991}");
  assert_true(e.wait && e.id == 9007199254740991);
  e = parse("{\"id\":8,\"call\":\"stats\"}");
  assert_int_equal(e.kind, ENVELOPE_CALL);
  assert_true(xh_str_eqz(e.call, "stats") && xh_str_eqz(e.params, "{}"));
}

static void what_is_wrong_is_told_with_the_lines_number(void **state)
{
  (void)state;
  static const struct {
    const char *line;
    int code;
    int64_t id;
  } cases[] = {
      {"7", XH_EPROTOCOL, 0},
      {"{}", XH_EMISSING, 0},
      {"{\"id\":7}", XH_EMISSING, 7},
      {"{\"id\":7,\"evnt\":{}}", XH_EPROTOCOL, 7},
      {"{\"id\":-1,\"event\":{\"type\":\"pre\",\"method\":\"a.b\"}}", XH_EPROTOCOL, 0},
      {"{\"id\":\"7\",\"event\":{\"type\":\"pre\",\"method\":\"a.b\"}}", XH_EPROTOCOL, 0},
      {"{\"id\":7,\"event\":{\"type\":\"pre\"}}", XH_EMISSING, 7},
      {"{\"event\":{\"type\":\"later\",\"method\":\"a.b\"},\"id\":7}", XH_EEVENT, 7},
      {"{\"id\":7,\"event\":{\"type\":\"pre\",\"method\":\"a.b\"},\"call\":\"stats\"}", XH_EPROTOCOL, 7},
      {"{\"hello\":{\"protocol\":99}}", XH_EPROTOCOL, 0},
      {"{\"hello\":{\"protocol\":1,\"source\":\"no spaces\"}}", XH_EPROTOCOL, 0},
      {"{\"id\":7,\"event\":", XH_ETRUNCATED, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    envelope e;
    envelope_fault fault = {0};
    int rc = envelope_parse(xh_str_z(cases[i].line), &e, &fault);
    if (rc != cases[i].code || fault.id != cases[i].id || !fault.what[0])
      fail_msg("%s: %s, id %lld, \"%s\"", cases[i].line, xh_err_name(rc), (long long)fault.id, fault.what);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_kind_is_known),
      cmocka_unit_test(what_is_wrong_is_told_with_the_lines_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
