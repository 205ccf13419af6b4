/* Unix sockets: who listens, and who may connect. */
#include "base/err.h"
#include "base/log.h"
#include "intake/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128, AGAIN_MS = 1000 };

/* ---- who may connect ---- */

static bool may_connect(const xh_intake *intake, const uv_pipe_t *pipe)
{
  struct ucred who;
  socklen_t size = sizeof who;
  uv_os_fd_t fd;
  if (uv_fileno((const uv_handle_t *)pipe, &fd) != 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
    return false;
  if (who.uid == geteuid() || who.uid == 0)
    return true;
  for (size_t i = 0; i < intake->allow_uid_count; i++)
    if (intake->allow_uids[i] == who.uid)
      return true;
  xh_log(XH_LOG_WARN, "a connection of user %u (process %d) was refused; --allow-uid allows it", (unsigned)who.uid, (int)who.pid);
  return false;
}

static void take_connection(listener *l);

static void on_again(uv_timer_t *timer)
{
  take_connection(timer->data);
}

/* libuv hears of no other connection until this one is taken: without memory for it, it is tried again. */
static void take_connection(listener *l)
{
  xh_intake *intake = l->intake;
  uv_stream_t *server = (uv_stream_t *)&l->pipe;
  xh_peer *peer = peer_new(intake);
  if (!peer) {
    xh_log(XH_LOG_ERROR, "a connection waits: %s; tried again in %d s", xh_err_text(XH_ENOMEM), AGAIN_MS / 1000);
    uv_timer_start(&l->again, on_again, AGAIN_MS, 0);
    return;
  }
  uv_pipe_init(intake->loop, &peer->in.pipe, 0);
  peer->in.handle.data = peer;
  peer->handles_open = 1;
  if (uv_accept(server, &peer->in.stream) != 0 || !may_connect(intake, &peer->in.pipe)) {
    peer->ended = true; /* never was one */
    peer_close(peer);
  } else {
    peer_start(peer);
  }
}

static void on_connection(uv_stream_t *server, int status)
{
  listener *l = server->data;
  if (status == 0 && !l->intake->ending)
    take_connection(l);
}

/* ---- the socket's file ---- */

/* Does somebody answer there? A file that nobody listens on is left over from a program that died. */
static int clear_path(const struct sockaddr_un *address)
{
  struct stat st;
  if (lstat(address->sun_path, &st) != 0)
    return errno == ENOENT ? 0 : xh_err_from_errno(errno);
  if (!S_ISSOCK(st.st_mode))
    return XH_EDENIED; /* not ours to remove */
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return xh_err_from_errno(errno);
  bool alive = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
  close(fd);
  if (alive)
    return XH_EBUSY;
  return unlink(address->sun_path) == 0 ? 0 : xh_err_from_errno(errno);
}

static int bind_socket(listener *l)
{
  struct stat st;
  mode_t old = umask(0177);
  int rc = uv_pipe_bind(&l->pipe, l->path);
  umask(old);
  if (rc == 0)
    rc = uv_listen((uv_stream_t *)&l->pipe, BACKLOG, on_connection);
  if (rc)
    return xh_err_from_errno(-rc);
  if (lstat(l->path, &st) == 0) {
    l->device = st.st_dev;
    l->inode = st.st_ino;
  }
  return 0;
}

static void on_listener_closed(uv_handle_t *handle)
{
  listener *l = handle->data;
  xh_intake *intake = l->intake;
  if (--l->handles_open > 0)
    return;
  free(l->path);
  free(l);
  intake->handles_open--;
  intake_check_done(intake);
}

void listener_close(listener *l)
{
  struct stat st;
  if (l->inode && lstat(l->path, &st) == 0 && st.st_ino == l->inode && st.st_dev == l->device)
    unlink(l->path);
  uv_close((uv_handle_t *)&l->pipe, on_listener_closed);
  uv_close((uv_handle_t *)&l->again, on_listener_closed);
}

int xh_intake_listen(xh_intake *intake, const char *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(path);
  if (len == 0 || len >= sizeof address.sun_path)
    return XH_ECAP;
  memcpy(address.sun_path, path, len + 1);
  int rc = clear_path(&address);
  if (rc)
    return rc;
  listener *l = calloc(1, sizeof *l);
  if (!l || !(l->path = strdup(path))) {
    free(l);
    return XH_ENOMEM;
  }
  l->intake = intake;
  uv_pipe_init(intake->loop, &l->pipe, 0);
  uv_timer_init(intake->loop, &l->again);
  l->pipe.data = l->again.data = l;
  l->handles_open = 2;
  intake->handles_open++;
  rc = bind_socket(l);
  if (rc) {
    listener_close(l);
    return rc;
  }
  l->next = intake->listeners;
  intake->listeners = l;
  return 0;
}
