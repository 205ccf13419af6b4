#include "cli/reach.h"

#include "base/err.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_MS = 120000 };

const char *reach_folder(const reach *r)
{
  return r->data ? r->data : xh_default_data_folder();
}

bool reach_take_option(reach *r, int option, const char *argument)
{
  if (option == 'd')
    r->data = argument;
  else if (option == 's')
    r->socket = argument;
  else
    return false;
  return true;
}

static const char *socket_path(const reach *r, char path[PATH_MAX])
{
  if (r->socket)
    return r->socket;
  snprintf(path, PATH_MAX, "%s/xo-hooks.sock", reach_folder(r));
  return path;
}

int reach_open(reach *r)
{
  char path[PATH_MAX];
  int rc = xh_client_connect(socket_path(r, path), &r->client);
  if (rc == 0)
    return XH_EXIT_OK;
  if (r->socket)
    return xh_fail(r->command, XH_EXIT_UNAVAILABLE, "nothing answers on %s: %s", r->socket, xh_err_text(rc));
  rc = xh_report_open(reach_folder(r), &r->report);
  if (rc == XH_ENOENT)
    return xh_fail(r->command, XH_EXIT_UNAVAILABLE, "there is no outbox in %s; name its folder with --data", reach_folder(r));
  if (rc)
    return xh_fail(r->command, XH_EXIT_UNAVAILABLE, "the outbox in %s can't be read: %s%s", reach_folder(r), xh_err_text(rc),
                   rc == XH_EDENIED ? "; ask as the user who runs serve, or as root" : "");
  return XH_EXIT_OK;
}

void reach_close(reach *r)
{
  xh_client_close(r->client);
  xh_report_close(r->report);
  r->client = NULL;
  r->report = NULL;
}

/* What was wrong goes to `result`, as the running program's message does. */
static int ask_database(reach *r, const char *call, xh_str params, xh_buf *result)
{
  char why[200] = "";
  int rc = XH_EINVAL;
  xh_buf_clear(result);
  if (strcmp(call, "deliveries") == 0)
    rc = xh_report_deliveries(r->report, params, XH_STR(""), NULL, result, why, sizeof why);
  else if (strcmp(call, "delivery") == 0)
    rc = xh_report_delivery(r->report, params, XH_STR(""), NULL, result, why, sizeof why);
  else if (strcmp(call, "stats") == 0)
    rc = xh_report_stats(r->report, result);
  else
    snprintf(why, sizeof why, "this needs a running `xo-hooks serve`");
  if (rc) {
    xh_buf_clear(result);
    xh_buf_z(result, *why ? why : xh_err_text(rc));
  }
  return rc;
}

int reach_ask(reach *r, const char *call, xh_str params, xh_buf *result)
{
  return r->client ? xh_client_call(r->client, xh_str_z(call), params, ANSWER_TIMEOUT_MS, result) : ask_database(r, call, params, result);
}

int reach_fail(const reach *r, int rc, const xh_buf *result)
{
  if (r->client && rc != XH_EPROTOCOL)
    return xh_fail(r->command, XH_EXIT_UNAVAILABLE, "the running program does not answer: %s", xh_err_text(rc));
  bool refused = rc == XH_EPROTOCOL || rc == XH_EINVAL || rc == XH_ENOENT;
  return xh_fail(r->command, refused ? XH_EXIT_FAILED : XH_EXIT_UNAVAILABLE, "%.*s", (int)result->len, result->ptr);
}

int reach_call(reach *r, const char *call, xh_str params, xh_buf *result)
{
  int rc = reach_ask(r, call, params, result);
  return rc ? reach_fail(r, rc, result) : XH_EXIT_OK;
}

bool reach_again(reach *r)
{
  char path[PATH_MAX];
  xh_client_close(r->client);
  r->client = NULL;
  return xh_client_connect(socket_path(r, path), &r->client) == 0;
}

/* ---- without a running program ---- */

static void wake(void *arg)
{
  uint64_t one = 1;
  const int *fd = arg;
  if (write(*fd, &one, sizeof one) < 0)
    abort(); /* an eventfd takes 2^64 - 2 of these */
}

int reach_outbox(reach *r, int (*ask)(xh_outbox *outbox, void *arg), void *arg, const bool *waiting)
{
  int fd = eventfd(0, EFD_CLOEXEC), pid = 0;
  xh_outbox *outbox;
  xh_outbox_options options = {.folder = reach_folder(r), .wake = wake, .wake_arg = &fd};
  int rc = fd < 0 ? XH_EIO : xh_outbox_open(&options, &outbox, &pid);
  if (rc == XH_EBUSY)
    return xh_fail(r->command, XH_EXIT_UNAVAILABLE, "%s is in use by process %d, which does not listen on its socket", options.folder, pid);
  if (rc)
    return xh_fail(r->command, XH_EXIT_UNAVAILABLE, "the outbox in %s can't be used: %s", options.folder, xh_err_text(rc));
  rc = ask(outbox, arg);
  while (rc == 0 && *waiting) {
    uint64_t count;
    if (read(fd, &count, sizeof count) == sizeof count)
      xh_outbox_dispatch(outbox);
  }
  xh_outbox_close(outbox);
  close(fd);
  return rc ? xh_fail(r->command, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(rc)) : XH_EXIT_OK;
}
