/* Without memory for a connection it waits, and neither it nor any later one is lost. */
#include "failing_memory.h"

#include "base/log.h"
#include "intake/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 20000 };

static void on_call(void *arg, xh_peer *peer, int64_t id, xh_str name, xh_str params)
{
  (void)arg, (void)name, (void)params;
  xh_peer_ok(peer, id);
}

static void on_limit(uv_timer_t *timer)
{
  (void)timer;
  fail_msg("no answer within %d ms", LIMIT_MS);
}

static int connected(const char *path)
{
  static const char question[] = "{\"id\":1,\"call\":\"ping\"}\n";
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(write(fd, question, sizeof question - 1), sizeof question - 1);
  return fd;
}

static void wait_for_answer(uv_loop_t *loop, int fd)
{
  char answer[64];
  ssize_t got;
  while ((got = recv(fd, answer, sizeof answer, MSG_DONTWAIT)) < 0)
    uv_run(loop, UV_RUN_ONCE);
  assert_true(got > 0);
  close(fd);
}

static void on_closed(void *arg)
{
  *(bool *)arg = true;
}

static void a_connection_waits_for_memory(void **state)
{
  (void)state;
  uv_loop_t loop;
  uv_timer_t limit;
  xh_intake *intake;
  char folder[] = "/tmp/test-intake-XXXXXX", path[64];
  bool closed = false;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/socket", folder);
  uv_loop_init(&loop);
  uv_timer_init(&loop, &limit);
  uv_timer_start(&limit, on_limit, LIMIT_MS, 0);
  assert_int_equal(xh_intake_new(&loop, &(xh_intake_options){.instance = "i"}, &(xh_sink){.call = on_call}, &intake), 0);
  assert_int_equal(xh_intake_listen(intake, path), 0);
  int first = connected(path), second = connected(path);
  memory_fails_in(1); /* the peer's */
  while (!has_failed)
    uv_run(&loop, UV_RUN_ONCE);
  assert_true(memory_failed());
  wait_for_answer(&loop, first);
  wait_for_answer(&loop, second);
  wait_for_answer(&loop, connected(path));
  xh_intake_close(intake, on_closed, &closed);
  uv_close((uv_handle_t *)&limit, NULL);
  while (!closed)
    uv_run(&loop, UV_RUN_ONCE);
  uv_run(&loop, UV_RUN_NOWAIT);
  xh_intake_free(intake);
  assert_int_equal(uv_loop_close(&loop), 0);
  assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
  xh_log_setup(XH_LOG_ERROR, 1);
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_connection_waits_for_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
