#include "receiver/server.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "receiver/connections.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  CONNECTION_POOL_BYTES = 16 * 1024, /* headers of a request at most, about */
  SPARE_CONNECTIONS = 32,            /* accepted above the limit while others are being closed for them */
  SWEEP_MS = 250,
  RUNS_AT_A_TIME = 16,
  BODY_FIRST_BYTES = 1024
};

typedef enum request_state { READING, WORKING, ANSWERED } request_state;

struct xh_request {
  xh_server *server;
  struct MHD_Connection *connection;
  xh_connection *socket;
  request_state state;
  bool suspended;
  xh_head head;
  xh_buf body;
  size_t held; /* of it in *held_bytes */
  xh_verdict verdict; /* why what is still read is dropped */
  char client[INET6_ADDRSTRLEN];
  struct MHD_Response *response;
  int status;
};

struct xh_server {
  xh_server_options options;
  struct MHD_Daemon *daemon;
  int listen_fd, port;
  uv_poll_t poll;
  uv_timer_t sweep;
  uv_idle_t again; /* active while the daemon has work that no descriptor tells of */
  int open_handles;
  xh_connections connections;
  size_t busy;
  bool quiet, running;
};

static void pump(xh_server *server);

static void on_again(uv_idle_t *handle)
{
  pump(handle->data);
}

static void pump(xh_server *server)
{
  MHD_UNSIGNED_LONG_LONG wait_ms = 1;
  for (int i = 0; i < RUNS_AT_A_TIME; i++) {
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES || wait_ms > 0) {
      uv_idle_stop(&server->again);
      return;
    }
  }
  uv_idle_start(&server->again, on_again);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
  (void)status;
  (void)events;
  pump(handle->data);
}

static void hang_up(xh_connection *connection)
{
  if (connection)
    shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees the end and closes */
}

static void on_sweep(uv_timer_t *timer)
{
  xh_server *server = timer->data;
  int64_t now_ms = xh_mono_ms();
  for (xh_connection *late; (late = xh_connections_late(&server->connections, now_ms)) != NULL;)
    hang_up(late);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
  xh_server *server = arg;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    if (*socket_context)
      xh_connections_remove(&server->connections, *socket_context);
    free(*socket_context);
    *socket_context = NULL;
    return;
  }
  xh_connection *one = calloc(1, sizeof *one);
  if (!one)
    return; /* without a place in the list the first request is refused */
  one->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  *socket_context = one;
  int on = 1;
  setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  xh_connections_add(&server->connections, one, xh_mono_ms() + server->options.head_timeout_ms);
  if (server->connections.count > server->options.connection_max)
    hang_up(xh_connections_stalest(&server->connections));
}

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
      {"webhook-signature", &head->signature},
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

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
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
    if (!request->verdict.status)
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

static void on_completed(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
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
    hang_up(request->socket);
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

char *xh_request_take_body(xh_request *request, size_t *ret_len)
{
  request->held = 0;
  return xh_buf_steal(&request->body, ret_len);
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
  uv_idle_start(&request->server->again, on_again);
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

static int listen_on(const xh_server_options *options, int *ret_fd, int *ret_port)
{
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)options->port)}};
  socklen_t size = sizeof address.v6;
  int on = 1;
  if (inet_pton(AF_INET6, options->bind, &address.v6.sin6_addr) != 1) {
    size = sizeof address.v4;
    address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
    if (inet_pton(AF_INET, options->bind, &address.v4.sin_addr) != 1)
      return EINVAL;
  }
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return errno;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, &address.any, size) != 0 || listen(fd, 1024) != 0 || getsockname(fd, &address.any, &size) != 0) {
    int error = errno;
    close(fd);
    return error;
  }
  *ret_port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
  *ret_fd = fd;
  return 0;
}

static void on_library_log(void *arg, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void on_library_log(void *arg, const char *format, va_list args)
{
  (void)arg;
  char text[512];
  vsnprintf(text, sizeof text, format, args);
  xh_log(XH_LOG_DEBUG, "http: %s", text);
}

static struct MHD_Daemon *start_daemon(xh_server *server)
{
  const xh_server_options *options = &server->options;
  bool tls = options->certificate_pem && options->key_pem;
  union {
    const char *in;
    void *out;
  } key = {.in = options->key_pem}, certificate = {.in = options->certificate_pem};
  struct MHD_OptionItem tls_items[] = {{MHD_OPTION_HTTPS_MEM_KEY, 0, key.out}, {MHD_OPTION_HTTPS_MEM_CERT, 0, certificate.out}, {MHD_OPTION_END, 0, NULL}};
  struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? (unsigned)MHD_USE_TLS : 0);
  return MHD_start_daemon(flags, 0, NULL, NULL, on_access, server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET,
                          server->listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(options->connection_max + SPARE_CONNECTIONS),
                          MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                          MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
                          tls ? tls_items : none, MHD_OPTION_END);
}

static void watch(xh_server *server)
{
  uv_loop_t *loop = server->options.loop;
  server->open_handles = 3;
  server->poll.data = server->sweep.data = server->again.data = server;
  uv_poll_init(loop, &server->poll, MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
  uv_poll_start(&server->poll, UV_READABLE, on_readable);
  uv_timer_init(loop, &server->sweep);
  uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
  uv_idle_init(loop, &server->again);
}

int xh_server_new(const xh_server_options *options, xh_server **ret_server, char *ret_why, size_t why_size)
{
  xh_server *server = calloc(1, sizeof *server);
  if (!server) {
    snprintf(ret_why, why_size, "out of memory");
    return XH_ENOMEM;
  }
  server->options = *options;
  int error = listen_on(options, &server->listen_fd, &server->port);
  if (error) {
    snprintf(ret_why, why_size, "can't listen on %s port %d: %s%s", options->bind, options->port, strerror(error),
             error == EADDRINUSE  ? "; another program has the port, choose one with --port"
             : error == EINVAL ? "; --bind needs a numeric address such as 127.0.0.1 or ::"
                                : "");
    free(server);
    return xh_err_from_errno(error);
  }
  server->daemon = start_daemon(server);
  if (!server->daemon) {
    snprintf(ret_why, why_size, "the HTTP server did not start%s",
             options->certificate_pem ? ": is --cert a PEM certificate, and --key its PEM key without a passphrase?" : "");
    close(server->listen_fd);
    free(server);
    return XH_EINVAL;
  }
  watch(server);
  *ret_server = server;
  return 0;
}

int xh_server_port(const xh_server *server)
{
  return server->port;
}

size_t xh_server_busy(const xh_server *server)
{
  return server->busy;
}

void xh_server_quiesce(xh_server *server)
{
  if (server->quiet)
    return;
  server->quiet = true;
  int fd = MHD_quiesce_daemon(server->daemon);
  if (fd >= 0)
    close(fd);
  for (xh_connection *at = server->connections.first; at; at = at->next)
    if (!at->working && at->deadline_ms > 0) {
      int64_t soon_ms = xh_mono_ms() + SWEEP_MS; /* one that has begun to send may still come through */
      at->deadline_ms = at->deadline_ms < soon_ms ? at->deadline_ms : soon_ms;
    }
  pump(server);
}

static void free_server(uv_handle_t *handle)
{
  xh_server *server = handle->data;
  if (--server->open_handles == 0)
    free(server);
}

void xh_server_close(xh_server *server)
{
  if (!server)
    return;
  xh_server_quiesce(server);
  uv_close((uv_handle_t *)&server->poll, free_server);
  uv_close((uv_handle_t *)&server->sweep, free_server);
  uv_close((uv_handle_t *)&server->again, free_server);
  MHD_stop_daemon(server->daemon);
}
