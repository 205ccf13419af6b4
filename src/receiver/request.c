#include "receiver/server_internal.h"

#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
  (void)kind;
  xh_head *head = arg;
  const struct {
    const char *name;
    xh_str *to;
  } known[] = {
      {"content-type", &head->content_type},   {"content-length", &head->content_length}, {"content-encoding", &head->content_encoding},
      {"authorization", &head->authorization}, {"webhook-id", &head->id},                 {"webhook-timestamp", &head->timestamp},
      {"webhook-signature", &head->signature}, {"expect", &head->expect},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcasecmp(key, known[i].name) == 0)
      *known[i].to = xh_str_z(value ? value : "");
  return MHD_YES;
}

static void read_client(xh_request *request)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr *address = info ? info->client_addr : NULL;
  const void *bytes = NULL;
  if (address && address->sa_family == AF_INET)
    bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
  else if (address && address->sa_family == AF_INET6)
    bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  if (!bytes || !inet_ntop(address->sa_family, bytes, request->client, sizeof request->client))
    snprintf(request->client, sizeof request->client, "unknown");
}

static void touch(xh_request *request, int64_t timeout_ms)
{
  xh_server *server = request->server;
  xh_connections_touch(&server->connections, request->socket, timeout_ms == INT64_MAX ? INT64_MAX : xh_mono_ms() + timeout_ms);
}

static void release_body(xh_request *request)
{
  *request->server->options.held_bytes -= request->held;
  request->held = 0;
  xh_buf_done(&request->body);
}

static enum MHD_Result queue_answer(xh_request *request)
{
  enum MHD_Result queued = MHD_queue_response(request->connection, (unsigned)request->status, request->response);
  MHD_destroy_response(request->response);
  request->response = NULL;
  return queued;
}

static xh_request *request_new(xh_server *server, struct MHD_Connection *connection, const char *path, const char *method)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  xh_request *request = info && info->socket_context ? calloc(1, sizeof *request) : NULL;
  if (!request)
    return NULL;
  request->server = server;
  request->connection = connection;
  request->socket = info->socket_context;
  request->head.method = xh_str_z(method);
  request->head.path = xh_str_z(path);
  xh_buf_init(&request->body, server->options.gate.body_cap_bytes);
  MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, &request->head);
  read_client(request);
  touch(request, server->options.body_timeout_ms);
  server->busy++;
  return request;
}

static void take_bytes(xh_request *request, const char *bytes, size_t count)
{
  const xh_server_options *options = &request->server->options;
  if (request->verdict.status)
    return;
  int rc = *options->held_bytes + count > options->memory_cap_bytes ? XH_ENOMEM : xh_buf_append(&request->body, bytes, count);
  if (rc == 0) {
    request->held += count;
    *options->held_bytes += count;
    return;
  }
  release_body(request);
  request->verdict.status = rc == XH_ECAP ? 413 : 503;
  if (rc == XH_ECAP)
    snprintf(request->verdict.why, sizeof request->verdict.why, "the body has more than %zu bytes (--body-cap)", options->gate.body_cap_bytes);
  else
    snprintf(request->verdict.why, sizeof request->verdict.why, "too much is being worked on (--memory-cap): try again later");
}

static int retry_after_of(int status)
{
  return status == 503 ? 10 : 0;
}

/* The whole body is there. */
static void take_request(xh_request *request)
{
  const xh_server_options *options = &request->server->options;
  request->state = WORKING;
  touch(request, INT64_MAX);
  if (!request->verdict.status)
    request->verdict = xh_body_judge(&options->gate, &request->head, xh_buf_span(&request->body), xh_wall_ms() / 1000);
  if (request->verdict.status)
    xh_request_refuse(request, request->verdict.status, retry_after_of(request->verdict.status), xh_str_z(request->verdict.why));
  else
    options->request(options->arg, request);
}

enum MHD_Result request_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                               const char *upload_data, size_t *upload_data_size, void **context)
{
  (void)version;
  xh_server *server = arg;
  xh_request *request = *context;
  if (!request) {
    *context = request = request_new(server, connection, url, method);
    if (!request)
      return MHD_NO;
    request->verdict = xh_head_judge(&server->options.gate, &request->head);
    /* The body of a refused request is read and dropped, so that a client that sends all before it reads gets to the answer;
     * one that asks first gets it at once. */
    if (!request->verdict.status || !request->head.expect.ptr)
      return MHD_YES;
    request->state = WORKING;
    xh_request_refuse(request, request->verdict.status, 0, xh_str_z(request->verdict.why));
    return queue_answer(request);
  }
  if (*upload_data_size > 0) {
    take_bytes(request, upload_data, *upload_data_size);
    *upload_data_size = 0;
    return MHD_YES;
  }
  if (request->state == READING)
    take_request(request);
  if (request->state == ANSWERED)
    return request->response ? queue_answer(request) : MHD_NO;
  request->suspended = true;
  MHD_suspend_connection(connection);
  return MHD_YES;
}

void request_completed(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
{
  (void)connection;
  (void)code;
  xh_server *server = arg;
  xh_request *request = *context;
  if (!request)
    return;
  *context = NULL;
  touch(request, server->options.idle_timeout_ms);
  if (server->quiet)
    server_hang_up(request->socket);
  release_body(request);
  if (request->response)
    MHD_destroy_response(request->response);
  server->busy--;
  free(request);
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
  xh_buf *out;
  bool authorization;
} header_writer;

static enum MHD_Result write_header(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
  (void)kind;
  static const char *const hop_by_hop[] = {"host",    "connection",       "content-length", "transfer-encoding", "expect",
                                           "upgrade", "proxy-connection", "keep-alive",     "te",                "trailer"};
  header_writer *writer = arg;
  for (size_t i = 0; i < sizeof hop_by_hop / sizeof *hop_by_hop; i++)
    if (strcasecmp(key, hop_by_hop[i]) == 0)
      return MHD_YES;
  if (!writer->authorization && strcasecmp(key, "authorization") == 0)
    return MHD_YES;
  if (value && *value) /* curl takes "Name;" for an empty header, and "Name:" for none */
    xh_buf_printf(writer->out, "%s: %s\n", key, value);
  else
    xh_buf_printf(writer->out, "%s;\n", key);
  return MHD_YES;
}

void xh_request_headers(const xh_request *request, bool authorization, xh_buf *out)
{
  header_writer writer = {.out = out, .authorization = authorization};
  MHD_get_connection_values(request->connection, MHD_HEADER_KIND, write_header, &writer);
}

void xh_request_answer(xh_request *request, int status, int retry_after_s, xh_str json)
{
  union {
    const char *in;
    void *out;
  } bytes = {.in = json.ptr}; /* the library copies, though it takes a pointer to what it could change */
  char seconds[16];
  request->response = MHD_create_response_from_buffer(json.len, bytes.out, MHD_RESPMEM_MUST_COPY);
  request->status = status;
  request->state = ANSWERED;
  if (request->response) {
    MHD_add_response_header(request->response, "Content-Type", "application/json");
    snprintf(seconds, sizeof seconds, "%d", retry_after_s);
    if (retry_after_s > 0)
      MHD_add_response_header(request->response, "Retry-After", seconds);
    if (status == 405)
      MHD_add_response_header(request->response, "Allow", "POST");
    if (status == 401)
      MHD_add_response_header(request->response, "WWW-Authenticate", "Bearer");
    if (request->server->quiet)
      MHD_add_response_header(request->response, "Connection", "close");
  }
  touch(request, request->server->options.body_timeout_ms);
  if (!request->suspended)
    return;
  request->suspended = false;
  MHD_resume_connection(request->connection);
  server_run_soon(request->server);
}

void xh_request_refuse(xh_request *request, int status, int retry_after_s, xh_str why)
{
  const xh_server_options *options = &request->server->options;
  xh_buf json;
  xh_buf_init(&json, 4096);
  xh_buf_z(&json, "{\"ok\":false,\"error\":");
  xh_buf_json(&json, why);
  xh_buf_z(&json, "}\n");
  options->refused(options->arg, status, why, xh_str_z(request->client));
  xh_request_answer(request, status, retry_after_s, xh_buf_span(&json));
  xh_buf_done(&json);
}
