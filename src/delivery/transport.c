#include "delivery/transport.h"

#include "base/err.h"
#include "delivery/sockets.h"
#include "delivery/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { ANSWER_KEPT_BYTES = 4096, IDLE_HANDLES_MAX = 64, CURL_BUFFER_BYTES = 16384 };

struct xh_exchange {
  CURL *easy;
  xh_transport *transport;
  xh_exchange *prev, *next; /* in `running` or (next only) in `idle` */
  struct curl_slist *headers;
  xh_response_cb done;
  void *arg;
  bool special; /* has settings or a past of its own: reset before it is used again */
  bool proxied, environment_proxied; /* by the request's own proxy; perhaps by one that the environment names */
  bool cut;
  size_t read_bytes, header_bytes;
  const char *refused_address;
  int no_socket; /* errno of a socket that this system refused us; 0: none */
  char error[CURL_ERROR_SIZE];
  char answer[ANSWER_KEPT_BYTES];
};

struct xh_transport {
  uv_loop_t *loop;
  CURLM *multi; /* NULL until the first request */
  long connections_max;
  uv_timer_t timer;
  xh_exchange *running;
  xh_exchange *idle;
  size_t idle_count;
  sockets sockets;
  bool timer_closed;
  bool closing;
  bool collecting;
  char **allow_metadata;
  size_t allow_metadata_count;
  void (*closed)(void *arg);
  void *closed_arg;
};

/* ---- libcurl's callbacks ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
  xh_exchange *x = arg;
  size_t len = size * count;
  if (x->read_bytes < sizeof x->answer) {
    size_t room = sizeof x->answer - x->read_bytes;
    memcpy(x->answer + x->read_bytes, bytes, len < room ? len : room);
  }
  x->read_bytes += len;
  if (x->read_bytes <= XH_ANSWER_READ_BYTES_MAX)
    return len;
  x->cut = true;
  return 0; /* the transfer ends with CURLE_WRITE_ERROR; the status counts all the same */
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
  xh_exchange *x = arg;
  (void)bytes;
  x->header_bytes += size * count;
  return x->header_bytes <= XH_ANSWER_HEADER_BYTES_MAX ? size * count : 0;
}

static bool metadata_allowed(const xh_transport *t, const char *address)
{
  for (size_t i = 0; i < t->allow_metadata_count; i++)
    if (strcmp(t->allow_metadata[i], address) == 0 || strcmp(t->allow_metadata[i], "all") == 0)
      return true;
  return false;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
  xh_exchange *x = arg;
  (void)purpose;
  const char *metadata = xh_metadata_address(&address->addr);
  if (metadata && !metadata_allowed(x->transport, metadata)) {
    x->refused_address = metadata;
    return CURL_SOCKET_BAD;
  }
  curl_socket_t fd = sockets_open(&x->transport->sockets, address);
  if (fd == CURL_SOCKET_BAD && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
    x->no_socket = errno;
  return fd;
}

static void collect(xh_transport *t);
static void maybe_closed(void *transport);

static void on_ready(void *arg, curl_socket_t fd, int select_flags)
{
  xh_transport *t = arg;
  int running;
  curl_multi_socket_action(t->multi, fd, select_flags, &running);
  collect(t);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
  xh_transport *t = arg;
  (void)easy, (void)socket_arg;
  return sockets_watch(&t->sockets, fd, what);
}

static void on_timeout(uv_timer_t *timer)
{
  xh_transport *t = timer->data;
  int running;
  curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  collect(t);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
  (void)multi;
  xh_transport *t = arg;
  if (timeout_ms < 0)
    return uv_timer_stop(&t->timer);
  return uv_timer_start(&t->timer, on_timeout, (uint64_t)timeout_ms, 0);
}

/* ---- pooled handles ---- */

static void configure_easy(xh_exchange *x)
{
  CURL *easy = x->easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* or giving up a name would wait for the thread that asks for it, and the loop with it */
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "xo-hooks/" XH_VERSION);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, sockets_close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &x->transport->sockets);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->error);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)CURL_BUFFER_BYTES);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)CURL_BUFFER_BYTES);
}

static xh_exchange *take_exchange(xh_transport *t)
{
  xh_exchange *x = t->idle;
  if (x) {
    t->idle = x->next;
    t->idle_count--;
  } else {
    x = calloc(1, sizeof *x);
    if (!x)
      return NULL;
    x->easy = curl_easy_init();
    if (!x->easy) {
      free(x);
      return NULL;
    }
    x->transport = t;
    configure_easy(x);
  }
  x->special = x->cut = false;
  x->read_bytes = x->header_bytes = 0;
  x->refused_address = NULL;
  x->no_socket = 0;
  x->error[0] = '\0';
  x->prev = NULL;
  x->next = t->running;
  if (t->running)
    t->running->prev = x;
  t->running = x;
  return x;
}

static void free_exchange(xh_exchange *x)
{
  curl_easy_cleanup(x->easy);
  free(x->headers);
  free(x);
}

/* Off the running list and back to the pool. */
static void give_back(xh_exchange *x)
{
  xh_transport *t = x->transport;
  if (x->prev)
    x->prev->next = x->next;
  else
    t->running = x->next;
  if (x->next)
    x->next->prev = x->prev;
  free(x->headers);
  x->headers = NULL;
  x->done = NULL;
  if (t->idle_count >= IDLE_HANDLES_MAX) {
    free_exchange(x);
    return;
  }
  if (x->special) {
    curl_easy_reset(x->easy);
    configure_easy(x);
  }
  x->next = t->idle;
  t->idle = x;
  t->idle_count++;
}

/* ---- the end of an exchange ---- */

/* curl counts from the start; we want each step's own time, -1 when it was not reached. */
static void read_times(CURL *easy, xh_response *r)
{
  curl_off_t name = 0, connect = 0, tls = 0, before = 0, first = 0, total = 0;
  curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &name);
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connect);
  curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &tls);
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &before);
  curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &first);
  curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total);
  bool answered = r->http_status > 0;
  r->name_us = name > 0 ? name : -1;
  r->connect_us = connect > 0 ? (connect > name ? connect - name : 0) : -1;
  r->tls_us = tls > 0 ? (tls > connect ? tls - connect : 0) : -1;
  r->first_byte_us = answered ? (first > before ? first - before : 0) : -1;
  r->total_us = total;
  if (answered)
    r->phase = XH_PHASE_ANSWER;
  else if (before > 0)
    r->phase = XH_PHASE_FIRST_BYTE;
  else if (connect > 0)
    r->phase = XH_PHASE_TLS;
  else if (name > 0)
    r->phase = XH_PHASE_CONNECT;
  else
    r->phase = XH_PHASE_NAME;
}

static bool is_set(const char *name)
{
  const char *value = getenv(name);
  return value && *value;
}

/* Before 8.7 libcurl doesn't tell. Then the environment's proxy counts as used when it names no exceptions. */
static bool used_proxy(const xh_exchange *x, long proxy_status)
{
  if (x->proxied || proxy_status > 0)
    return true;
#if LIBCURL_VERSION_NUM >= 0x080700
  long used = 0;
  curl_easy_getinfo(x->easy, CURLINFO_USED_PROXY, &used);
  return used != 0;
#else
  return x->environment_proxied && !is_set("no_proxy") && !is_set("NO_PROXY");
#endif
}

static void finish(xh_exchange *x, CURLcode code)
{
  long status = 0, proxy_status = 0, connects = 0;
  curl_off_t retry_after = 0;
  char *redirect = NULL;
  curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
  curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
  curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &retry_after);
  curl_easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &redirect);
  size_t kept = x->read_bytes < sizeof x->answer ? x->read_bytes : sizeof x->answer;
  xh_response response = {.code = x->cut ? CURLE_OK : code,
                          .http_status = (int)status,
                          .proxy_status = (int)proxy_status,
                          .answer = {x->answer, kept},
                          .answer_cut = x->cut,
                          .retry_after_s = retry_after,
                          .redirect_url = redirect,
                          .error = x->error,
                          .refused_address = x->refused_address,
                          .no_socket = x->no_socket,
                          .used_proxy = used_proxy(x, proxy_status)};
  read_times(x->easy, &response);
  curl_multi_remove_handle(x->transport->multi, x->easy);
  x->special = x->special || connects > 0; /* libcurl counts over all of a handle's requests how often a kept connection was dead */
  x->done(x->arg, &response);
  give_back(x);
}

static void close_all(xh_transport *t);

/* Ends what curl says is done. A callback may start new exchanges and close the transport, never re-enter this. */
static void collect(xh_transport *t)
{
  if (t->collecting || t->closing)
    return;
  t->collecting = true;
  CURLMsg *message;
  int left;
  while (!t->closing && (message = curl_multi_info_read(t->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE)
      continue;
    xh_exchange *x = NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
    finish(x, message->data.result);
  }
  t->collecting = false;
  if (t->closing)
    close_all(t);
}

/* ---- the interface ---- */

static void free_transport(xh_transport *t)
{
  for (size_t i = 0; i < t->allow_metadata_count; i++)
    free(t->allow_metadata[i]);
  free(t->allow_metadata);
  sockets_done(&t->sockets);
  free(t);
}

int xh_transport_new(uv_loop_t *loop, const xh_transport_options *options, xh_transport **ret_transport)
{
  xh_transport *t = calloc(1, sizeof *t);
  if (!t)
    return XH_ENOMEM;
  t->loop = loop;
  t->sockets = (sockets){.ready = on_ready, .closed = maybe_closed, .arg = t};
  sockets_init(&t->sockets, loop);
  t->allow_metadata = calloc(options->allow_metadata_count + 1, sizeof *t->allow_metadata);
  for (size_t i = 0; t->allow_metadata && i < options->allow_metadata_count; i++)
    if ((t->allow_metadata[i] = strdup(options->allow_metadata[i])) != NULL)
      t->allow_metadata_count = i + 1;
  if (t->allow_metadata_count != options->allow_metadata_count) {
    free_transport(t);
    return XH_ENOMEM;
  }
  t->connections_max = options->connections_max ? (long)options->connections_max : 256;
  uv_timer_init(loop, &t->timer);
  t->timer.data = t;
  *ret_transport = t;
  return 0;
}

/* libcurl and with it OpenSSL are set up with the first request: 3 MiB that a program without work does not take. */
static bool open_multi(xh_transport *t)
{
  if (t->multi)
    return true;
  t->multi = curl_multi_init();
  if (!t->multi)
    return false;
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, t->connections_max);
  curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
  return true;
}

/* As libcurl looks: http_proxy in small letters only ("CURLOPT_PROXY"). */
static bool environment_has_proxy(const char *url)
{
  static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
  static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
  bool is_https = strncasecmp(url, "https:", 6) == 0;
  const char *const *names = is_https ? https : http;
  for (size_t i = 0; i < (is_https ? sizeof https / sizeof *https : sizeof http / sizeof *http); i++)
    if (is_set(names[i]))
      return true;
  return false;
}

static CURLcode apply(xh_exchange *x, const xh_request *request)
{
  CURL *easy = x->easy;
  int64_t connect_ms = request->timeout_ms < XH_CONNECT_TIMEOUT_MS ? request->timeout_ms : XH_CONNECT_TIMEOUT_MS;
  CURLcode rc = curl_easy_setopt(easy, CURLOPT_URL, request->url);
  /* Over TLS the handshake tells whether a connection can be shared. Without it only the first answer would, and waiting for that lets
   * one slow answer hold up all others. */
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, strncasecmp(request->url, "https:", 6) == 0 ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.ptr);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
  x->proxied = request->proxy && *request->proxy;
  x->environment_proxied = !request->proxy && environment_has_proxy(request->url);
  if (rc == CURLE_OK && request->proxy) {
    x->special = true;
    rc = curl_easy_setopt(easy, CURLOPT_PROXY, request->proxy);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* the hook's own word stands above the environment's exceptions */
  }
  const xh_tls *tls = request->tls;
  if (rc == CURLE_OK && tls && (tls->ca_file || tls->certificate_file || tls->pinned_certificate)) {
    x->special = true;
    rc = xh_tls_apply(easy, tls);
  }
  return rc;
}

int xh_transport_send(xh_transport *transport, const xh_request *request, xh_response_cb done, void *arg,
                      xh_exchange **ret_exchange)
{
  xh_exchange *x = !transport->closing && open_multi(transport) ? take_exchange(transport) : NULL;
  if (!x) {
    free(request->headers);
    return XH_ENOMEM;
  }
  x->headers = request->headers;
  x->done = done;
  x->arg = arg;
  CURLcode rc = apply(x, request);
  if (rc != CURLE_OK || curl_multi_add_handle(transport->multi, x->easy) != CURLM_OK) {
    x->special = true;
    give_back(x);
    return rc == CURLE_OUT_OF_MEMORY ? XH_ENOMEM : XH_EINVAL;
  }
  *ret_exchange = x;
  return 0;
}

void xh_transport_cancel(xh_exchange *exchange)
{
  curl_multi_remove_handle(exchange->transport->multi, exchange->easy);
  exchange->special = true;
  give_back(exchange);
}

static void maybe_closed(void *transport)
{
  xh_transport *t = transport;
  if (!t->closing || !t->timer_closed || t->sockets.open_count > 0)
    return;
  void (*closed)(void *) = t->closed;
  void *arg = t->closed_arg;
  free_transport(t);
  closed(arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
  xh_transport *t = handle->data;
  t->timer_closed = true;
  maybe_closed(t);
}

static void close_all(xh_transport *t)
{
  while (t->running)
    xh_transport_cancel(t->running);
  while (t->idle) {
    xh_exchange *x = t->idle;
    t->idle = x->next;
    free_exchange(x);
  }
  if (t->multi)
    curl_multi_cleanup(t->multi); /* closes cached connections and their polls */
  uv_timer_stop(&t->timer);
  uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

void xh_transport_close(xh_transport *transport, void (*done)(void *arg), void *arg)
{
  transport->closing = true;
  transport->closed = done;
  transport->closed_arg = arg;
  if (!transport->collecting) /* else an exchange is just being told, and still in use */
    close_all(transport);
}
