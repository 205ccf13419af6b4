/*
 * What the files of the HTTP side share: server.c has the daemon and its connections, request.c the way of one request, answer.c what is said, limits.c
 * what a connection may cost. Internal to src/receiver. Loop thread only.
 */
#ifndef XH_RECEIVER_SERVER_INTERNAL_H
#define XH_RECEIVER_SERVER_INTERNAL_H

#include "receiver/connections.h"
#include "receiver/server.h"

#include <arpa/inet.h>
#include <microhttpd.h>

enum {
  SPARE_CONNECTIONS = 32, /* accepted above the limit: for those that are told so, and that have their last answer */
  DRAIN_MS = 2000,        /* how long the body of a refused request is read before its answer… */
  DRAIN_BYTES = 1 << 20,  /* … and how much of it; the library can't answer in the middle of a body */
  LINGER_MS = 2000,       /* how long a client may take to read its last answer… */
  LINGER_BYTES = 16 << 20 /* … and what it may go on sending meanwhile */
};

typedef enum request_state {
  READING,
  DRAINING, /* refused; what is left of the body is dropped */
  WORKING,  /* given away, and not answered */
  ANSWERED,
  ENDED /* nothing is said any more, or it was said past the library */
} request_state;

struct xh_request {
  xh_server *server;
  struct MHD_Connection *connection; /* NULL: it is closed, and whoever works on the request has not answered yet */
  xh_connection *socket;
  request_state state;
  bool suspended;
  bool owned; /* given to the callback, which will answer it */
  xh_head head;
  xh_buf body;
  size_t dropped_bytes; /* of the body, after the refusal */
  xh_verdict verdict; /* why what is still read is dropped */
  char client[INET6_ADDRSTRLEN];
  struct MHD_Response *response;
  int status;
};

struct xh_server {
  xh_server_options options;
  struct MHD_Daemon *daemon;
  int listen_fd, port;
  int epoll_fd; /* the daemon's own one in it, and each socket: tells of bytes that came, and of clients that went */
  uv_poll_t poll;
  uv_timer_t sweep;
  int64_t sweep_ms; /* when it comes; INT64_MAX for not */
  uv_idle_t again;  /* active while the daemon has work that no descriptor tells of */
  int open_handles;
  xh_connections connections;
  size_t busy;
  bool quiet, running;
  int library_status; /* of an answer that the library gave by itself, to a connection that is not closed yet; else 0 */
  int64_t said_since_ms;
  unsigned said, unsaid; /* lines about such things in the last second, and those not written */
};

/* The daemon has work that no descriptor tells of: runs it soon, not within this call. */
void server_run_soon(xh_server *server);

/* The client's address, for people. */
void server_client(struct MHD_Connection *connection, char out[INET6_ADDRSTRLEN]);

/* libmicrohttpd's callbacks for a request: MHD_AccessHandlerCallback and MHD_RequestCompletedCallback; `arg` is the server. */
enum MHD_Result request_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                               const char *upload_data, size_t *upload_data_size, void **context);
void request_completed(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code);

/* Nothing is said to it any more, and its body is forgotten. Who works on it may go on. */
void request_end(xh_request *request);

/* It was worked on for too long: answers that. */
void request_overdue(xh_request *request);

/* {"ok":false,"error":WHY} */
void answer_refusal(xh_str why, xh_buf *json);

/* NULL without memory. `retry_after_s`: 0 for none. */
struct MHD_Response *answer_make(int status, int retry_after_s, bool last, xh_str json);

/* Writes a refusal to the socket, past the library, and that it is the last. Returns whether that went well. */
bool answer_last(const xh_connection *connection, int status, int retry_after_s, xh_str why);

/* Ends the connection; libmicrohttpd sees it and closes. */
void limits_hang_up(xh_server *server, xh_connection *connection);

/* Something was achieved: the next thing has `timeout_ms`, INT64_MAX for no limit. */
void limits_move(xh_server *server, xh_connection *connection, xh_stage stage, int64_t timeout_ms);

/* Answers a request that is not answered yet past the library, and closes a moment after it. */
void limits_last_word(xh_server *server, xh_connection *connection, int status, const char *why);

/* One connection more: closes others above the limit, or marks this one. */
void limits_newcomer(xh_server *server, xh_connection *newcomer);

/* Tells one above the limit that it is. */
void limits_tell_over(xh_server *server, xh_connection *connection);

/* `count` bytes more of the request's body: gives up larger bodies than that until they fit. Returns false when they don't. */
bool limits_make_room(xh_request *request, size_t count);

/* At a stop: those that wait for nothing have a moment. */
void limits_hurry(xh_server *server);

/* The `refused` callback, for what floods bring about: a few times a second. */
void limits_say(xh_server *server, int status, const char *why, const char *client);

/* The library answered with `status` by itself, and will close the connection. */
void limits_library_refusal(xh_server *server, int status);

/* The connection is closed: logs the library's refusal if it was this one's. */
void limits_closed(xh_server *server, const xh_connection *connection);

void limits_on_sweep(uv_timer_t *timer);

int retry_after_of(int status);

#endif
