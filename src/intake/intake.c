#include "intake/intake.h"

#include "base/err.h"
#include "intake/peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int xh_intake_new(uv_loop_t *loop, const xh_intake_options *options, const xh_sink *sink, xh_intake **ret_intake)
{
  xh_intake *intake = calloc(1, sizeof *intake);
  uid_t *uids = calloc(options->allow_uid_count + 1, sizeof *uids);
  if (!intake || !uids) {
    free(intake);
    free(uids);
    return XH_ENOMEM;
  }
  intake->loop = loop;
  intake->sink = *sink;
  intake->line_cap_bytes = options->line_cap_bytes ? options->line_cap_bytes : (size_t)XH_LINE_CAP_DEFAULT_BYTES;
  snprintf(intake->instance, sizeof intake->instance, "%s", options->instance ? options->instance : "");
  intake->allow_uids = uids;
  intake->allow_uid_count = options->allow_uid_count;
  for (size_t i = 0; i < options->allow_uid_count; i++)
    uids[i] = options->allow_uids[i];
  uv_prepare_init(loop, &intake->flusher);
  uv_timer_init(loop, &intake->grace);
  intake->flusher.data = intake->grace.data = intake;
  intake->handles_open = 2;
  *ret_intake = intake;
  return 0;
}

/* ---- standard input and output ---- */

/* Opens one as a stream of its own descriptor, so that closing it leaves 0 and 1 alone. */
static int open_stream(xh_intake *intake, int number, peer_stream *stream)
{
  uv_handle_type type = uv_guess_handle(number);
  if (type != UV_NAMED_PIPE && type != UV_TCP && type != UV_TTY)
    return XH_EINVAL;
  int fd = fcntl(number, F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    return XH_EIO;
  int rc = type == UV_TTY ? uv_tty_init(intake->loop, &stream->tty, fd, 0) : uv_pipe_init(intake->loop, &stream->pipe, 0);
  if (rc) {
    close(fd);
    return XH_EIO;
  }
  if (type != UV_TTY && uv_pipe_open(&stream->pipe, fd) != 0) {
    close(fd);
    return XH_EIO; /* the handle is closed with the peer */
  }
  return 0;
}

int xh_intake_stdio(xh_intake *intake)
{
  if (uv_guess_handle(STDIN_FILENO) == UV_FILE || uv_guess_handle(STDOUT_FILENO) == UV_FILE)
    return XH_EINVAL;
  xh_peer *peer = peer_new(intake);
  if (!peer)
    return XH_ENOMEM;
  peer->stdio = peer->two = true;
  peer->handles_open = 2;
  int rc = open_stream(intake, STDIN_FILENO, &peer->in);
  if (rc == 0)
    rc = open_stream(intake, STDOUT_FILENO, &peer->out);
  peer->in.handle.data = peer->out.handle.data = peer;
  if (rc == 0)
    peer_start(peer);
  return rc;
}

void xh_intake_pause(xh_intake *intake, bool paused)
{
  intake->paused = paused;
  for (xh_peer *peer = intake->peers; peer; peer = peer->next)
    peer_read_or_not(peer);
}

/* ---- the end ---- */

void intake_handle_closed(uv_handle_t *handle)
{
  xh_intake *intake = handle->data;
  intake->handles_open--;
  intake_check_done(intake);
}

/* Listeners and peers are gone: then the intake's own handles go, and after them all is told. */
void intake_check_done(xh_intake *intake)
{
  if (!intake->closing || intake->peers)
    return;
  if (!uv_is_closing((uv_handle_t *)&intake->flusher)) {
    uv_close((uv_handle_t *)&intake->flusher, intake_handle_closed);
    uv_close((uv_handle_t *)&intake->grace, intake_handle_closed);
  } else if (intake->handles_open == 0 && intake->done) {
    void (*done)(void *arg) = intake->done;
    intake->done = NULL;
    done(intake->done_arg);
  }
}

static void on_grace(uv_timer_t *timer)
{
  xh_intake *intake = timer->data;
  for (xh_peer *peer = intake->peers; peer; peer = peer->next)
    peer_close(peer);
}

void xh_intake_end(xh_intake *intake)
{
  intake->ending = true;
  while (intake->listeners) {
    listener *l = intake->listeners;
    intake->listeners = l->next;
    listener_close(l);
  }
  for (xh_peer *peer = intake->peers; peer; peer = peer->next)
    peer_read_or_not(peer);
}

void xh_intake_close(xh_intake *intake, void (*done)(void *arg), void *arg)
{
  if (intake->closing)
    return;
  xh_intake_end(intake);
  intake->closing = true;
  intake->done = done;
  intake->done_arg = arg;
  for (xh_peer *peer = intake->peers; peer; peer = peer->next)
    peer_touch(peer);
  uv_timer_start(&intake->grace, on_grace, PEER_CLOSE_GRACE_MS, 0);
  if (!intake->peers) {
    uv_close((uv_handle_t *)&intake->flusher, intake_handle_closed);
    uv_close((uv_handle_t *)&intake->grace, intake_handle_closed);
  }
}

void xh_intake_free(xh_intake *intake)
{
  if (!intake)
    return;
  free(intake->allow_uids);
  free(intake);
}
