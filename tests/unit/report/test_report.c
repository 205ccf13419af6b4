/* Lists and details from a database made by hand with the outbox's own tables. */
#include "base/err.h"
#include "base/json_scan.h"
#include "outbox/schema.h"
#include "outbox/webhook_id.h"
#include "report/report.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
  char folder[64];
  sqlite3 *db;
  xh_report *report;
} fixture;

static void sql(fixture *f, const char *text)
{
  char *message = NULL;
  if (sqlite3_exec(f->db, text, NULL, NULL, &message) != SQLITE_OK)
    fail_msg("%s: %s", message, text);
}

/* 1 queued, 2 waiting, 3 delivered, 4 dead, 5 held, 6 of another source and waiting. */
static const char ROWS[] =
    "UPDATE meta SET instance = '0123456789abcdef', accepted = 6, delivered = 1, dead = 1, attempts = 7;"
    "INSERT INTO source(id, name) VALUES(1, 'xo'), (2, 'other');"
    "INSERT INTO hook(id, source_id, digest, config, label, url_shown) VALUES"
    "(1, 1, 'a', '{\"format\":\"json\",\"method\":\"*\",\"type\":\"post\",\"url\":\"http://me:hidden1@h/?key=hidden2\",\"advanced\":"
    "{\"passphrase\":\"hidden3\",\"headers\":[{\"name\":\"X-Key\",\"value\":\"hidden4\"}]}}', 'Chat', 'http://h/'),"
    "(2, 2, 'b', '{\"format\":\"slack\",\"method\":\"*\",\"type\":\"post\",\"url\":\"http://g/\"}', 'Other', 'http://g/');"
    "INSERT INTO target(id, key_hash, shown, held_since_ms, pending_count) VALUES"
    "(1, 'x', 'http://h/', 0, 2), (2, 'y', 'http://down/', 77, 1), (3, 'z', 'http://g/', 0, 1);"
    "INSERT INTO body(id, ref_count, bytes) VALUES(1, 9, CAST('{\"type\":\"post\",\"method\":\"vm.start\",\"userId\":\"u-1\"}' AS BLOB)),"
    "(2, 9, CAST('{ \"s\":\"\\ud800\\\"é\" }' AS BLOB));"
    "INSERT INTO delivery(id, hook_id, target_id, source_id, event_id, body_id, method, call_id, user_name, type, state, attempt_count,"
    " accepted_ms, schedule_from_ms, next_attempt_ms, settled_ms, reason) VALUES"
    "(1, 1, 1, 1, 1, 2, 'vm.start', 'c1', 'ann', 2, 0, 0, 1000, 1000, 0, 0, NULL),"
    "(2, 1, 1, 1, 1, 2, 'vm.stop', 'c2', 'ann', 1, 0, 2, 2000, 2000, 9000, 0, NULL),"
    "(3, 1, 1, 1, 1, 2, 'host.restart', NULL, NULL, 2, 1, 1, 3000, 3000, 0, 3100, NULL),"
    "(4, 1, 1, 1, 1, 2, 'vm.start', 'c4', 'bob', 2, 2, 10, 4000, 4000, 0, 4100, 'the attempts are used up'),"
    "(5, 1, 2, 1, 1, 2, 'vm.start', 'c5', 'bob', 2, 0, 0, 5000, 5000, 0, 0, NULL),"
    "(6, 2, 3, 2, 1, 2, 'vm.start', 'c6', 'eve', 2, 0, 1, 6000, 6000, 9000, 0, NULL);"
    "INSERT INTO attempt VALUES(2, 1, 2001, 10, 20, -1, -1, 1500, 0, 2, 'connection refused', NULL),"
    "(2, 2, 2002, 10, 20, 30, 40, 50, 503, 1, 'answered 503', CAST('busy' AS BLOB)),"
    "(3, 1, 3001, 10, 20, -1, 40, 50, 200, 0, 'answered 200', NULL);";

static int setup(void **state)
{
  fixture *f = calloc(1, sizeof *f);
  strcpy(f->folder, "/tmp/xh-report-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  assert_int_equal(xh_schema_open(f->folder, &f->db), 0);
  sql(f, ROWS);
  assert_int_equal(xh_report_open(f->folder, &f->report), 0);
  *state = f;
  return 0;
}

static int teardown(void **state)
{
  fixture *f = *state;
  char command[128];
  xh_report_close(f->report);
  sqlite3_close(f->db);
  snprintf(command, sizeof command, "rm -r %s", f->folder);
  int rc = system(command);
  free(f);
  return rc;
}

typedef int (*question)(xh_report *, xh_str, xh_str, const xh_report_live *, xh_buf *, char *, size_t);

static json_t *ask(fixture *f, question q, const char *params, const char *source, const xh_report_live *live)
{
  xh_buf out;
  char why[200] = "";
  xh_buf_init(&out, 1 << 24);
  int rc = q(f->report, xh_str_z(params), xh_str_z(source), live, &out, why, sizeof why);
  if (rc)
    fail_msg("%s: %s %s", params, xh_err_name(rc), why);
  json_error_t error;
  json_t *value = json_loads(out.ptr, 0, &error);
  if (!value)
    fail_msg("%s: %s", error.text, out.ptr);
  xh_buf_done(&out);
  return value;
}

/* The numbers of the deliveries in a list, as "6 5 4". */
static void expect_list(fixture *f, const char *params, const char *source, const char *numbers)
{
  char got[256] = "";
  size_t i;
  json_t *one, *list = ask(f, xh_report_deliveries, params, source, NULL);
  json_array_foreach(json_object_get(list, "deliveries"), i, one)
  {
    int64_t number;
    assert_int_equal(xh_webhook_id_parse("0123456789abcdef", xh_str_z(json_string_value(json_object_get(one, "id"))), &number), 0);
    snprintf(got + strlen(got), sizeof got - strlen(got), i ? " %lld" : "%lld", (long long)number);
  }
  json_decref(list);
  if (strcmp(got, numbers) != 0)
    fail_msg("%s gives %s, not %s", params, got, numbers);
}

static void filters_pick(void **state)
{
  fixture *f = *state;
  expect_list(f, "{}", "", "6 5 4 3 2 1");
  expect_list(f, "{}", "xo", "5 4 3 2 1");
  expect_list(f, "{}", "nobody", "");
  expect_list(f, "{\"source\":\"other\"}", "xo", "");
  expect_list(f, "{\"status\":\"queued\"}", "", "1");
  expect_list(f, "{\"status\":[\"waiting\",\"dead\"]}", "", "6 4 2");
  expect_list(f, "{\"status\":\"held\"}", "", "5");
  expect_list(f, "{\"status\":\"delivered\"}", "", "3");
  expect_list(f, "{\"method\":\"vm.*\",\"hook\":\"Chat\"}", "", "5 4 2 1");
  expect_list(f, "{\"hook\":\"http://g/\"}", "", "6");
  expect_list(f, "{\"hook\":\"http://me:hidden1@h?key=hidden2#x\"}", "", "5 4 3 2 1");
  sql(f, "UPDATE hook SET url_shown = 'https://h/services/ABCDEF…' WHERE id = 2");
  expect_list(f, "{\"hook\":\"https://h/services/ABCDEFGHIJKLMNOPQRSTUVWXYZ\"}", "", "6");
  expect_list(f, "{\"hook\":\"https://h/services/BBCDEFGHIJKLMNOPQRSTUVWXYZ\"}", "", "");
  sql(f, "UPDATE hook SET url_shown = 'http://g/' WHERE id = 2");
  expect_list(f, "{\"user\":\"bob\"}", "", "5 4");
  expect_list(f, "{\"user\":\"u-1\",\"until\":2000}", "", "2 1");
  expect_list(f, "{\"since\":3000,\"until\":5000}", "", "5 4 3");
  expect_list(f, "{\"user\":\"' OR 1=1 --\"}", "", "");
  expect_list(f, "{\"after\":4}", "", "6 5");
  expect_list(f, "{\"after\":2,\"before\":5}", "", "4 3");
  expect_list(f, "{\"after\":6}", "", "");
  expect_list(f, "{\"ids\":[2,\"msg_0123456789abcdef0000000000000006\",99,4]}", "", "2 6 4");
  expect_list(f, "{\"ids\":[2,6,4],\"status\":\"dead\"}", "", "4");
  expect_list(f, "{\"ids\":[2,6,4]}", "xo", "2 4");
  expect_list(f, "{\"ids\":[]}", "", "");
  expect_list(f, "{\"user\":null,\"status\":null}", "", "6 5 4 3 2 1");
}

static void pages_join_without_gap_or_repeat(void **state)
{
  fixture *f = *state;
  char params[80] = "{\"limit\":2}";
  int seen = 0;
  for (int pages = 0; pages < 4; pages++) {
    json_t *list = ask(f, xh_report_deliveries, params, "", NULL), *next = json_object_get(list, "next");
    seen += (int)json_array_size(json_object_get(list, "deliveries"));
    bool last = json_is_null(next);
    snprintf(params, sizeof params, "{\"limit\":2,\"before\":%lld}", (long long)json_integer_value(next));
    json_decref(list);
    if (last)
      break;
  }
  assert_int_equal(seen, 6);
}

static void wrong_parameters_are_named(void **state)
{
  fixture *f = *state;
  static const char *const cases[][2] = {{"{\"status\":\"done\"}", "\"status\""},  {"{\"limit\":0}", "\"limit\""},
                                         {"{\"limit\":1001}", "\"limit\""},        {"{\"since\":\"yesterday\"}", "\"since\""},
                                         {"{\"colour\":1}", "\"colour\""},         {"[]", "object"},
                                         {"{\"dead\":true}", "\"dead\""},       {"{\"ids\":1}", "\"ids\""},
                                         {"{\"user\":7}", "\"user\""},             {"nonsense", "object"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    xh_buf out;
    char why[200] = "";
    xh_buf_init(&out, 1 << 20);
    assert_int_equal(xh_report_deliveries(f->report, xh_str_z(cases[i][0]), XH_STR(""), NULL, &out, why, sizeof why), XH_EINVAL);
    if (!strstr(why, cases[i][1]))
      fail_msg("%s: %s", cases[i][0], why);
    xh_buf_done(&out);
  }
}

static bool is_two(void *arg, int64_t id)
{
  (void)arg;
  return id == 2;
}

static void a_detail_tells_all_but_secrets(void **state)
{
  fixture *f = *state;
  xh_report_live live = {.is_sending = is_two};
  json_t *d = ask(f, xh_report_delivery, "{\"id\":\"msg_0123456789abcdef0000000000000002\"}", "xo", &live);
  assert_string_equal(json_string_value(json_object_get(d, "status")), "sending");
  assert_string_equal(json_string_value(json_object_get(d, "type")), "pre");
  assert_string_equal(json_string_value(json_object_get(d, "body")), "{ \"s\":\"\\ud800\\\"é\" }");
  assert_string_equal(json_string_value(json_object_get(json_object_get(d, "event"), "userId")), "u-1");
  json_t *attempts = json_object_get(d, "attempts"), *first = json_array_get(attempts, 0), *second = json_array_get(attempts, 1);
  assert_int_equal(json_array_size(attempts), 2);
  assert_true(json_is_null(json_object_get(first, "status")));
  assert_string_equal(json_string_value(json_object_get(first, "fault")), "network");
  assert_null(json_object_get(first, "tlsMs"));
  assert_true(json_real_value(json_object_get(first, "totalMs")) == 1.5);
  assert_int_equal(json_integer_value(json_object_get(second, "status")), 503);
  assert_string_equal(json_string_value(json_object_get(second, "answer")), "busy");
  char *text = json_dumps(d, 0);
  assert_null(strstr(text, "hidden1"));
  assert_null(strstr(text, "hidden2"));
  assert_null(strstr(text, "hidden3"));
  assert_null(strstr(text, "hidden4"));
  assert_non_null(strstr(text, "X-Key"));
  free(text);
  json_decref(d);
}

static void details_of_others_are_not_found(void **state)
{
  fixture *f = *state;
  static const struct {
    const char *params;
    int rc;
  } cases[] = {{"{\"id\":6}", XH_ENOENT},
               {"{\"id\":\"99\"}", XH_ENOENT},
               {"{\"id\":\"msg_ffffffffffffffff0000000000000002\"}", XH_ENOENT},
               {"{\"id\":\"2 OR 1\"}", XH_EINVAL},
               {"{\"id\":2,\"body\":true}", XH_EINVAL},
               {"{}", XH_EINVAL}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    xh_buf out;
    char why[200] = "";
    xh_buf_init(&out, 1 << 20);
    assert_int_equal(xh_report_delivery(f->report, xh_str_z(cases[i].params), XH_STR("xo"), NULL, &out, why, sizeof why), cases[i].rc);
    assert_true(*why);
    assert_int_equal(out.len, 0);
    xh_buf_done(&out);
  }
}

static int retry(fixture *f, const char *params, const char *source, char numbers[64])
{
  int64_t *ids = NULL;
  size_t count = 0;
  char why[200] = "";
  *numbers = '\0';
  int rc = xh_report_retry_ids(f->report, xh_str_z(params), xh_str_z(source), &ids, &count, why, sizeof why);
  for (size_t i = 0; rc == 0 && i < count; i++)
    sprintf(numbers + strlen(numbers), i ? " %lld" : "%lld", (long long)ids[i]);
  free(ids);
  assert_true(rc == 0 || *why);
  return rc;
}

static void a_retry_means_what_it_says(void **state)
{
  fixture *f = *state;
  char got[64];
  sql(f, "UPDATE delivery SET state = 2, settled_ms = 50 WHERE id IN (3, 6)");
  assert_int_equal(retry(f, "{\"dead\":true}", "", got), 0);
  assert_int_equal(strlen(got), strlen("3 4 6"));
  assert_int_equal(retry(f, "{\"dead\":true}", "xo", got), 0);
  assert_null(strchr(got, '6'));
  assert_int_equal(retry(f, "{\"hook\":\"Other\"}", "", got), 0);
  assert_string_equal(got, "6");
  assert_int_equal(retry(f, "{\"since\":4000,\"until\":4000}", "", got), 0);
  assert_string_equal(got, "4");
  assert_int_equal(retry(f, "{\"ids\":[2,\"msg_0123456789abcdef0000000000000004\"]}", "xo", got), 0);
  assert_string_equal(got, "2 4");
  assert_int_equal(retry(f, "{\"ids\":[2,6]}", "xo", got), XH_ENOENT);
  assert_int_equal(retry(f, "{\"ids\":[\"x\"]}", "", got), XH_EINVAL);
  assert_int_equal(retry(f, "{\"source\":\"other\"}", "", got), 0);
  assert_string_equal(got, "6");
  assert_int_equal(retry(f, "{\"dead\":null,\"ids\":[4]}", "", got), 0);
  assert_string_equal(got, "4");
  static const char *const refused[] = {"{}",
                                        "{\"dead\":false}",
                                        "{\"dead\":false,\"hook\":\"Other\"}",
                                        "{\"dead\":null}",
                                        "{\"before\":1}",
                                        "{\"hook\":\"Other\",\"before\":1}",
                                        "{\"status\":\"waiting\"}",
                                        "{\"limit\":1,\"dead\":true}",
                                        "{\"hok\":\"Other\"}",
                                        "{\"ids\":[4],\"dead\":true}"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    assert_int_equal(retry(f, refused[i], "", got), XH_EINVAL);
  assert_int_equal(retry(f, "{\"ids\":[]}", "", got), 0);
  assert_string_equal(got, "");
}

static void a_writer_is_seen_and_a_missing_outbox_told(void **state)
{
  fixture *f = *state;
  xh_report *other;
  sql(f, "UPDATE delivery SET state = 1, settled_ms = 9 WHERE id = 1");
  expect_list(f, "{\"status\":\"delivered\"}", "", "3 1");
  assert_int_equal(xh_report_open("/tmp/xh-report-none", &other), XH_ENOENT);
  sql(f, "BEGIN IMMEDIATE; UPDATE delivery SET state = 0 WHERE id = 1");
  expect_list(f, "{\"status\":\"delivered\"}", "", "3 1");
  sql(f, "ROLLBACK");
}

static void totals_without_a_program(void **state)
{
  fixture *f = *state;
  xh_buf out;
  xh_buf_init(&out, 1 << 20);
  assert_int_equal(xh_report_stats(f->report, &out), 0);
  json_t *s = json_loads(out.ptr, 0, NULL), *d = json_object_get(s, "deliveries");
  assert_true(json_is_false(json_object_get(s, "running")));
  assert_int_equal(json_integer_value(json_object_get(d, "pending")), 4);
  assert_int_equal(json_integer_value(json_object_get(d, "deadKept")), 1);
  assert_int_equal(json_array_size(json_object_get(s, "targets")), 3);
  json_decref(s);
  xh_buf_done(&out);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(filters_pick, setup, teardown),
      cmocka_unit_test_setup_teardown(pages_join_without_gap_or_repeat, setup, teardown),
      cmocka_unit_test_setup_teardown(wrong_parameters_are_named, setup, teardown),
      cmocka_unit_test_setup_teardown(a_detail_tells_all_but_secrets, setup, teardown),
      cmocka_unit_test_setup_teardown(details_of_others_are_not_found, setup, teardown),
      cmocka_unit_test_setup_teardown(a_retry_means_what_it_says, setup, teardown),
      cmocka_unit_test_setup_teardown(a_writer_is_seen_and_a_missing_outbox_told, setup, teardown),
      cmocka_unit_test_setup_teardown(totals_without_a_program, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
