/*
 * Each allocation of the main thread on an event's way fails in turn: the event is refused with an error, or it arrives. The program around it
 * goes on: a second event always arrives.
 */
#include "failing_memory.h"

#include "base/err.h"
#include "base/log.h"
#include "engine/engine.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 20000, CLIENTS_MAX = 64 };

/* ---- a target that answers 200 and notes which events came; without allocations of its own ---- */

typedef struct client {
  uv_tcp_t tcp;
  uv_write_t write;
  char in[8192];
  size_t len;
  bool used;
} client;

typedef struct world {
  uv_loop_t loop;
  uv_tcp_t server;
  uv_timer_t limit;
  client clients[CLIENTS_MAX];
  int port;
  bool late;
  unsigned came[3]; /* events 1 and 2 */
  char folder[64];
} world;

static world w;

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
  client *c = handle->data;
  (void)size;
  *buf = uv_buf_init(c->in + c->len, (unsigned)(sizeof c->in - 1 - c->len));
}

static void on_client_closed(uv_handle_t *handle)
{
  client *c = handle->data;
  c->used = false;
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
  static char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  client *c = stream->data;
  (void)buf;
  if (got < 0) {
    uv_close((uv_handle_t *)stream, on_client_closed);
    return;
  }
  c->len += (size_t)got;
  c->in[c->len] = '\0';
  const char *body = strstr(c->in, "\r\n\r\n"), *end = body ? strstr(body, "\"last\":true}") : NULL;
  if (!end)
    return;
  const char *number = strstr(body, "\"n\":");
  w.came[number[4] - '0']++;
  c->len = 0;
  uv_buf_t out = uv_buf_init(answer, sizeof answer - 1);
  uv_write(&c->write, stream, &out, 1, NULL);
}

static void on_connection(uv_stream_t *server, int status)
{
  client *c = w.clients;
  assert_int_equal(status, 0);
  while (c->used)
    c++;
  c->used = true;
  c->len = 0;
  uv_tcp_init(&w.loop, &c->tcp);
  c->tcp.data = c;
  assert_int_equal(uv_accept(server, (uv_stream_t *)&c->tcp), 0);
  uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static void on_limit(uv_timer_t *timer)
{
  (void)timer;
  w.late = true;
}

static void open_target(void)
{
  struct sockaddr_in address;
  int len = sizeof address;
  uv_loop_init(&w.loop);
  uv_timer_init(&w.loop, &w.limit);
  uv_tcp_init(&w.loop, &w.server);
  uv_ip4_addr("127.0.0.1", 0, &address);
  assert_int_equal(uv_tcp_bind(&w.server, (struct sockaddr *)&address, 0), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&w.server, 16, on_connection), 0);
  uv_tcp_getsockname(&w.server, (struct sockaddr *)&address, &len);
  w.port = ntohs(address.sin_port);
}

static void close_target(void)
{
  uv_close((uv_handle_t *)&w.server, NULL);
  uv_close((uv_handle_t *)&w.limit, NULL);
  for (size_t i = 0; i < CLIENTS_MAX; i++)
    if (w.clients[i].used && !uv_is_closing((uv_handle_t *)&w.clients[i].tcp))
      uv_close((uv_handle_t *)&w.clients[i].tcp, on_client_closed);
  uv_run(&w.loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&w.loop), 0);
}

/* ---- the program ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
  (void)st, (void)flag, (void)ftw;
  return remove(path);
}

static xh_hooks *compile(void)
{
  char config[512];
  xh_hooks *hooks;
  xh_mistakes mistakes;
  snprintf(config, sizeof config,
           "{\"hooks\":[{\"method\":\"vm.*\",\"type\":\"post\",\"url\":\"http://127.0.0.1:%d/\",\"format\":\"json\",\"advanced\":"
           "{\"passphrase\":\"secret\",\"retry\":{\"schedule\":[0,0.1,0.1,0.1,1,1]},\"when\":[{\"property\":\"userName\","
           "\"matches\":[\"a*\"]}]}}]}",
           w.port);
  assert_int_equal(xh_hooks_compile(xh_str_z(config), 0, &hooks, &mistakes), 0);
  xh_mistakes_done(&mistakes);
  return hooks;
}

typedef struct fate {
  bool told;
  int rc;
} fate;

static void on_done(void *arg, int rc, bool durable)
{
  fate *f = arg;
  assert_true(durable || rc);
  assert_false(f->told);
  *f = (fate){.told = true, .rc = rc};
}

static fate tell(xh_engine *engine, int number)
{
  char text[256];
  xh_event event;
  fate f = {0};
  snprintf(text, sizeof text,
           "{\"type\":\"post\",\"method\":\"vm.start\",\"callId\":\"c%d\",\"userName\":\"\\u0061dmin\",\"n\":%d,\"result\":{\"token\":\"x\"},"
           "\"last\":true}",
           number, number);
  assert_int_equal(xh_event_parse(xh_str_z(text), &event, NULL), 0);
  int matched = xh_engine_event(engine, XH_STR("paris"), &event, on_done, &f);
  if (matched < 0)
    return (fate){.told = true, .rc = matched};
  assert_int_equal(matched, 1);
  while (!f.told && !w.late)
    uv_run(&w.loop, UV_RUN_ONCE);
  return f;
}

static void on_stopped(void *arg)
{
  bool *stopped = arg;
  *stopped = true;
}

/* One life with the n-th allocation failing, from the configuration on or from the event on. Returns whether one failed. */
static bool live(long n, bool with_configuration)
{
  xh_engine *engine;
  int pid;
  bool stopped = false;
  xh_hooks *hooks = compile();
  memset(w.came, 0, sizeof w.came);
  assert_int_equal(xh_engine_open(&(xh_engine_options){.loop = &w.loop, .folder = w.folder}, &engine, &pid), 0);
  xh_engine_start(engine);
  uv_timer_start(&w.limit, on_limit, LIMIT_MS, 0);
  if (!with_configuration)
    assert_int_equal(xh_engine_configure(engine, XH_STR("paris"), hooks), 0);
  memory_fails_in(n);
  if (with_configuration && xh_engine_configure(engine, XH_STR("paris"), hooks) != 0)
    assert_int_equal(xh_engine_configure(engine, XH_STR("paris"), hooks), 0); /* refused, and then not */
  fate first = tell(engine, 1);
  assert_true(first.told);
  while (first.rc == 0 && !w.came[1] && !w.late)
    uv_run(&w.loop, UV_RUN_ONCE);
  bool failed = memory_failed();
  fate second = tell(engine, 2);
  assert_true(second.told);
  assert_int_equal(second.rc, 0);
  while (!w.came[2] && !w.late)
    uv_run(&w.loop, UV_RUN_ONCE);
  if (w.late)
    fail_msg("allocation %ld%s: event 1 (%s) came %u times, event 2 %u times", n, with_configuration ? " from the configuration on" : "",
             first.rc ? xh_err_text(first.rc) : "accepted", w.came[1], w.came[2]);
  if (first.rc)
    assert_int_equal(w.came[1], 0);
  xh_engine_stop(engine, on_stopped, &stopped);
  while (!stopped)
    uv_run(&w.loop, UV_RUN_ONCE);
  xh_engine_free(engine);
  xh_hooks_unref(hooks);
  uv_timer_stop(&w.limit);
  return failed;
}

static void live_with_each_allocation_failing(bool with_configuration)
{
  open_target();
  bool failed = true;
  for (long n = 1; failed; n++) {
    snprintf(w.folder, sizeof w.folder, "/tmp/xo-hooks-memory-XXXXXX");
    assert_non_null(mkdtemp(w.folder));
    failed = live(n, with_configuration);
    nftw(w.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  }
  close_target();
}

static void an_event_arrives_or_is_refused(void **state)
{
  (void)state;
  live_with_each_allocation_failing(false);
}

static void a_configuration_is_taken_or_refused(void **state)
{
  (void)state;
  live_with_each_allocation_failing(true);
}

int main(void)
{
  xh_log_setup(XH_LOG_ERROR, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_event_arrives_or_is_refused),
      cmocka_unit_test(a_configuration_is_taken_or_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
