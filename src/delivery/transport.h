/*
 * One HTTP exchange at a time: libcurl's multi interface on a libuv loop, with pooled handles and a connection cache.
 * Knows nothing of hooks or retries. Everything on the loop's thread.
 */
#ifndef XH_DELIVERY_TRANSPORT_H
#define XH_DELIVERY_TRANSPORT_H

#include "base/str.h"
#include "hooks/hook.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
  XH_ANSWER_READ_BYTES_MAX = 64 * 1024,       /* what is read of an answer's body before the connection is closed */
  XH_ANSWER_HEADER_BYTES_MAX = 64 * 1024,     /* same, of its headers */
  XH_CONNECT_TIMEOUT_MS = 5000
};

typedef struct xh_transport xh_transport;
typedef struct xh_exchange xh_exchange;

typedef struct xh_transport_options {
  /* Cloud metadata services that may be connected to all the same: addresses ("169.254.169.254") or "all". Copied. */
  const char *const *allow_metadata;
  size_t allow_metadata_count;
  size_t connections_max; /* kept in the cache; 0: 256 */
} xh_transport_options;

/* What is borrowed must stay until the callback. */
typedef struct xh_request {
  const char *url;
  xh_str body;
  struct curl_slist *headers; /* list and texts in one block from malloc; taken, also on failure */
  int64_t timeout_ms;         /* in all; connecting has XH_CONNECT_TIMEOUT_MS of it at most */
  const xh_tls *tls;          /* borrowed; NULL: the system's certificates */
  const char *proxy;          /* borrowed; NULL: as the environment says; "": none */
} xh_request;

/* How far an exchange came: names the step that was too slow. */
typedef enum xh_phase { XH_PHASE_NAME, XH_PHASE_CONNECT, XH_PHASE_TLS, XH_PHASE_FIRST_BYTE, XH_PHASE_ANSWER } xh_phase;

/* Valid during the callback only. */
typedef struct xh_response {
  CURLcode code;
  int http_status;       /* 0 without an answer */
  int proxy_status;      /* of a CONNECT; 0 without one */
  xh_phase phase;
  int64_t name_us, connect_us, tls_us, first_byte_us, total_us; /* durations of the steps; -1: not reached */
  xh_str answer;         /* its first bytes */
  bool answer_cut;       /* longer than what is read */
  int64_t retry_after_s; /* 0: not given */
  const char *redirect_url; /* NULL: no redirect */
  const char *error;     /* curl's words, "" without */
  const char *refused_address; /* the metadata address that was refused; NULL: none */
  int no_socket; /* errno: this system had no socket for us; 0: it had */
  bool used_proxy;
} xh_response;

typedef void (*xh_response_cb)(void *arg, const xh_response *response);

int xh_transport_new(uv_loop_t *loop, const xh_transport_options *options, xh_transport **ret_transport);

/* Cancels what runs (callbacks are not called), closes connections; `done` is called later from the loop, then the transport
 * is gone. May be called inside a response's callback. */
void xh_transport_close(xh_transport *transport, void (*done)(void *arg), void *arg);

/* Starts an exchange. Returns 0 and later calls `done` once, or XH_ENOMEM, XH_EINVAL and never calls it. */
int xh_transport_send(xh_transport *transport, const xh_request *request, xh_response_cb done, void *arg,
                      xh_exchange **ret_exchange);

/* Ends an exchange early; its callback is not called. */
void xh_transport_cancel(xh_exchange *exchange);

/* Is the address (IPv4, IPv6 or IPv4 mapped in IPv6) a cloud metadata service? Returns its canonical text (static) or NULL. Pure. */
const char *xh_metadata_address(const struct sockaddr *address);

#endif
