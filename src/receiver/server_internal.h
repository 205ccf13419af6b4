/*
 * What the two halves of the HTTP side share: server.c has the daemon and its connections, request.c the way of one request. Internal to
 * src/receiver. Loop thread only.
 */
#ifndef XH_RECEIVER_SERVER_INTERNAL_H
#define XH_RECEIVER_SERVER_INTERNAL_H

#include "receiver/connections.h"
#include "receiver/server.h"

#include <arpa/inet.h>
#include <microhttpd.h>

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

/* Ends the connection; libmicrohttpd sees it and closes. NULL allowed. */
void server_hang_up(xh_connection *connection);

/* The daemon has work that no descriptor tells of: runs it soon, not within this call. */
void server_run_soon(xh_server *server);

/* libmicrohttpd's callbacks for a request: MHD_AccessHandlerCallback and MHD_RequestCompletedCallback; `arg` is the server. */
enum MHD_Result request_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                               const char *upload_data, size_t *upload_data_size, void **context);
void request_completed(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code);

#endif
