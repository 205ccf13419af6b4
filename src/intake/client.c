#include "intake/client.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_CAP_BYTES = 300 * 1024 * 1024, READ_BYTES = 64 * 1024 };

struct xh_client {
  int fd;
  int64_t last_id;
  xh_buf in;
  size_t taken;   /* bytes of `in` that were given out */
  size_t scanned; /* bytes after them that hold no newline */
};

int xh_client_connect(const char *socket_path, xh_client **ret_client)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(socket_path);
  if (len == 0 || len >= sizeof address.sun_path)
    return XH_ECAP;
  memcpy(address.sun_path, socket_path, len + 1);
  xh_client *client = calloc(1, sizeof *client);
  if (!client)
    return XH_ENOMEM;
  xh_buf_init(&client->in, ANSWER_CAP_BYTES);
  client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (client->fd < 0 || connect(client->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    int rc = errno == ECONNREFUSED ? XH_ENOENT : xh_err_from_errno(errno);
    xh_client_close(client);
    return rc;
  }
  *ret_client = client;
  return 0;
}

void xh_client_close(xh_client *client)
{
  if (!client)
    return;
  if (client->fd >= 0)
    close(client->fd);
  xh_buf_done(&client->in);
  free(client);
}

/* ---- reading ---- */

static bool take_line(xh_client *client, xh_buf *line)
{
  char *from = client->in.ptr ? client->in.ptr + client->taken : NULL;
  size_t left = client->in.len - client->taken;
  char *newline = left > client->scanned ? memchr(from + client->scanned, '\n', left - client->scanned) : NULL;
  if (!newline) {
    client->scanned = left;
    return false;
  }
  xh_buf_append(line, from, (size_t)(newline - from));
  client->taken += (size_t)(newline - from) + 1;
  client->scanned = 0;
  if (client->taken == client->in.len) {
    xh_buf_clear(&client->in);
    client->taken = 0;
  }
  return true;
}

static int read_more(xh_client *client)
{
  if (client->taken > 0) {
    xh_buf_drop(&client->in, client->taken);
    client->taken = 0;
  }
  char *room = xh_buf_reserve(&client->in, READ_BYTES);
  if (!room)
    return xh_buf_error(&client->in);
  ssize_t got = recv(client->fd, room, READ_BYTES, MSG_DONTWAIT);
  if (got == 0)
    return XH_ECLOSED;
  if (got < 0)
    return errno == EAGAIN || errno == EINTR ? 0 : errno == ECONNRESET ? XH_ECLOSED : xh_err_from_errno(errno);
  client->in.len += (size_t)got;
  client->in.ptr[client->in.len] = '\0';
  return 0;
}

static int wait_for(const xh_client *client, short events, int64_t until_ms)
{
  int64_t left_ms = until_ms - xh_mono_ms();
  struct pollfd fd = {.fd = client->fd, .events = events};
  int got = poll(&fd, 1, left_ms > 0 ? (int)(left_ms < 3600000 ? left_ms : 3600000) : 0);
  if (got < 0)
    return errno == EINTR ? XH_EBUSY : xh_err_from_errno(errno);
  return got == 0 ? XH_ETIMEDOUT : 0;
}

int xh_client_read(xh_client *client, int64_t timeout_ms, xh_buf *line)
{
  int64_t until_ms = xh_mono_ms() + timeout_ms;
  xh_buf_clear(line);
  for (;;) {
    if (take_line(client, line))
      return xh_buf_error(line);
    int rc = wait_for(client, POLLIN, until_ms);
    if (rc == XH_EBUSY && xh_mono_ms() < until_ms)
      continue; /* a signal */
    if (rc)
      return rc == XH_EBUSY ? XH_ETIMEDOUT : rc;
    rc = read_more(client);
    if (rc)
      return rc;
  }
}

/* ---- writing ---- */

/* What the other side answers meanwhile is taken in, so that both sides can't wait for each other. */
static int write_all(xh_client *client, const char *bytes, size_t len)
{
  while (len > 0) {
    ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes += sent;
      len -= (size_t)sent;
      continue;
    }
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
      return errno == EPIPE || errno == ECONNRESET ? XH_ECLOSED : xh_err_from_errno(errno);
    struct pollfd fd = {.fd = client->fd, .events = POLLIN | POLLOUT};
    if (poll(&fd, 1, -1) < 0 && errno != EINTR)
      return xh_err_from_errno(errno);
    if (fd.revents & POLLIN) {
      int rc = read_more(client);
      if (rc)
        return rc;
    }
  }
  return 0;
}

int xh_client_line(xh_client *client, xh_str line)
{
  int rc = write_all(client, line.ptr, line.len);
  return rc ? rc : write_all(client, "\n", 1);
}

/* ---- calls ---- */

/* Is it the answer to `id`? Then `result` gets what it says. */
static bool read_answer(xh_str line, int64_t id, xh_buf *result, int *ret_rc)
{
  xh_str value;
  int64_t number;
  if (xh_json_validate(line, NULL) != 0 || !xh_json_find(line, XH_STR("id"), &value) || !xh_json_i64(value, &number) || number != id)
    return false;
  if (xh_json_find(line, XH_STR("result"), &value)) {
    xh_buf_str(result, value);
    *ret_rc = xh_buf_error(result);
    return true;
  }
  if (!xh_json_find(line, XH_STR("error"), &value))
    return false;
  if (xh_json_find(value, XH_STR("message"), &value) && xh_json_typeof(value) == XH_JSON_STRING)
    xh_json_decode(value, result);
  *ret_rc = XH_EPROTOCOL;
  return true;
}

int xh_client_call(xh_client *client, xh_str call, xh_str params, int64_t timeout_ms, xh_buf *result)
{
  xh_buf line;
  int64_t id = ++client->last_id, until_ms = xh_mono_ms() + timeout_ms;
  xh_buf_init(&line, ANSWER_CAP_BYTES);
  xh_buf_clear(result);
  xh_buf_printf(&line, "{\"id\":%lld,\"call\":", (long long)id);
  xh_buf_json(&line, call);
  xh_buf_z(&line, ",\"params\":");
  xh_buf_str(&line, params);
  xh_buf_char(&line, '}');
  int rc = xh_buf_error(&line) ? xh_buf_error(&line) : xh_client_line(client, xh_buf_span(&line));
  while (rc == 0) {
    int64_t left_ms = until_ms - xh_mono_ms();
    rc = xh_client_read(client, left_ms > 0 ? left_ms : 0, &line);
    if (rc == 0 && read_answer(xh_buf_span(&line), id, result, &rc))
      break;
  }
  xh_buf_done(&line);
  return rc;
}
