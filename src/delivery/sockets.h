/*
 * libcurl's sockets on a libuv loop ("CURLMOPT_SOCKETFUNCTION"). A connection that waits for its next request stays registered with the
 * kernel: taking it out and putting it in again would cost two system calls a request. Loop thread only.
 */
#ifndef XH_DELIVERY_SOCKETS_H
#define XH_DELIVERY_SOCKETS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

typedef struct socket_poll socket_poll;

typedef struct sockets {
  uv_loop_t *loop;
  void (*ready)(void *arg, curl_socket_t fd, int select_flags); /* CURL_CSELECT_…: for curl_multi_socket_action */
  void (*closed)(void *arg);                                    /* the last of the polls is closed */
  void *arg;
  socket_poll **by_fd;
  size_t room;
  size_t open_count; /* polls not yet closed */
} sockets;

/* `ready`, `closed` and `arg` are set by the caller before. */
void sockets_init(sockets *s, uv_loop_t *loop);

/* When no poll is open any more (open_count is 0). */
void sockets_done(sockets *s);

/* A new socket for libcurl (CURLOPT_OPENSOCKETFUNCTION), or CURL_SOCKET_BAD. It must be closed with sockets_close. */
curl_socket_t sockets_open(sockets *s, const struct curl_sockaddr *address);

/* CURLOPT_CLOSESOCKETFUNCTION; `arg` is the sockets. */
int sockets_close(void *arg, curl_socket_t fd);

/* What libcurl wants to hear of `fd`: CURL_POLL_…. Returns 0, or -1 without memory. */
int sockets_watch(sockets *s, curl_socket_t fd, int what);

#endif
