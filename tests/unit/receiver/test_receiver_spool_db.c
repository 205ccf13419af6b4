/* The spool's tables: what is read in which order, and what becomes of failures. */
#include "base/err.h"
#include "receiver/spool_db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { NOW = 1000000, ALL = 1000, NO_CAP = 1 << 20 };

typedef struct fixture {
  char folder[64];
  xh_spool_db *db;
  int64_t cursor;
} fixture;

static int set_up(void **state)
{
  fixture *f = calloc(1, sizeof *f);
  *state = f;
  snprintf(f->folder, sizeof f->folder, "/tmp/xo-hooks-spool-XXXXXX");
  return mkdtemp(f->folder) && xh_spool_db_open(f->folder, true, &f->db) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
  xh_spool_db_close(f->db);
  free(f);
  return system(command);
}

static void add(fixture *f, const char *delivery, const char *object)
{
  xh_job *job = xh_job_new();
  job->delivery = strdup(delivery);
  job->object = object ? strdup(object) : NULL;
  job->method = strdup("vm.start");
  job->type = XH_POST;
  job->body = strdup("{}");
  job->body_len = 2;
  assert_int_equal(xh_spool_db_add(f->db, job, NOW), 0);
  xh_job_free(job);
}

/* The deliveries of the list, in order; empties it. */
static void list_is(xh_job_list *list, const char *expected)
{
  char joined[256] = "";
  for (xh_job *job; (job = xh_job_list_pop(list)) != NULL; xh_job_free(job)) {
    snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s.%d", *joined ? " " : "", job->delivery, job->attempt);
    assert_int_equal(job->body_len, 2);
    assert_string_equal(job->body, "{}");
  }
  assert_string_equal(joined, expected);
}

static void loads(fixture *f, size_t limit, size_t cap_bytes, const char *expected)
{
  xh_job_list list = {NULL, NULL, 0};
  assert_int_equal(xh_spool_db_load(f->db, "", &f->cursor, limit, cap_bytes, &list), 0);
  list_is(&list, expected);
}

static void due(fixture *f, int64_t now_ms, const char *expected)
{
  xh_job_list list = {NULL, NULL, 0};
  assert_int_equal(xh_spool_db_begin(f->db), 0);
  assert_int_equal(xh_spool_db_load_due(f->db, "", now_ms, f->cursor, ALL, &list), 0);
  assert_int_equal(xh_spool_db_commit(f->db), 0);
  list_is(&list, expected);
}

static void behind(fixture *f, const char *object, const char *expected)
{
  xh_job_list list = {NULL, NULL, 0};
  assert_int_equal(xh_spool_db_load_behind(f->db, "", object, f->cursor, &list), 0);
  list_is(&list, expected);
}

static void in_order_of_arrival_within_the_limits_and_once(void **state)
{
  fixture *f = *state;
  for (const char *name = "abcde"; *name; name++)
    add(f, (char[]){*name, 0}, NULL);
  loads(f, 2, NO_CAP, "a.1 b.1");
  loads(f, ALL, 1, "c.1"); /* at least one, whatever its size */
  loads(f, ALL, NO_CAP, "d.1 e.1");
  loads(f, ALL, NO_CAP, "");
  add(f, "f", NULL);
  loads(f, ALL, NO_CAP, "f.1");
  f->cursor = 0; /* after a restart */
  assert_int_equal(xh_spool_db_done(f->db, 2), 0);
  loads(f, ALL, NO_CAP, "a.1 c.1 d.1 e.1 f.1");
}

static void a_failure_comes_again_when_it_is_due(void **state)
{
  fixture *f = *state;
  add(f, "a", NULL);
  add(f, "b", NULL);
  loads(f, ALL, NO_CAP, "a.1 b.1");
  const xh_spool_failure failure = {.attempts = 1, .next_ms = NOW + 500, .resume = "x.d/2", .error = "x.d/2: exit status 1"};
  assert_int_equal(xh_spool_db_failure(f->db, 1, &failure, NOW), 0);
  due(f, NOW + 499, "");
  due(f, NOW + 500, "a.2");
  due(f, NOW + 500, ""); /* handed out */
  assert_int_equal(xh_spool_db_failure(f->db, 1, &failure, NOW), 0);
  f->cursor = 0;
  loads(f, ALL, NO_CAP, "b.1"); /* a restart does not shorten the wait */
  due(f, NOW + 500, "a.2");
}

static void what_failed_for_good_waits_for_a_retry_by_hand(void **state)
{
  fixture *f = *state;
  int64_t count = 0, pending = 0, failed = 0;
  add(f, "a", NULL);
  add(f, "b", NULL);
  loads(f, ALL, NO_CAP, "a.1 b.1");
  const xh_spool_failure failure = {.attempts = 6, .error = "x: exit status 1"};
  assert_int_equal(xh_spool_db_failure(f->db, 1, &failure, NOW), 0);
  assert_int_equal(xh_spool_db_failure(f->db, 2, &failure, NOW), 0);
  assert_int_equal(xh_spool_db_count(f->db, &pending, &failed), 0);
  assert_int_equal(failed, 2);
  due(f, INT64_MAX, "");
  assert_int_equal(xh_spool_db_retry(f->db, "nobody", &count), 0);
  assert_int_equal(count, 0);
  assert_int_equal(xh_spool_db_retry(f->db, "b", &count), 0);
  assert_int_equal(count, 1);
  due(f, NOW, "b.1");
  assert_int_equal(xh_spool_db_retry(f->db, NULL, &count), 0);
  assert_int_equal(count, 1);
  due(f, NOW, "a.1");
}

static void one_job_of_an_object_at_a_time(void **state)
{
  fixture *f = *state;
  add(f, "a1", "1");
  add(f, "a2", "1");
  add(f, "b1", "2");
  add(f, "a3", "1");
  loads(f, ALL, NO_CAP, "a1.1 b1.1");
  behind(f, "1", "a1.1"); /* the first that is pending: it is asked only when that is done */
  assert_int_equal(xh_spool_db_done(f->db, 1), 0);
  behind(f, "1", "a2.1");
  const xh_spool_failure again = {.attempts = 1, .next_ms = NOW + 500};
  assert_int_equal(xh_spool_db_failure(f->db, 2, &again, NOW), 0);
  behind(f, "1", ""); /* a2 waits for its time, and a3 behind it */
  due(f, NOW + 500, "a2.2");
  assert_int_equal(xh_spool_db_done(f->db, 2), 0);
  behind(f, "1", "a3.1");
  assert_int_equal(xh_spool_db_done(f->db, 4), 0);
  behind(f, "1", "");
}

typedef struct memory {
  char text[256];
} memory;

static void note(void *arg, xh_str delivery, int state, int64_t at_ms)
{
  memory *m = arg;
  snprintf(m->text + strlen(m->text), sizeof m->text - strlen(m->text), "%.*s %d %d;", (int)delivery.len, delivery.ptr, state, (int)at_ms);
}

static void deliveries_are_remembered_with_their_jobs(void **state)
{
  fixture *f = *state;
  memory m = {""};
  add(f, "a", NULL);
  add(f, "b", NULL);
  const xh_spool_failure failure = {.attempts = 1};
  assert_int_equal(xh_spool_db_failure(f->db, 2, &failure, NOW), 0);
  assert_int_equal(xh_spool_db_add_seen(f->db, "old", NOW - 10), 0);
  assert_int_equal(xh_spool_db_add_seen(f->db, "a", NOW), 0);
  assert_int_equal(xh_spool_db_add_seen(f->db, "b", NOW + 1), 0);
  assert_int_equal(xh_spool_db_add_seen(f->db, "done", NOW + 2), 0);
  assert_int_equal(xh_spool_db_each_seen(f->db, NOW, note, &m), 0);
  assert_string_equal(m.text, "a 0 1000000;b 1 1000001;done -1 1000002;");
}

static void files_are_ours_alone_and_a_strange_one_is_refused(void **state)
{
  fixture *f = *state;
  char path[128];
  struct stat info;
  xh_spool_db *db;
  snprintf(path, sizeof path, "%s/spool.db", f->folder);
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
  snprintf(path, sizeof path, "%s/none", f->folder);
  assert_int_equal(xh_spool_db_open(path, false, &db), XH_ENOENT);
  assert_int_equal(xh_spool_db_open(path, true, &db), 0);
  xh_spool_db_close(db);
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0700);
  snprintf(path, sizeof path, "%s/none/spool.db", f->folder);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  for (int i = 0; i < 1000; i++)
    fputs("not a database; ", file);
  fclose(file);
  snprintf(path, sizeof path, "%s/none", f->folder);
  assert_int_equal(xh_spool_db_open(path, true, &db), XH_ECORRUPT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(in_order_of_arrival_within_the_limits_and_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_failure_comes_again_when_it_is_due, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_failed_for_good_waits_for_a_retry_by_hand, set_up, tear_down),
      cmocka_unit_test_setup_teardown(one_job_of_an_object_at_a_time, set_up, tear_down),
      cmocka_unit_test_setup_teardown(deliveries_are_remembered_with_their_jobs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(files_are_ours_alone_and_a_strange_one_is_refused, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
