/* What bodies are, and the lines that show them. */
#include "base/err.h"
#include "base/utf8.h"
#include "receiver/line.h"
#include "receiver/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char EVENT[] = "{\"callId\":\"td4\",\"userName\":\"a@b.c\",\"method\":\"vm.start\",\"params\":{ \"id\" : \"67aa\\u000a\" },"
                            "\"timestamp\":1795457437125,\"duration\":108,\"result\":true,\"type\":\"post\"}";
static const char STOCK_CARD[] =
    "{\"@type\":\"MessageCard\",\"@context\":\"https://schema.org/extensions\",\"themeColor\":\"6B63BF\",\"summary\":\"New notification\","
    "\"sections\":[{\"title\":\"XO POST notification\",\"facts\":[{\"name\":\"method\",\"value\":\"user.create\"}]}]}";

static void shows(xh_line_style style, const char *body, bool again, const char *expected)
{
  xh_message message;
  xh_buf line;
  xh_buf_init(&line, XH_LINE_CAP_BYTES);
  assert_int_equal(xh_message_parse(xh_str_z(body), &message, NULL), 0);
  xh_line_message(style, &message, XH_STR("msg_1"), again, 1795457400000, &line);
  assert_int_equal(xh_buf_error(&line), 0);
  assert_string_equal(line.ptr, expected);
  xh_buf_done(&line);
}

static void an_event_is_the_line_of_the_documentation(void **state)
{
  (void)state;
  shows((xh_line_style){false, false}, EVENT, false, "2026-11-23T18:10:37.125Z [vm.start|post] {\"id\":\"67aa\\u000a\"} → true\n");
  shows((xh_line_style){false, false}, "{\"method\":\"vm.stop\",\"type\":\"pre\",\"params\":{}}", true,
        "2026-11-23T18:10:00.000Z [vm.stop|pre] {} (came before: not run again)\n");
  shows((xh_line_style){false, false},
        "{\"method\":\"vm.stop\",\"type\":\"post\",\"params\":{},\"error\":{\"code\":3,\"message\":\"no\",\"stack\":\"x\"}}", false,
        "2026-11-23T18:10:00.000Z [vm.stop|post] {} → error: \"no\"\n");
  shows((xh_line_style){true, false}, EVENT, false,
        "{\"time\":\"2026-11-23T18:10:37.125Z\",\"delivery\":\"msg_1\",\"method\":\"vm.start\",\"type\":\"post\",\"callId\":\"td4\","
        "\"userName\":\"a@b.c\",\"params\":{\"id\":\"67aa\\u000a\"},\"duration\":108,\"result\":true}\n");
}

static void a_card_is_shown_as_what_it_is(void **state)
{
  (void)state;
  shows((xh_line_style){false, false}, STOCK_CARD, false,
        "2026-11-23T18:10:00.000Z [office365] New notification · XO POST notification · method · user.create\n");
  shows((xh_line_style){true, false}, STOCK_CARD, false,
        "{\"time\":\"2026-11-23T18:10:00.000Z\",\"delivery\":\"msg_1\",\"card\":\"office365\",\"text\":\"New notification · XO POST "
        "notification · method · user.create\"}\n");
  shows((xh_line_style){false, false}, "{\"text\":\"vm.start \\u001b[2J failed\",\"blocks\":[{\"text\":{\"text\":\"again\"}}]}", false,
        "2026-11-23T18:10:00.000Z [slack] vm.start ?[2J failed\n");
  shows((xh_line_style){false, false},
        "{\"type\":\"message\",\"attachments\":[{\"content\":{\"body\":[{\"type\":\"TextBlock\",\"text\":\"vm.start\"}]}}]}", false,
        "2026-11-23T18:10:00.000Z [teams] vm.start\n");
}

static void a_cloudevent_is_opened(void **state)
{
  (void)state;
  xh_message message;
  const char body[] = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/xo\",\"type\":\"x\",\"data\":{\"method\":\"vm.start\",\"type\":\"pre\"}}";
  assert_int_equal(xh_message_parse(xh_str_z(body), &message, NULL), 0);
  assert_int_equal(message.kind, XH_MESSAGE_EVENT);
  assert_true(message.enveloped);
  assert_true(xh_str_eqz(message.event.method, "vm.start"));
  assert_true(xh_str_eqz(message.event.raw, "{\"method\":\"vm.start\",\"type\":\"pre\"}"));
  assert_int_equal(xh_message_parse(XH_STR("{\"specversion\":\"1.0\",\"type\":\"t\",\"data\":7}"), &message, NULL), 0);
  assert_int_equal(message.kind, XH_MESSAGE_CLOUDEVENT);
}

static void what_is_neither_is_named(void **state)
{
  (void)state;
  xh_message message;
  xh_event_fault fault;
  assert_int_equal(xh_message_parse(XH_STR("{\"a\":1"), &message, &fault), XH_ETRUNCATED);
  assert_int_equal(xh_message_parse(XH_STR("[]"), &message, &fault), XH_EEVENT);
  assert_int_equal(xh_message_parse(XH_STR("{}"), &message, &fault), XH_EMISSING);
  assert_int_equal(xh_message_parse(XH_STR("{\"method\":\"../../etc/passwd\",\"type\":\"pre\"}"), &message, &fault), XH_EEVENT);
  assert_non_null(strstr(fault.what, "no method name"));
  assert_int_equal(xh_message_parse(XH_STR("{\"method\":\"vm.start\",\"type\":\"during\",\"text\":\"x\"}"), &message, &fault), XH_EEVENT);
}

static void large_values_are_cut_for_people_and_left_out_for_programs(void **state)
{
  (void)state;
  static char body[100000];
  int head = snprintf(body, sizeof body, "{\"method\":\"xo.getAllObjects\",\"type\":\"post\",\"result\":\"");
  for (int at = head; at + 6 < (int)sizeof body; at += 2)
    memcpy(body + at, "\xc3\xa9", 3);
  memcpy(body + strlen(body), "\"}", 3);
  xh_message message;
  xh_buf line;
  xh_buf_init(&line, XH_LINE_CAP_BYTES);
  assert_int_equal(xh_message_parse(xh_str_z(body), &message, NULL), 0);
  xh_line_message((xh_line_style){true, false}, &message, XH_STR(""), false, 0, &line);
  assert_non_null(strstr(line.ptr, "\"result\":{\"omittedBytes\":"));
  assert_true(line.len < 300);
  xh_buf_clear(&line);
  xh_line_message((xh_line_style){false, false}, &message, XH_STR(""), false, 0, &line);
  assert_true(line.len < 400);
  assert_string_equal(line.ptr + line.len - 6, "\xc3\xa9…\n");
  xh_buf_done(&line);
}

static void the_widest_event_and_card_are_whole_lines(void **state)
{
  (void)state;
  enum { VALUE_BYTES = XH_LINE_VALUE_JSON_BYTES };
  static const char *const names[] = {"callId", "userName", "params", "duration", "result", "error"};
  xh_buf body, line;
  xh_message message;
  xh_buf_init(&body, 1 << 20);
  xh_buf_init(&line, XH_LINE_CAP_BYTES);
  xh_buf_z(&body, "{\"method\":\"a.b\",\"type\":\"post\"");
  for (size_t i = 0; i < 6; i++) {
    xh_buf_printf(&body, ",\"%s\":\"", names[i]);
    for (int n = 0; n < VALUE_BYTES - 2; n++)
      xh_buf_char(&body, 'x');
    xh_buf_char(&body, '"');
  }
  xh_buf_char(&body, '}');
  assert_int_equal(xh_message_parse(xh_buf_span(&body), &message, NULL), 0);
  xh_line_message((xh_line_style){true, false}, &message, XH_STR("msg_1"), false, 0, &line);
  assert_int_equal(xh_buf_error(&line), 0);
  assert_int_equal(xh_json_validate(xh_buf_span(&line), NULL), 0);
  assert_int_equal(line.ptr[line.len - 1], '\n');
  for (int shift = 0; shift < 3; shift++) { /* the cap falls on each byte of a character */
    xh_buf_clear(&body);
    xh_buf_clear(&line);
    xh_buf_printf(&body, "{\"text\":\"%.*s", shift, "xx");
    for (int n = 0; n < 400; n++)
      xh_buf_z(&body, "€");
    xh_buf_z(&body, "\"}");
    assert_int_equal(xh_message_parse(xh_buf_span(&body), &message, NULL), 0);
    xh_line_message((xh_line_style){false, false}, &message, XH_STR(""), false, 0, &line);
    for (size_t at = 0, width; at < line.len; at += width)
      assert_true((width = xh_utf8_width(line.ptr + at, line.len - at)) > 0);
  }
  xh_buf_done(&body);
  xh_buf_done(&line);
}

static void no_line_can_be_forged(void **state)
{
  (void)state;
  xh_buf line;
  xh_buf_init(&line, 4096);
  xh_line_output((xh_line_style){false, false}, XH_STR("msg_1"), XH_STR("a.sh"), XH_STR("x\033[2J\ny\xff\xc2\x9b"), 0, &line);
  assert_string_equal(line.ptr, "1970-01-01T00:00:00.000Z msg_1 a.sh: x?[2J y??\n");
  xh_buf_clear(&line);
  xh_line_refused((xh_line_style){true, false}, 401, XH_STR("no \"token\""), XH_STR("127.0.0.1"), 0, &line);
  assert_string_equal(line.ptr, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"refused\":401,\"error\":\"no \\\"token\\\"\",\"client\":\"127.0.0.1\"}\n");
  xh_buf_done(&line);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_event_is_the_line_of_the_documentation),
      cmocka_unit_test(a_card_is_shown_as_what_it_is),
      cmocka_unit_test(a_cloudevent_is_opened),
      cmocka_unit_test(what_is_neither_is_named),
      cmocka_unit_test(large_values_are_cut_for_people_and_left_out_for_programs),
      cmocka_unit_test(the_widest_event_and_card_are_whole_lines),
      cmocka_unit_test(no_line_can_be_forged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
