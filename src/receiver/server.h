/*
 * The HTTP side of `listen`: libmicrohttpd, polled by the loop. It reads whole requests within their limits, refuses what may not in, and gives the
 * rest to one callback. Loop thread only.
 */
#ifndef XH_RECEIVER_SERVER_H
#define XH_RECEIVER_SERVER_H

#include "base/buf.h"
#include "receiver/head.h"

#include <uv.h>

typedef struct xh_server xh_server;
typedef struct xh_request xh_request;

typedef struct xh_server_options {
  uv_loop_t *loop;
  const char *bind; /* a numeric address */
  int port;         /* 0: any free one */
  const char *certificate_pem, *key_pem; /* both: TLS. Borrowed */
  xh_gate gate;
  size_t connection_max;
  int64_t head_timeout_ms; /* from the connection, or the first byte of a later request, to the end of the request's headers */
  int64_t idle_timeout_ms; /* from a request to the first byte of the next one */
  int64_t body_timeout_ms; /* from there to the end of the body; and to take the answer */
  int64_t wait_timeout_ms; /* from the whole request to its answer; 0 for no limit */
  size_t memory_cap_bytes; /* of bodies that are being read or worked on */
  size_t *held_bytes;      /* counts them; shared with whoever takes bodies over */
  void *arg;
  /* A whole request that may in. Answer it once with xh_request_answer or xh_request_refuse, now or later. */
  void (*request)(void *arg, xh_request *request);
  void (*refused)(void *arg, int status, xh_str why, xh_str client);
} xh_server_options;

/* Binds and listens. Returns 0, or a code with a sentence in `ret_why`. */
int xh_server_new(const xh_server_options *options, xh_server **ret_server, char *ret_why, size_t why_size);
int xh_server_port(const xh_server *server);
size_t xh_server_busy(const xh_server *server); /* requests that are being read or wait for their answer */

/* Takes no more connections, and closes each one after the answer that it waits for. */
void xh_server_quiesce(xh_server *server);

/* With no request waiting for an answer. Freed on the loop. NULL allowed. */
void xh_server_close(xh_server *server);

/* A request itself is valid until it is answered, also when its client has gone or was told that it takes too long. These three and its headers are
 * valid in the callback only. */
const xh_head *xh_request_head(const xh_request *request);
xh_str xh_request_body(const xh_request *request);
xh_str xh_request_client(const xh_request *request);

/* Appends the headers that a forwarding passes on, as "Name: value" lines; Authorization only with `authorization`. */
void xh_request_headers(const xh_request *request, bool authorization, xh_buf *out);

/* Answers with JSON text (copied). `retry_after_s`: 0 for none. */
void xh_request_answer(xh_request *request, int status, int retry_after_s, xh_str json);

/* {"ok":false,"error":WHY}, and the `refused` callback. */
void xh_request_refuse(xh_request *request, int status, int retry_after_s, xh_str why);

#endif
