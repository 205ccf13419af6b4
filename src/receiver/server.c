#include "receiver/server_internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "receiver/tcp_bytes.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  CONNECTION_POOL_BYTES = 16 * 1024, /* headers of a request at most, about */
  RUNS_AT_A_TIME = 16,
  NEWS_AT_A_TIME = 64
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

void server_run_soon(xh_server *server)
{
  uv_idle_start(&server->again, on_again);
}

void server_client(struct MHD_Connection *connection, char out[INET6_ADDRSTRLEN])
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr *address = info ? info->client_addr : NULL;
  const void *bytes = NULL;
  if (address && address->sa_family == AF_INET)
    bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
  else if (address && address->sa_family == AF_INET6)
    bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  if (!bytes || !inet_ntop(address->sa_family, bytes, out, INET6_ADDRSTRLEN))
    snprintf(out, INET6_ADDRSTRLEN, "unknown");
}

/* The library may have read them, and more, before the news of them is read here: the count says what they belong to. */
static void on_bytes(xh_server *server, xh_connection *connection)
{
  int64_t head_ms = server->options.head_timeout_ms;
  if (xh_tcp_bytes_received(connection->fd) <= connection->bytes_before)
    return;
  xh_connections_touch(&server->connections, connection);
  if (connection->stage == XH_AT_HEAD && !connection->began && xh_mono_ms() + head_ms < connection->deadline_ms)
    limits_move(server, connection, XH_AT_HEAD, head_ms);
  connection->began = true;
}

/* What the library does not tell: that bytes came of a head, and that a client went while its request is being worked on. */
static void read_news(xh_server *server)
{
  struct epoll_event news[NEWS_AT_A_TIME];
  int count;
  do {
    count = epoll_wait(server->epoll_fd, news, NEWS_AT_A_TIME, 0);
    for (int i = 0; i < count; i++) {
      xh_connection *connection = news[i].data.ptr;
      if (connection && news[i].events & EPOLLIN)
        on_bytes(server, connection);
      if (connection && news[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        xh_connections_hung_up(&server->connections, connection);
    }
  } while (count == NEWS_AT_A_TIME);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
  (void)status;
  (void)events;
  read_news(handle->data);
  pump(handle->data);
}

static int hear(const xh_server *server, int fd, uint32_t events, xh_connection *connection)
{
  struct epoll_event event = {.events = events, .data = {.ptr = connection}};
  return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
  xh_server *server = arg;
  xh_connection *one = *socket_context;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    if (!one)
      return;
    limits_closed(server, one);
    xh_connections_remove(&server->connections, one);
    epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, one->fd, NULL);
    free(one);
    *socket_context = NULL;
    return;
  }
  one = calloc(1, sizeof *one);
  if (!one)
    return; /* without a place in the list the first request is refused */
  one->mhd = connection;
  one->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  *socket_context = one;
  int on = 1;
  setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  hear(server, one->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, one); /* without memory it is served all the same */
  xh_connections_add(&server->connections, one, INT64_MAX);
  limits_move(server, one, XH_AT_HEAD, server->options.head_timeout_ms);
  limits_newcomer(server, one);
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

/* The library answers some requests by itself, and says that here only, without whose they are: limits_library_refusal finds out. */
static void on_library_log(void *arg, const char *format, va_list args)
{
  static const char refusal[] = "Error processing request (HTTP response code is %u";
  char text[512];
  if (strncmp(format, refusal, sizeof refusal - 1) == 0) {
    va_list copy;
    va_copy(copy, args);
    limits_library_refusal(arg, (int)va_arg(copy, unsigned));
    va_end(copy);
  }
  vsnprintf(text, sizeof text, format, args);
  xh_log(XH_LOG_DEBUG, "http: %s", text);
}

static struct MHD_Daemon *start_daemon(xh_server *server)
{
  const xh_server_options *options = &server->options;
  bool tls = options->certificate_pem && options->key_pem;
  union text {
    const char *in;
    void *out;
  } key = {.in = options->key_pem}, certificate = {.in = options->certificate_pem};
  union text versions = {.in = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"}; /* RFC 8996 */
  struct MHD_OptionItem tls_items[] = {{MHD_OPTION_HTTPS_MEM_KEY, 0, key.out},
                                       {MHD_OPTION_HTTPS_MEM_CERT, 0, certificate.out},
                                       {MHD_OPTION_HTTPS_PRIORITIES, 0, versions.out},
                                       {MHD_OPTION_END, 0, NULL}};
  struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? (unsigned)MHD_USE_TLS : 0);
  return MHD_start_daemon(flags, 0, NULL, NULL, request_access, server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, server, MHD_OPTION_LISTEN_SOCKET,
                          server->listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(options->connection_max + SPARE_CONNECTIONS),
                          MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                          MHD_OPTION_NOTIFY_COMPLETED, request_completed, server, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
                          tls ? tls_items : none, MHD_OPTION_END);
}

static int watch(xh_server *server)
{
  uv_loop_t *loop = server->options.loop;
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (!info || server->epoll_fd < 0 || hear(server, info->epoll_fd, EPOLLIN, NULL) != 0 ||
      uv_poll_init(loop, &server->poll, server->epoll_fd) != 0)
    return XH_EIO;
  server->sweep_ms = INT64_MAX;
  server->open_handles = 3;
  server->poll.data = server->sweep.data = server->again.data = server;
  uv_timer_init(loop, &server->sweep);
  uv_idle_init(loop, &server->again);
  return uv_poll_start(&server->poll, UV_READABLE, on_readable) == 0 ? 0 : XH_EIO;
}

int xh_server_new(const xh_server_options *options, xh_server **ret_server, char *ret_why, size_t why_size)
{
  xh_server *server = calloc(1, sizeof *server);
  if (!server) {
    snprintf(ret_why, why_size, "out of memory");
    return XH_ENOMEM;
  }
  server->options = *options;
  server->epoll_fd = -1;
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
  int rc = watch(server);
  if (rc) {
    snprintf(ret_why, why_size, "the event loop can't watch the HTTP server");
    if (server->open_handles > 0) {
      xh_server_close(server);
    } else {
      MHD_stop_daemon(server->daemon); /* closes the listening socket */
      if (server->epoll_fd >= 0)
        close(server->epoll_fd);
      free(server);
    }
    return rc;
  }
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
  limits_hurry(server);
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
  close(server->epoll_fd);
}
