#include "delivery/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct socket_poll {
  uv_poll_t poll;
  sockets *owner;
  curl_socket_t fd;
  int events; /* polled for; 0: not */
  bool kept;  /* made by sockets_open: once it is connected, it stays until sockets_close */
  bool parked; /* libcurl does not want to hear of it for now */
};

void sockets_init(sockets *s, uv_loop_t *loop)
{
  s->loop = loop;
  s->by_fd = NULL;
  s->room = s->open_count = 0;
}

void sockets_done(sockets *s)
{
  free(s->by_fd);
  s->by_fd = NULL;
  s->room = 0;
}

static socket_poll *find(const sockets *s, curl_socket_t fd)
{
  return fd >= 0 && (size_t)fd < s->room ? s->by_fd[fd] : NULL;
}

static bool make_room(sockets *s, curl_socket_t fd)
{
  if ((size_t)fd < s->room)
    return true;
  size_t room = s->room ? s->room : 64;
  while (room <= (size_t)fd)
    room *= 2;
  socket_poll **by_fd = realloc(s->by_fd, room * sizeof(*by_fd));
  if (!by_fd)
    return false;
  memset(by_fd + s->room, 0, (room - s->room) * sizeof(*by_fd));
  s->by_fd = by_fd;
  s->room = room;
  return true;
}

static void on_closed(uv_handle_t *handle)
{
  socket_poll *p = handle->data;
  sockets *s = p->owner;
  free(p);
  if (--s->open_count == 0)
    s->closed(s->arg);
}

/* Before `fd` is closed: the kernel must not be asked about its successor. */
static void drop(sockets *s, socket_poll *p)
{
  s->by_fd[p->fd] = NULL;
  uv_poll_stop(&p->poll);
  uv_close((uv_handle_t *)&p->poll, on_closed);
}

static socket_poll *add(sockets *s, curl_socket_t fd, bool kept)
{
  socket_poll *p = make_room(s, fd) ? calloc(1, sizeof *p) : NULL;
  if (!p)
    return NULL;
  if (s->by_fd[fd]) /* closed behind our back */
    drop(s, s->by_fd[fd]);
  if (uv_poll_init_socket(s->loop, &p->poll, fd) != 0) {
    free(p);
    return NULL;
  }
  p->poll.data = p;
  p->owner = s;
  p->fd = fd;
  p->kept = kept;
  s->by_fd[fd] = p;
  s->open_count++;
  return p;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
  socket_poll *p = poll->data;
  if (p->parked) { /* its peer closed it, mostly; libcurl sees that itself when it wants to use it again */
    uv_poll_stop(poll);
    p->events = 0;
    return;
  }
  int flags = 0;
  if (status < 0) {
    /* A reset: libuv polls no more. What came before it may be a complete answer, so libcurl has to read, not to hear of an error. */
    uv_poll_start(poll, p->events, on_poll);
    events = p->events;
  }
  if (events & UV_READABLE)
    flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE)
    flags |= CURL_CSELECT_OUT;
  p->owner->ready(p->owner->arg, p->fd, flags);
}

static int poll_for(socket_poll *p, int events)
{
  if (p->events == events)
    return 0;
  p->events = events;
  return uv_poll_start(&p->poll, events, on_poll) == 0 ? 0 : -1;
}

curl_socket_t sockets_open(sockets *s, const struct curl_sockaddr *address)
{
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd >= 0 && !add(s, fd, true)) {
    close(fd);
    errno = ENOMEM;
    return CURL_SOCKET_BAD;
  }
  return fd;
}

int sockets_close(void *arg, curl_socket_t fd)
{
  sockets *s = arg;
  socket_poll *p = find(s, fd);
  if (p)
    drop(s, p);
  return close(fd);
}

int sockets_watch(sockets *s, curl_socket_t fd, int what)
{
  socket_poll *p = find(s, fd);
  if (what == CURL_POLL_REMOVE || what == CURL_POLL_NONE) {
    if (!p)
      return 0;
    /* A connection that is being made, and fails, libcurl closes (or has closed) without a word: nothing may be polled for there. */
    if (!p->kept || p->events & UV_WRITABLE)
      drop(s, p);
    else
      p->parked = true;
    return 0;
  }
  if (!p && !(p = add(s, fd, false))) /* libcurl's own: how its resolver's threads tell that they are done */
    return -1;
  p->parked = false;
  return poll_for(p, (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0));
}
