/* What an answer, or its absence, means: result, whose fault, and words for a person. Pure. */
#include "delivery/attempt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(xh_attempt *record, xh_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(xh_attempt *record, xh_fault fault, const char *format, ...)
{
  record->fault = fault;
  va_list args;
  va_start(args, format);
  vsnprintf(record->words, sizeof record->words, format, args);
  va_end(args);
}

static const char *to_proxy(const xh_response *r)
{
  return r->used_proxy ? " to the proxy" : "";
}

static void words_of_timeout(const xh_response *r, const xh_hook *hook, xh_attempt *record)
{
  double limit_s = (double)hook->timeout_ms / 1000;
  double connect_s = (double)XH_CONNECT_TIMEOUT_MS / 1000;
  if (connect_s > limit_s)
    connect_s = limit_s;
  switch (r->phase) {
  case XH_PHASE_NAME:
    say(record, XH_FAULT_NETWORK, "the host name was not resolved within %g s", connect_s);
    break;
  case XH_PHASE_CONNECT:
    say(record, r->used_proxy ? XH_FAULT_PROXY : XH_FAULT_NETWORK, "no connection%s within %g s", to_proxy(r), connect_s);
    break;
  case XH_PHASE_TLS:
    say(record, XH_FAULT_TLS, "connected, but the TLS handshake did not end within %g s", connect_s);
    break;
  case XH_PHASE_FIRST_BYTE:
    say(record, XH_FAULT_TARGET, "the request was sent, but no answer came within %g s", limit_s);
    break;
  case XH_PHASE_ANSWER:
    say(record, XH_FAULT_TARGET, "the answer was not complete within %g s", limit_s);
    break;
  }
}

static const char *detail(const xh_response *r)
{
  return r->error[0] ? r->error : curl_easy_strerror(r->code);
}

static void words_of_code(const xh_response *r, const xh_hook *hook, xh_attempt *record)
{
  switch ((int)r->code) {
  case CURLE_OPERATION_TIMEDOUT:
    words_of_timeout(r, hook, record);
    break;
  case CURLE_COULDNT_RESOLVE_HOST:
    say(record, XH_FAULT_NETWORK, "the host name could not be resolved: %s", detail(r));
    break;
  case CURLE_COULDNT_RESOLVE_PROXY:
    say(record, XH_FAULT_PROXY, "the proxy's host name could not be resolved");
    break;
  case CURLE_PROXY:
    say(record, XH_FAULT_PROXY, "the proxy refused: %s", detail(r));
    break;
  case CURLE_COULDNT_CONNECT:
    say(record, r->used_proxy ? XH_FAULT_PROXY : XH_FAULT_NETWORK, "no connection%s: %s", to_proxy(r), detail(r));
    break;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    say(record, XH_FAULT_TLS,
        hook->tls.pinned_certificate ? "the certificate is not the pinned one, or TLS failed: %s" : "TLS failed: %s", detail(r));
    break;
  case CURLE_SSL_CACERT_BADFILE:
    say(record, XH_FAULT_OURS, "tls.caFile can't be used: %s", detail(r));
    break;
  case CURLE_SSL_CERTPROBLEM:
    say(record, XH_FAULT_OURS, "tls.certificateFile or tls.keyFile can't be used: %s", detail(r));
    break;
  case CURLE_GOT_NOTHING:
    say(record, XH_FAULT_TARGET, "the target closed the connection without an answer");
    break;
  case CURLE_RECV_ERROR:
  case CURLE_SEND_ERROR:
  case CURLE_PARTIAL_FILE:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM:
    say(record, XH_FAULT_TARGET, "the connection broke: %s", detail(r));
    break;
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_UNSUPPORTED_PROTOCOL:
    say(record, XH_FAULT_TARGET, "the answer is not HTTP: %s", detail(r));
    break;
  case CURLE_WRITE_ERROR:
    say(record, XH_FAULT_TARGET, "the answer's headers are larger than %d KiB", XH_ANSWER_HEADER_BYTES_MAX / 1024);
    break;
  case CURLE_OUT_OF_MEMORY:
    say(record, XH_FAULT_OURS, "out of memory");
    break;
  case CURLE_URL_MALFORMAT:
    say(record, XH_FAULT_OURS, "the URL can't be used: %s", detail(r));
    break;
  default:
    say(record, r->http_status ? XH_FAULT_TARGET : XH_FAULT_NETWORK, "%s", detail(r));
  }
}

/* The address of a redirect without credentials and query: those may be secrets. */
static void shown_url(const char *url, char *out, size_t size)
{
  const char *scheme_end = strstr(url, "://");
  const char *host = scheme_end ? scheme_end + 3 : url;
  size_t host_len = strcspn(host, "/?#");
  const char *at = memrchr(host, '@', host_len); /* the last one, as curl reads it: a password may hold others */
  const char *from = at ? at + 1 : host;
  snprintf(out, size, "%.*s%.*s", (int)(host - url), url, (int)strcspn(from, "?#"), from);
}

static xh_result judge_redirect(const xh_response *r, unsigned hops, xh_attempt *record)
{
  char to[128];
  if (!r->redirect_url) {
    say(record, XH_FAULT_TARGET, "answered %d without an address to go to", r->http_status);
    return XH_RESULT_FAILED;
  }
  shown_url(r->redirect_url, to, sizeof to);
  if (r->http_status == 307 || r->http_status == 308)
    say(record, XH_FAULT_TARGET, hops ? "answered %d after other redirects; the last one, to %s, was not followed"
                                      : "answered %d, pointing to %s, which is not followed",
        r->http_status, to);
  else
    say(record, XH_FAULT_TARGET, "answered %d, pointing to %s: following it would lose the request; change the hook's URL",
        r->http_status, to);
  return XH_RESULT_FAILED;
}

static xh_result judge_status(const xh_response *r, unsigned hops, xh_attempt *record)
{
  int status = r->http_status;
  if (status >= 200 && status < 300) {
    say(record, XH_FAULT_NONE, "%s", r->answer_cut ? "delivered; the answer was longer than what is read" : "delivered");
    return XH_RESULT_DELIVERED;
  }
  if (status == 410) {
    say(record, XH_FAULT_TARGET, "answered 410 Gone: the target wants no more requests");
    return XH_RESULT_GONE;
  }
  if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
    return judge_redirect(r, hops, record);
  if (status == 407)
    say(record, XH_FAULT_PROXY, "the proxy wants a user name and password (407)");
  else if (r->retry_after_s > 0)
    say(record, XH_FAULT_TARGET, "answered %d, asking to wait %lld s", status, (long long)r->retry_after_s);
  else
    say(record, XH_FAULT_TARGET, "answered %d", status);
  return XH_RESULT_FAILED;
}

xh_result xh_judge(const xh_response *response, const xh_hook *hook, unsigned hops, xh_attempt *record, bool *ret_target_down)
{
  int status = response->http_status;
  record->http_status = status;
  if (response->refused_address) {
    say(record, XH_FAULT_OURS, "not sent: %s is a cloud metadata address (--allow-metadata %s would allow it)",
        response->refused_address, response->refused_address);
    *ret_target_down = false;
    return XH_RESULT_FAILED;
  }
  if (response->no_socket && status == 0) {
    say(record, XH_FAULT_OURS, "not sent: no socket could be opened here: %s", strerror(response->no_socket));
    *ret_target_down = false;
    return XH_RESULT_NOT_SENT;
  }
  if (response->code == CURLE_OK && status > 0) {
    *ret_target_down = status == 429 || status == 502 || status == 503 || status == 504 || status == 407;
    return judge_status(response, hops, record);
  }
  if (response->proxy_status >= 300) {
    record->http_status = 0;
    say(record, XH_FAULT_PROXY, "the proxy answered %d to CONNECT", response->proxy_status);
  } else {
    words_of_code(response, hook, record);
  }
  *ret_target_down = record->fault != XH_FAULT_OURS;
  return XH_RESULT_FAILED;
}
