/* The outbox through its public interface: the writer thread runs as in the program. */
#include "base/clock.h"
#include "base/err.h"
#include "outbox/outbox.h"
#include "outbox/schema.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
  char folder[64];
  int ready; /* eventfd: the writer has something */
  xh_outbox *outbox;
  int64_t source, hook, target;
} fixture;

static void wake(void *arg)
{
  const fixture *f = arg;
  uint64_t one = 1;
  assert_int_equal(write(f->ready, &one, sizeof one), sizeof one);
}

static int open_outbox(fixture *f)
{
  int pid = 0;
  xh_outbox_options options = {.folder = f->folder, .wake = wake, .wake_arg = f, .memory_cap_bytes = 256 * 1024};
  int rc = xh_outbox_open(&options, &f->outbox, &pid);
  if (rc)
    return rc;
  f->source = xh_outbox_source(f->outbox, XH_STR("xo"));
  f->hook = xh_outbox_hook(f->outbox, f->source, XH_STR("d1"), XH_STR("{\"url\":1}"), XH_STR("label"), XH_STR("http://h/"));
  f->target = xh_outbox_target(f->outbox, XH_STR("http://user:secret@h/"), XH_STR("http://h/"));
  return 0;
}

static void turn(fixture *f)
{
  struct pollfd fd = {.fd = f->ready, .events = POLLIN};
  uint64_t count;
  assert_int_equal(poll(&fd, 1, 15000), 1);
  assert_int_equal(read(f->ready, &count, sizeof count), sizeof count);
  xh_outbox_dispatch(f->outbox);
}

static int set_up(void **state)
{
  fixture *f = calloc(1, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/test-outbox-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  f->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  assert_int_equal(open_outbox(f), 0);
  *state = f;
  return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
  (void)st, (void)type, (void)at;
  return remove(path);
}

static int tear_down(void **state)
{
  fixture *f = *state;
  xh_outbox_close(f->outbox);
  close(f->ready);
  nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  free(f);
  return 0;
}

static void reopen(fixture *f)
{
  xh_outbox_close(f->outbox);
  f->outbox = NULL;
  assert_int_equal(open_outbox(f), 0);
}

/* ---- accepting ---- */

typedef struct outcome {
  int calls, rc;
  bool durable;
} outcome;

static void on_accepted(void *arg, int rc, bool durable)
{
  outcome *o = arg;
  o->calls++;
  o->rc = rc;
  o->durable = durable;
}

static xh_delivery *new_delivery(fixture *f, const char *text)
{
  xh_blob *body = xh_blob_new(xh_str_z(text));
  xh_delivery made = {.id = xh_outbox_next_id(f->outbox),
                      .hook_id = f->hook,
                      .target_id = f->target,
                      .source_id = f->source,
                      .event = body,
                      .body = body,
                      .method = "vm.start",
                      .call_id = "call",
                      .type = 2,
                      .accepted_ms = xh_wall_ms()};
  xh_delivery *d = xh_delivery_copy(&made);
  xh_blob_unref(body);
  return d;
}

static int64_t accept_one(fixture *f, const char *text, const char *session, int64_t seq, outcome *o)
{
  xh_delivery *d = new_delivery(f, text);
  xh_accept accept = {.source_id = f->source, .seq = seq, .progress = seq, .first = d};
  snprintf(accept.session, sizeof accept.session, "%s", session);
  assert_int_equal(xh_outbox_accept(f->outbox, &accept, on_accepted, o), 0);
  assert_int_equal(o->calls, 0); /* never inside the call */
  int64_t id = d->id;
  xh_delivery_free(d);
  while (o->calls == 0)
    turn(f);
  return id;
}

typedef struct read_back {
  bool done;
  int rc;
  bool more;
  size_t count;
  int64_t ids[16];
  char last[64];
} read_back;

static void on_refilled(void *arg, int rc, xh_delivery *list, bool more)
{
  read_back *r = arg;
  *r = (read_back){.done = true, .rc = rc, .more = more};
  while (list) {
    xh_delivery *next = list->next;
    r->ids[r->count++] = list->id;
    snprintf(r->last, sizeof r->last, "%s", list->body->bytes);
    assert_null(list->event);
    assert_string_equal(list->method, "vm.start");
    assert_string_equal(list->call_id, "call");
    xh_delivery_free(list);
    list = next;
  }
}

static read_back refill(fixture *f, xh_refill_kind kind, int64_t after_id, size_t count_max)
{
  read_back r = {0};
  xh_refill ask = {.target_id = f->target,
                   .kind = kind,
                   .after_id = after_id,
                   .due_ms = INT64_MAX,
                   .count_max = count_max,
                   .bytes_max = 1 << 20};
  assert_int_equal(xh_outbox_refill(f->outbox, &ask, on_refilled, &r), 0);
  while (!r.done)
    turn(f);
  return r;
}

static void settle(fixture *f, int64_t id, xh_state to, int64_t next_ms)
{
  xh_settlement s = {.delivery_id = id, .target_id = f->target, .state = to, .next_attempt_ms = next_ms, .attempt_count = 1,
                     .has_attempt = true, .reason = "because"};
  s.attempt = (xh_attempt){.started_ms = xh_wall_ms(), .http_status = 200, .words = "200 OK", .answer = strdup("fine"), .answer_len = 4};
  xh_outbox_settle(f->outbox, &s);
  assert_null(s.attempt.answer); /* taken */
}

static xh_outbox_stats stats_after(fixture *f)
{
  xh_outbox_stats stats;
  (void)refill(f, XH_REFILL_FRESH, INT64_MAX - 1, 1); /* a round trip: what was queued before is committed */
  xh_outbox_get_stats(f->outbox, &stats);
  return stats;
}

static void accepted_deliveries_are_read_back_after_a_restart(void **state)
{
  fixture *f = *state;
  outcome first = {0}, second = {0};
  int64_t a = accept_one(f, "{\"n\":1}", "s1", 7, &first);
  int64_t b = accept_one(f, "{\"n\":2}", "s1", 8, &second);
  assert_true(first.durable && second.durable && b > a);
  char instance[17];
  snprintf(instance, sizeof instance, "%s", xh_outbox_instance(f->outbox));
  reopen(f);
  assert_string_equal(xh_outbox_instance(f->outbox), instance);
  const xh_target_backlog *backlog;
  assert_int_equal(xh_outbox_backlog(f->outbox, &backlog), 1);
  assert_int_equal(backlog[0].pending_count, 2);
  assert_int_equal(backlog[0].target_id, f->target); /* identities survive */
  assert_int_equal(backlog[0].hook_id, f->hook);
  read_back r = refill(f, XH_REFILL_FRESH, 0, 1);
  assert_int_equal(r.rc, 0);
  assert_true(r.count == 1 && r.more && r.ids[0] == a);
  r = refill(f, XH_REFILL_FRESH, a, 10);
  assert_true(r.count == 1 && !r.more && r.ids[0] == b);
  assert_string_equal(r.last, "{\"n\":2}");
  assert_true(xh_outbox_next_id(f->outbox) > b);
  char session[64];
  int64_t seq;
  xh_outbox_source_progress(f->outbox, f->source, session, &seq);
  assert_string_equal(session, "s1");
  assert_int_equal(seq, 8);
  char *config;
  assert_int_equal(xh_outbox_hook_config(f->outbox, f->hook, &config), 0);
  assert_string_equal(config, "{\"url\":1}");
  free(config);
}

static void outcomes_move_deliveries_through_their_states(void **state)
{
  fixture *f = *state;
  outcome o[3] = {{0}};
  int64_t a = accept_one(f, "a", "", 0, &o[0]);
  int64_t b = accept_one(f, "b", "", 0, &o[1]);
  int64_t c = accept_one(f, "c", "", 0, &o[2]);
  settle(f, a, XH_DELIVERED, 0);
  settle(f, b, XH_PENDING, 1000);
  settle(f, c, XH_DEAD, 0);
  xh_outbox_stats stats = stats_after(f);
  assert_int_equal(stats.delivered_total, 1);
  assert_int_equal(stats.dead_count, 1);
  assert_int_equal(stats.pending_count, 1);
  assert_int_equal(stats.attempt_total, 3);
  settle(f, a, XH_DEAD, 0); /* delivered stays delivered */
  assert_int_equal(stats_after(f).dead_count, 1);
  read_back r = refill(f, XH_REFILL_DUE, 0, 10);
  assert_true(r.count == 1 && r.ids[0] == b);
  assert_int_equal(refill(f, XH_REFILL_FRESH, 0, 10).count, 0);
}

typedef struct retried {
  int64_t count, revived_count;
} retried;

static void on_retried(void *arg, int rc, int64_t count, const xh_retried *targets, size_t target_count)
{
  retried *got = arg;
  assert_int_equal(rc, 0);
  got->count = count;
  assert_int_equal(target_count, 1);
  assert_true(targets[0].target_id > 0);
  got->revived_count = targets[0].revived_count;
}

static retried retry(fixture *f, const xh_retry_filter *filter)
{
  retried got = {.count = -1};
  assert_int_equal(xh_outbox_retry(f->outbox, filter, on_retried, &got), 0);
  while (got.count < 0)
    turn(f);
  return got;
}

static void a_retry_by_hand_wakes_the_dead_and_their_stopped_hook(void **state)
{
  fixture *f = *state;
  outcome o = {0};
  int64_t id = accept_one(f, "a", "", 0, &o);
  settle(f, id, XH_DEAD, 0);
  xh_outbox_hook_set_stopped(f->outbox, f->hook, 5);
  retried dead = retry(f, &(xh_retry_filter){.hook_id = f->hook});
  assert_true(dead.count == 1 && dead.revived_count == 1);
  assert_int_equal(xh_outbox_hook_stopped(f->outbox, f->hook), 0);
  assert_int_equal(refill(f, XH_REFILL_DUE, 0, 10).count, 1);
  retried pending = retry(f, &(xh_retry_filter){.ids = &id, .id_count = 1}); /* made due */
  assert_true(pending.count == 1 && pending.revived_count == 0);
}

static void on_pruned(void *arg, int rc, int64_t count)
{
  int64_t *got = arg;
  assert_int_equal(rc, 0);
  *got = count;
}

static void pruning_leaves_what_is_pending(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 600; i++) {
    outcome o = {0};
    int64_t id = accept_one(f, "x", "", 0, &o);
    if (i % 2)
      settle(f, id, i % 4 == 1 ? XH_DELIVERED : XH_DEAD, 0);
  }
  int64_t count = -1;
  assert_int_equal(xh_outbox_prune(f->outbox, false, 0, on_pruned, &count), 0);
  while (count < 0)
    turn(f);
  assert_int_equal(count, 0); /* nothing is old yet */
  assert_true(xh_outbox_next_prune_ms(f->outbox) > xh_wall_ms());
  count = -1;
  assert_int_equal(xh_outbox_prune(f->outbox, true, INT64_MAX, on_pruned, &count), 0);
  while (count < 0)
    turn(f);
  assert_int_equal(count, 300);
  xh_outbox_stats stats = stats_after(f);
  assert_int_equal(stats.pending_count, 300);
  assert_int_equal(stats.dead_count, 0);
  assert_int_equal(xh_outbox_next_prune_ms(f->outbox), 0);
}

/* ---- the folder ---- */

static void a_second_owner_is_refused_with_the_first_ones_pid(void **state)
{
  fixture *f = *state;
  xh_outbox *other;
  int pid = 0;
  xh_outbox_options options = {.folder = f->folder, .wake = wake, .wake_arg = f};
  assert_int_equal(xh_outbox_open(&options, &other, &pid), XH_EBUSY);
  assert_int_equal(pid, getpid());
}

static void files_are_private(void **state)
{
  fixture *f = *state;
  struct stat st;
  char path[128];
  snprintf(path, sizeof path, "%s/%s", f->folder, XH_DATABASE_NAME);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  snprintf(path, sizeof path, "%s/%s-wal", f->folder, XH_DATABASE_NAME);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_damaged_database_is_set_aside(void **state)
{
  fixture *f = *state;
  outcome o = {0};
  accept_one(f, "a", "", 0, &o);
  xh_outbox_close(f->outbox);
  char path[128];
  snprintf(path, sizeof path, "%s/%s", f->folder, XH_DATABASE_NAME);
  int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  char junk[8192];
  memset(junk, 'j', sizeof junk);
  assert_int_equal(pwrite(fd, junk, sizeof junk, 0), sizeof junk);
  close(fd);
  assert_int_equal(open_outbox(f), 0);
  const xh_target_backlog *backlog;
  assert_int_equal(xh_outbox_backlog(f->outbox, &backlog), 0);
  outcome again = {0};
  accept_one(f, "b", "", 0, &again);
  assert_true(again.rc == 0 && again.durable);
  char command[128];
  snprintf(command, sizeof command, "ls %s | grep -q damaged-", f->folder);
  assert_int_equal(system(command), 0);
}

/* The disk refuses (here: files may not grow): answers come early and say so, memory is capped, and all is written when there is room. */
static void a_full_disk_is_survived(void **state)
{
  fixture *f = *state;
  struct rlimit old, none = {.rlim_cur = 4096};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  none.rlim_max = old.rlim_max;
  stats_after(f);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
  char big[40000];
  memset(big, 'b', sizeof big);
  big[sizeof big - 1] = '\0';
  int kept = 0, refused = 0;
  for (int i = 0; i < 10; i++) {
    outcome o = {0};
    accept_one(f, big, "", 0, &o);
    assert_false(o.rc == 0 && o.durable);
    kept += o.rc == 0;
    refused += o.rc == XH_EFULL;
  }
  assert_int_equal(kept, 6); /* of 256 KiB */
  assert_int_equal(refused, 4);
  xh_outbox_stats stats;
  xh_outbox_get_stats(f->outbox, &stats);
  assert_true(stats.degraded);
  assert_int_equal(stats.refused_count, 4);
  assert_true(*stats.trouble != '\0');
  assert_true(refill(f, XH_REFILL_FRESH, 0, 16).rc != 0);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  int64_t give_up_ms = xh_mono_ms() + 15000;
  do {
    usleep(20000);
    xh_outbox_get_stats(f->outbox, &stats);
  } while (stats.degraded && xh_mono_ms() < give_up_ms);
  assert_false(stats.degraded);
  read_back r = refill(f, XH_REFILL_FRESH, 0, 16);
  assert_int_equal(r.count, 6);
}

/* kill -9 right after the answer: what was answered is there. */
static void what_was_answered_survives_kill_9(void **state)
{
  fixture *f = *state;
  xh_outbox_close(f->outbox);
  f->outbox = NULL;
  pid_t child = fork();
  if (child == 0) {
    if (open_outbox(f) != 0)
      _exit(9);
    for (int i = 0; i < 5; i++) {
      outcome o = {0};
      accept_one(f, "{\"killed\":true}", "", 0, &o);
    }
    kill(getpid(), SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  uint64_t count; /* the child shared the eventfd */
  (void)!read(f->ready, &count, sizeof count);
  assert_int_equal(open_outbox(f), 0);
  read_back r = refill(f, XH_REFILL_FRESH, 0, 16);
  assert_int_equal(r.count, 5);
  assert_true(xh_outbox_next_id(f->outbox) > r.ids[4]);
}

/* Ids that were given out and never written are not given out again after a kill -9. */
static void ids_are_never_used_again(void **state)
{
  fixture *f = *state;
  int ends[2];
  int64_t last = 0;
  xh_outbox_close(f->outbox);
  f->outbox = NULL;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    if (open_outbox(f) != 0)
      _exit(9);
    for (int i = 0; i < 2000000; i++)
      last = xh_outbox_next_id(f->outbox);
    if (write(ends[1], &last, sizeof last) != sizeof last)
      _exit(8);
    kill(getpid(), SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
  close(ends[0]);
  close(ends[1]);
  uint64_t count; /* the child shared the eventfd */
  (void)!read(f->ready, &count, sizeof count);
  assert_int_equal(open_outbox(f), 0);
  assert_true(xh_outbox_next_id(f->outbox) > last);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(accepted_deliveries_are_read_back_after_a_restart, set_up, tear_down),
      cmocka_unit_test_setup_teardown(outcomes_move_deliveries_through_their_states, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_retry_by_hand_wakes_the_dead_and_their_stopped_hook, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pruning_leaves_what_is_pending, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_second_owner_is_refused_with_the_first_ones_pid, set_up, tear_down),
      cmocka_unit_test_setup_teardown(files_are_private, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_damaged_database_is_set_aside, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_full_disk_is_survived, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_was_answered_survives_kill_9, set_up, tear_down),
      cmocka_unit_test_setup_teardown(ids_are_never_used_again, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
