/* The spool's tables: what is read in which order, and what becomes of failures. */
#include "base/err.h"
#include "receiver/spool_db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { NOW = 1000000, ALL = 1000, NO_CAP = 1 << 20 };
static const int64_t NONE = INT64_MAX;

typedef struct fixture {
  char folder[64];
  xh_spool_db *db;
  int64_t cursor;
  /* the taker */
  xh_job_list list;
  size_t limit, cap_bytes, bytes;
  const char *out_object;
  int64_t out_id;
} fixture;

static bool is_out(void *arg, int64_t id, const char *object)
{
  const fixture *f = arg;
  return id == f->out_id || (object && f->out_object && strcmp(object, f->out_object) == 0);
}

static bool fits(void *arg, size_t body_bytes)
{
  const fixture *f = arg;
  return f->list.count < f->limit && (f->list.count == 0 || f->bytes + body_bytes <= f->cap_bytes);
}

static int take(void *arg, xh_job *job)
{
  fixture *f = arg;
  f->bytes += job->body_len;
  xh_job_list_push(&f->list, job);
  return 0;
}

static xh_spool_taker taker(fixture *f, size_t limit, size_t cap_bytes)
{
  f->limit = limit;
  f->cap_bytes = cap_bytes;
  f->bytes = 0;
  return (xh_spool_taker){.arg = f, .is_out = is_out, .fits = fits, .take = take};
}

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

static void loads(fixture *f, size_t limit, size_t cap_bytes, const char *expected, bool expect_full)
{
  const xh_spool_taker t = taker(f, limit, cap_bytes);
  bool full = false;
  assert_int_equal(xh_spool_db_load(f->db, "", &f->cursor, &t, &full), 0);
  list_is(&f->list, expected);
  assert_int_equal(full, expect_full);
}

static void due(fixture *f, int64_t now_ms, const char *expected, int64_t expected_next_ms)
{
  const xh_spool_taker t = taker(f, f->limit ? f->limit : ALL, NO_CAP);
  int64_t next_ms = -1;
  assert_int_equal(xh_spool_db_load_due(f->db, "", now_ms, &t, &next_ms), 0);
  list_is(&f->list, expected);
  assert_int_equal(next_ms, expected_next_ms);
}

static void behind(fixture *f, const char *object, const char *expected, int64_t expected_next_ms)
{
  const xh_spool_taker t = taker(f, ALL, NO_CAP);
  bool full = false;
  int64_t next_ms = NONE;
  assert_int_equal(xh_spool_db_load_behind(f->db, "", object, f->cursor, &t, &full, &next_ms), 0);
  list_is(&f->list, expected);
  assert_int_equal(next_ms, expected_next_ms);
  assert_false(full);
}

static void in_order_of_arrival_within_the_limits_and_once(void **state)
{
  fixture *f = *state;
  for (const char *name = "abcde"; *name; name++)
    add(f, (char[]){*name, 0}, NULL);
  loads(f, 2, NO_CAP, "a.1 b.1", true);
  loads(f, ALL, 1, "c.1", true); /* at least one, whatever its size */
  loads(f, ALL, NO_CAP, "d.1 e.1", false);
  loads(f, ALL, NO_CAP, "", false);
  add(f, "f", NULL);
  loads(f, 1, NO_CAP, "f.1", false);
  f->cursor = 0; /* after a restart */
  assert_int_equal(xh_spool_db_done(f->db, 2), 0);
  loads(f, ALL, NO_CAP, "a.1 c.1 d.1 e.1 f.1", false);
}

static void a_failure_comes_again_when_it_is_due(void **state)
{
  fixture *f = *state;
  add(f, "a", NULL);
  add(f, "b", NULL);
  loads(f, ALL, NO_CAP, "a.1 b.1", false);
  const xh_spool_failure failure = {.attempts = 1, .next_ms = NOW + 500, .resume = "x.d/2", .error = "x.d/2: exit status 1"};
  assert_int_equal(xh_spool_db_failure(f->db, 1, &failure, NOW), 0);
  due(f, NOW + 499, "", NOW + 500);
  due(f, NOW + 500, "a.2", NONE);
  f->out_id = 1;
  due(f, NOW + 500, "", NONE);
  f->out_id = 0;
  f->cursor = 0;
  loads(f, ALL, NO_CAP, "b.1", false); /* a restart does not shorten the wait */
  due(f, NOW + 500, "a.2", NONE);
}

static void what_failed_for_good_waits_for_a_retry_by_hand(void **state)
{
  fixture *f = *state;
  int64_t count = 0, pending = 0, failed = 0;
  add(f, "a", NULL);
  add(f, "b", NULL);
  loads(f, ALL, NO_CAP, "a.1 b.1", false);
  const xh_spool_failure failure = {.attempts = 6, .error = "x: exit status 1"};
  assert_int_equal(xh_spool_db_failure(f->db, 1, &failure, NOW), 0);
  assert_int_equal(xh_spool_db_failure(f->db, 2, &failure, NOW), 0);
  assert_int_equal(xh_spool_db_count(f->db, &pending, &failed), 0);
  assert_int_equal(failed, 2);
  due(f, INT64_MAX, "", NONE);
  assert_int_equal(xh_spool_db_retry(f->db, "nobody", NOW, &count), 0);
  assert_int_equal(count, 0);
  assert_int_equal(xh_spool_db_retry(f->db, "b", NOW, &count), 0);
  assert_int_equal(count, 1);
  due(f, NOW, "b.1", NONE);
  assert_int_equal(xh_spool_db_retry(f->db, NULL, NOW, &count), 0);
  assert_int_equal(count, 1);
  f->limit = 1;
  due(f, NOW, "a.1", 0); /* b does not fit */
}

static void one_job_of_an_object_at_a_time(void **state)
{
  fixture *f = *state;
  add(f, "a1", "1");
  add(f, "a2", "1");
  add(f, "b1", "2");
  add(f, "a3", "1");
  loads(f, ALL, NO_CAP, "a1.1 b1.1", false);
  f->out_object = "1";
  behind(f, "1", "", NONE); /* a1 runs */
  f->out_object = NULL;
  assert_int_equal(xh_spool_db_done(f->db, 1), 0);
  behind(f, "1", "a2.1", NONE);
  const xh_spool_failure again = {.attempts = 1, .next_ms = NOW + 500};
  assert_int_equal(xh_spool_db_failure(f->db, 2, &again, NOW), 0);
  behind(f, "1", "", NOW + 500); /* a2 waits for its time, and a3 behind it */
  due(f, NOW + 500, "a2.2", NONE);
  assert_int_equal(xh_spool_db_done(f->db, 2), 0);
  behind(f, "1", "a3.1", NONE);
  assert_int_equal(xh_spool_db_done(f->db, 4), 0);
  behind(f, "1", "", NONE);
}

static void a_retry_by_hand_waits_for_the_one_of_its_object_that_runs(void **state)
{
  fixture *f = *state;
  int64_t count = 0;
  for (const char *name = "abc"; *name; name++)
    add(f, (char[]){*name, 0}, "1");
  loads(f, ALL, NO_CAP, "a.1", false);
  const xh_spool_failure failure = {.attempts = 1, .error = "x: exit status 1"};
  assert_int_equal(xh_spool_db_failure(f->db, 1, &failure, NOW), 0);
  behind(f, "1", "b.1", NONE);
  assert_int_equal(xh_spool_db_retry(f->db, "a", NOW, &count), 0);
  f->out_object = "1"; /* b runs */
  due(f, NOW, "", NONE);
  f->out_object = NULL;
  assert_int_equal(xh_spool_db_done(f->db, 2), 0);
  behind(f, "1", "", 1); /* a comes before c */
  due(f, NOW, "a.1", NONE);
  assert_int_equal(xh_spool_db_done(f->db, 1), 0);
  behind(f, "1", "c.1", NONE);
}

static void what_waits_for_a_date_far_away_becomes_due(void **state)
{
  fixture *f = *state;
  add(f, "a", NULL);
  add(f, "b", NULL);
  const xh_spool_failure soon = {.attempts = 1, .next_ms = NOW + 500}, far = {.attempts = 1, .next_ms = NOW + 501};
  assert_int_equal(xh_spool_db_failure(f->db, 1, &soon, NOW), 0);
  assert_int_equal(xh_spool_db_failure(f->db, 2, &far, NOW), 0);
  assert_int_equal(xh_spool_db_pull_in(f->db, NOW + 500), 0);
  due(f, NOW, "b.2", NOW + 500);
}

static void what_is_left_to_tidy_up_is_said(void **state)
{
  fixture *f = *state;
  bool more = true;
  int64_t oldest_ms = 0;
  assert_int_equal(xh_spool_db_tidy(f->db, NOW, &more, &oldest_ms), 0);
  assert_false(more);
  assert_true(oldest_ms == INT64_MAX);
  assert_int_equal(xh_spool_db_add_seen(f->db, "old", NOW - 1), 0);
  assert_int_equal(xh_spool_db_add_seen(f->db, "new", NOW + 1), 0);
  static char body[2000000], name[] = "big";
  memset(body, 'x', sizeof body);
  xh_job job = {.delivery = name, .body = body, .body_len = sizeof body};
  assert_int_equal(xh_spool_db_add(f->db, &job, NOW), 0);
  assert_int_equal(xh_spool_db_done(f->db, job.spool_id), 0);
  assert_int_equal(xh_spool_db_tidy(f->db, NOW, &more, &oldest_ms), 0);
  assert_true(more);
  assert_int_equal(oldest_ms, NOW + 1);
  assert_int_equal(xh_spool_db_tidy(f->db, NOW, &more, &oldest_ms), 0);
  assert_false(more);
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
      cmocka_unit_test_setup_teardown(a_retry_by_hand_waits_for_the_one_of_its_object_that_runs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_waits_for_a_date_far_away_becomes_due, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_left_to_tidy_up_is_said, set_up, tear_down),
      cmocka_unit_test_setup_teardown(deliveries_are_remembered_with_their_jobs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(files_are_ours_alone_and_a_strange_one_is_refused, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
