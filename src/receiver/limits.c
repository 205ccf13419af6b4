#include "receiver/server_internal.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
  LINES_PER_S = 10, /* of limits_say */
  SOON_MS = 250,    /* at a stop */
  OVER_MS = 2000    /* for the headers of one above the limit */
};

int retry_after_of(int status)
{
  return status == 503 ? 10 : 0;
}

void limits_say(xh_server *server, int status, const char *why, const char *client)
{
  int64_t now_ms = xh_mono_ms();
  char text[320];
  if (server->said == 0 || now_ms - server->said_since_ms >= 1000) {
    server->said_since_ms = now_ms;
    server->said = 0;
  }
  if (++server->said > LINES_PER_S) {
    server->unsaid++;
    return;
  }
  if (server->unsaid > 0)
    snprintf(text, sizeof text, "%s (and %u refusals like this one were not logged)", why, server->unsaid);
  else
    snprintf(text, sizeof text, "%s", why);
  server->unsaid = 0;
  server->options.refused(server->options.arg, status, xh_str_z(text), xh_str_z(client));
}

/* The timer comes once, for the earliest deadline: a server that nobody talks to does not wake up. */
static void sweep_by(xh_server *server, int64_t deadline_ms)
{
  if (deadline_ms >= server->sweep_ms)
    return;
  int64_t wait_ms = deadline_ms - xh_mono_ms();
  server->sweep_ms = deadline_ms;
  uv_update_time(server->options.loop);
  uv_timer_start(&server->sweep, limits_on_sweep, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

void limits_move(xh_server *server, xh_connection *connection, xh_stage stage, int64_t timeout_ms)
{
  int64_t deadline_ms = timeout_ms == INT64_MAX ? INT64_MAX : xh_mono_ms() + timeout_ms;
  xh_connections_move(&server->connections, connection, stage, deadline_ms);
  sweep_by(server, deadline_ms);
}

void limits_hang_up(xh_server *server, xh_connection *connection)
{
  limits_move(server, connection, XH_AT_CLOSE, INT64_MAX);
  shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees the end and closes */
}

void limits_last_word(xh_server *server, xh_connection *connection, int status, const char *why)
{
  if (connection->request)
    request_end(connection->request);
  if (answer_last(connection, status, retry_after_of(status), xh_str_z(why)))
    limits_move(server, connection, XH_AT_END, LINGER_MS);
  else
    limits_hang_up(server, connection);
}

/* Whoever is in the middle of a request is told why it ends here. */
static void give_up(xh_server *server, xh_connection *connection, int status, const char *why)
{
  xh_request *request = connection->request;
  char client[INET6_ADDRSTRLEN];
  if (request && request->state == DRAINING) {
    limits_last_word(server, connection, request->verdict.status, request->verdict.why);
  } else if (request ? request->state == READING : connection->began && connection->stage == XH_AT_HEAD) {
    server_client(connection->mhd, client);
    limits_say(server, status, why, client);
    limits_last_word(server, connection, status, why);
  } else {
    if (request)
      request_end(request);
    limits_hang_up(server, connection);
  }
}

void limits_tell_over(xh_server *server, xh_connection *connection)
{
  char why[160], client[INET6_ADDRSTRLEN];
  snprintf(why, sizeof why, "all %zu connections wait for their answers (--connections): try again later", server->options.connection_max);
  server_client(connection->mhd, client);
  limits_say(server, 503, why, client);
  limits_last_word(server, connection, 503, why);
}

static void on_late(void *arg, xh_connection *connection)
{
  xh_server *server = arg;
  const xh_server_options *options = &server->options;
  bool head = connection->stage == XH_AT_HEAD;
  char why[128], time[64];
  if (connection->stage == XH_AT_WORK) {
    request_overdue(connection->request);
    return;
  }
  if (connection->stage == XH_AT_OVER) {
    limits_tell_over(server, connection);
    return;
  }
  xh_duration_text(head ? options->head_timeout_ms : options->body_timeout_ms, time, sizeof time);
  snprintf(why, sizeof why, "the %s did not come within %s (--%s-timeout)", head ? "headers" : "body", time, head ? "header" : "body");
  if (server->quiet)
    give_up(server, connection, 503, "the receiver stops");
  else
    give_up(server, connection, 408, why);
}

void limits_on_sweep(uv_timer_t *timer)
{
  xh_server *server = timer->data;
  server->sweep_ms = INT64_MIN; /* what is moved now sets no timer: it is looked at in the end */
  int64_t earliest_ms = xh_connections_sweep(&server->connections, xh_mono_ms(), server, on_late);
  server->sweep_ms = INT64_MAX;
  uv_timer_stop(timer);
  sweep_by(server, earliest_ms);
}

void limits_newcomer(xh_server *server, xh_connection *newcomer)
{
  xh_connections *all = &server->connections;
  size_t most = server->options.connection_max;
  char why[128];
  if (xh_connections_served(all) > most) {
    xh_connection *other = xh_connections_stalest(all, newcomer);
    snprintf(why, sizeof why, "all %zu connections are in use (--connections), and this one was the slowest", most);
    if (other)
      give_up(server, other, 503, why);
    else
      limits_move(server, newcomer, XH_AT_OVER, OVER_MS);
  }
  xh_connection *ended = all->stages[XH_AT_END].first, *over = all->stages[XH_AT_OVER].first;
  if (xh_connections_served(all) + all->stages[XH_AT_END].count + all->stages[XH_AT_OVER].count <= most + SPARE_CONNECTIONS / 2)
    return;
  if (ended)
    limits_hang_up(server, ended);
  else if (over)
    limits_tell_over(server, over);
}

static void say_library_refusal(xh_server *server, const char *client)
{
  int status = server->library_status;
  server->library_status = 0;
  limits_say(server, status,
             status == 431   ? "the headers are too large"
             : status == 414 ? "the request line is too long"
             : status == 413 ? "Content-Length or the size of a chunk is too large"
             : status == 505 ? "HTTP/1.0 and HTTP/1.1 are spoken here, no other version"
                             : "the request is no well-formed HTTP",
             client);
}

void limits_library_refusal(xh_server *server, int status)
{
  if (server->library_status)
    say_library_refusal(server, "unknown");
  server->library_status = status;
}

void limits_closed(xh_server *server, const xh_connection *connection)
{
  char client[INET6_ADDRSTRLEN];
  bool in_request = connection->began || !connection->served;
  if (!server->library_status || connection->stage == XH_AT_CLOSE || !in_request)
    return;
  if (connection->stage == XH_AT_END) { /* it was refused before, and logged */
    server->library_status = 0;
    return;
  }
  server_client(connection->mhd, client);
  say_library_refusal(server, client);
}

bool limits_make_room(xh_request *request, size_t count)
{
  xh_server *server = request->server;
  const xh_server_options *options = &server->options;
  while (*options->held_bytes + count > options->memory_cap_bytes) {
    xh_connection *largest = xh_connections_largest(&server->connections);
    if (!largest || largest == request->socket || largest->body_bytes <= request->socket->body_bytes + count)
      return false;
    give_up(server, largest, 503, "too much is being received (--memory-cap), and this body was the largest: try again later");
  }
  return true;
}

void limits_hurry(xh_server *server)
{
  static const xh_stage stages[] = {XH_AT_END, XH_AT_HEAD, XH_AT_BODY, XH_AT_OVER};
  int64_t soon_ms = xh_mono_ms() + SOON_MS; /* one that has begun to send may still come through */
  for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
    for (xh_connection *at = server->connections.stages[stages[i]].first; at; at = at->next)
      at->deadline_ms = at->deadline_ms < soon_ms ? at->deadline_ms : soon_ms;
  sweep_by(server, soon_ms);
}
