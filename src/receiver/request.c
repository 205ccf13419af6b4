#include "receiver/server_internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "receiver/tcp_bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
  (void)kind;
  xh_head_add(arg, key, value);
  return MHD_YES;
}

static void move(xh_request *request, xh_stage stage, int64_t timeout_ms)
{
  limits_move(request->server, request->socket, stage, timeout_ms);
}

static void release_body(xh_request *request)
{
  *request->server->options.held_bytes -= request->socket->body_bytes;
  request->socket->body_bytes = 0;
  xh_buf_done(&request->body);
}

static enum MHD_Result queue_answer(xh_request *request)
{
  enum MHD_Result queued = MHD_queue_response(request->connection, (unsigned)request->status, request->response);
  MHD_destroy_response(request->response);
  request->response = NULL;
  return queued;
}

static void resume(xh_request *request)
{
  if (!request->suspended)
    return;
  request->suspended = false;
  MHD_resume_connection(request->connection);
  server_run_soon(request->server);
}

static void respond(xh_request *request, int status, int retry_after_s, xh_str json)
{
  request->response = answer_make(status, retry_after_s, request->server->quiet, json);
  request->status = status;
  request->state = ANSWERED;
  move(request, XH_AT_BODY, request->server->options.body_timeout_ms);
  resume(request);
}

static void respond_refusal(xh_request *request, int status, int retry_after_s, xh_str why)
{
  xh_buf json;
  xh_buf_init(&json, 4096);
  answer_refusal(why, &json);
  respond(request, status, retry_after_s, xh_buf_span(&json));
  xh_buf_done(&json);
}

static void say_refused(const xh_request *request, int status, xh_str why)
{
  const xh_server_options *options = &request->server->options;
  options->refused(options->arg, status, why, xh_str_z(request->client));
}

static void last_word(xh_request *request)
{
  limits_last_word(request->server, request->socket, request->verdict.status, request->verdict.why);
}

static bool is_longer(xh_str content_length, size_t bytes)
{
  return content_length.len > 0 && strtoull(content_length.ptr, NULL, 10) > bytes; /* of a header: it is terminated */
}

/*
 * Said at once, and answered when the rest of the body has come: a client that sends everything before it reads gets to the answer. One that
 * takes too long over it is answered past the library, which can't do that in the middle of a body.
 */
static void refuse_unread(xh_request *request)
{
  int64_t drain_ms = request->server->options.body_timeout_ms;
  say_refused(request, request->verdict.status, xh_str_z(request->verdict.why));
  request->state = DRAINING;
  release_body(request);
  move(request, XH_AT_BODY, drain_ms < DRAIN_MS ? drain_ms : DRAIN_MS);
}

static xh_request *request_new(xh_server *server, struct MHD_Connection *connection, const char *path, const char *method, const char *version)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  xh_connection *socket = info ? info->socket_context : NULL;
  xh_request *request = socket && socket->stage != XH_AT_END && socket->stage != XH_AT_CLOSE ? calloc(1, sizeof *request) : NULL;
  if (!request)
    return NULL;
  request->server = server;
  request->connection = connection;
  request->socket = socket;
  request->head.method = xh_str_z(method);
  request->head.path = xh_str_z(path);
  xh_buf_init(&request->body, server->options.gate.body_cap_bytes);
  MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, &request->head);
  request->head.version = xh_str_z(version);
  server_client(connection, request->client);
  socket->request = request;
  socket->began = false;
  server->busy++;
  return request;
}

/* The whole head is there. */
static enum MHD_Result take_head(xh_request *request)
{
  xh_server *server = request->server;
  if (request->socket->stage == XH_AT_OVER) {
    limits_tell_over(server, request->socket);
    return MHD_YES;
  }
  move(request, XH_AT_BODY, server->options.body_timeout_ms);
  request->verdict = xh_head_judge(&server->options.gate, &request->head);
  if (!request->verdict.status)
    return MHD_YES;
  refuse_unread(request);
  if (request->head.expect.ptr) { /* it asks before it sends */
    respond_refusal(request, request->verdict.status, 0, xh_str_z(request->verdict.why));
    return queue_answer(request);
  }
  if (request->verdict.last || is_longer(request->head.content_length, DRAIN_BYTES))
    last_word(request);
  return MHD_YES;
}

static void take_bytes(xh_request *request, const char *bytes, size_t count)
{
  const xh_server_options *options = &request->server->options;
  if (request->state != READING) {
    request->dropped_bytes += count;
    if (request->state == DRAINING && request->dropped_bytes > DRAIN_BYTES)
      last_word(request);
    if (request->socket->stage == XH_AT_END && request->dropped_bytes > LINGER_BYTES)
      limits_hang_up(request->server, request->socket);
    return;
  }
  int rc = limits_make_room(request, count) ? xh_buf_append(&request->body, bytes, count) : XH_ENOMEM;
  if (rc == 0) {
    request->socket->body_bytes += count;
    *options->held_bytes += count;
    return;
  }
  request->verdict.status = rc == XH_ECAP ? 413 : 503;
  if (rc == XH_ECAP)
    snprintf(request->verdict.why, sizeof request->verdict.why, "the body has more than %zu bytes (--body-cap)", options->gate.body_cap_bytes);
  else
    snprintf(request->verdict.why, sizeof request->verdict.why, "too much is being worked on (--memory-cap): try again later");
  refuse_unread(request);
}

/* The whole body is there. */
static void take_request(xh_request *request)
{
  const xh_server_options *options = &request->server->options;
  request->state = WORKING;
  move(request, XH_AT_WORK, options->wait_timeout_ms ? options->wait_timeout_ms : INT64_MAX);
  request->verdict = xh_body_judge(&options->gate, &request->head, xh_buf_span(&request->body), xh_wall_ms() / 1000);
  if (request->verdict.status) {
    xh_request_refuse(request, request->verdict.status, retry_after_of(request->verdict.status), xh_str_z(request->verdict.why));
  } else {
    request->owned = true;
    options->request(options->arg, request);
  }
  release_body(request);
}

enum MHD_Result request_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                               const char *upload_data, size_t *upload_data_size, void **context)
{
  xh_request *request = *context;
  if (!request) {
    *context = request = request_new(arg, connection, url, method, version);
    return request ? take_head(request) : MHD_NO;
  }
  if (*upload_data_size > 0) {
    take_bytes(request, upload_data, *upload_data_size);
    *upload_data_size = 0;
    return MHD_YES;
  }
  if (request->state == READING || request->state == DRAINING) {
    request->socket->began = false;
    request->socket->bytes_before = xh_tcp_bytes_received(request->socket->fd);
  }
  if (request->state == READING)
    take_request(request);
  else if (request->state == DRAINING)
    respond_refusal(request, request->verdict.status, retry_after_of(request->verdict.status), xh_str_z(request->verdict.why));
  if (request->state == ANSWERED || request->state == ENDED)
    return request->response ? queue_answer(request) : MHD_NO;
  request->suspended = true;
  MHD_suspend_connection(connection);
  return MHD_YES;
}

void request_completed(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
{
  (void)connection;
  xh_server *server = arg;
  xh_request *request = *context;
  if (!request)
    return;
  xh_connection *socket = request->socket;
  *context = NULL;
  socket->served = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
  release_body(request);
  if (request->response)
    MHD_destroy_response(request->response);
  request->response = NULL;
  server->busy--;
  request->connection = NULL;
  request->socket = NULL;
  socket->request = NULL;
  if (!request->owned)
    free(request);
  if (server->quiet)
    limits_hang_up(server, socket);
  else if (socket->stage != XH_AT_END && socket->stage != XH_AT_CLOSE)
    limits_move(server, socket, XH_AT_HEAD,
                socket->hung_up ? LINGER_MS : socket->began ? server->options.head_timeout_ms : server->options.idle_timeout_ms);
}

void request_end(xh_request *request)
{
  request->state = ENDED;
  release_body(request);
  if (request->response)
    MHD_destroy_response(request->response);
  request->response = NULL;
  resume(request);
}

void request_overdue(xh_request *request)
{
  char why[224], time[64];
  xh_duration_text(request->server->options.wait_timeout_ms, time, sizeof time);
  snprintf(why, sizeof why, "the work on this request was not done within %s (--wait-timeout); it goes on, and its outcome will be in the log", time);
  say_refused(request, 504, xh_str_z(why));
  respond_refusal(request, 504, 0, xh_str_z(why));
}

const xh_head *xh_request_head(const xh_request *request)
{
  return &request->head;
}

xh_str xh_request_body(const xh_request *request)
{
  return xh_buf_span(&request->body);
}

xh_str xh_request_client(const xh_request *request)
{
  return xh_str_z(request->client);
}

typedef struct header_writer {
  struct MHD_Connection *connection;
  xh_buf *out;
  bool authorization;
} header_writer;

typedef struct header_search {
  const char *name;
  bool found;
} header_search;

static enum MHD_Result look_in_connection(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
  (void)kind;
  header_search *search = arg;
  static const char between[] = ", \t";
  if (!value || strcasecmp(key, "connection") != 0)
    return MHD_YES;
  for (size_t length; *(value += strspn(value, between)); value += length) {
    length = strcspn(value, between);
    if (strlen(search->name) == length && strncasecmp(value, search->name, length) == 0)
      search->found = true;
  }
  return MHD_YES;
}

/* Does `Connection` name it as for this connection only (RFC 9110, 7.6.1)? */
static bool is_of_connection(struct MHD_Connection *connection, const char *name)
{
  header_search search = {.name = name};
  MHD_get_connection_values(connection, MHD_HEADER_KIND, look_in_connection, &search);
  return search.found;
}

static enum MHD_Result write_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
  (void)kind;
  static const char *const hop_by_hop[] = {"host",    "connection",       "content-length", "transfer-encoding", "expect",
                                           "upgrade", "proxy-connection", "keep-alive",     "te",                "trailer"};
  header_writer *writer = arg;
  for (size_t i = 0; i < sizeof hop_by_hop / sizeof *hop_by_hop; i++)
    if (strcasecmp(key, hop_by_hop[i]) == 0)
      return MHD_YES;
  if ((!writer->authorization && strcasecmp(key, "authorization") == 0) || is_of_connection(writer->connection, key))
    return MHD_YES;
  if (value && *value) /* curl takes "Name;" for an empty header, and "Name:" for none */
    xh_buf_printf(writer->out, "%s: %s\n", key, value);
  else
    xh_buf_printf(writer->out, "%s;\n", key);
  return MHD_YES;
}

void xh_request_headers(const xh_request *request, bool authorization, xh_buf *out)
{
  header_writer writer = {.connection = request->connection, .out = out, .authorization = authorization};
  MHD_get_connection_values(request->connection, MHD_HEADER_KIND, write_header, &writer);
}

/* Returns whether anybody still waits for the answer of whoever works on the request; if not, the request may be gone after this. */
static bool is_awaited(xh_request *request)
{
  request->owned = false;
  if (request->connection)
    return request->state == WORKING;
  free(request);
  return false;
}

void xh_request_answer(xh_request *request, int status, int retry_after_s, xh_str json)
{
  if (is_awaited(request))
    respond(request, status, retry_after_s, json);
}

void xh_request_refuse(xh_request *request, int status, int retry_after_s, xh_str why)
{
  if (!is_awaited(request))
    return;
  say_refused(request, status, why);
  respond_refusal(request, status, retry_after_s, why);
}
