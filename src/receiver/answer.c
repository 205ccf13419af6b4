#include "receiver/server_internal.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/socket.h>

enum { HEADERS_MAX = 5 };

typedef struct header {
  const char *name, *value;
} header;

/* Those of an answer but its length. `seconds` holds the text of one of them. Returns how many. */
static size_t headers_of(int status, int retry_after_s, bool last, char seconds[16], header out[HEADERS_MAX])
{
  size_t count = 0;
  out[count++] = (header){"Content-Type", "application/json"};
  snprintf(seconds, 16, "%d", retry_after_s);
  if (retry_after_s > 0)
    out[count++] = (header){"Retry-After", seconds};
  if (status == 405)
    out[count++] = (header){"Allow", "POST"};
  if (status == 401)
    out[count++] = (header){"WWW-Authenticate", "Bearer"};
  if (last)
    out[count++] = (header){"Connection", "close"};
  return count;
}

void answer_refusal(xh_str why, xh_buf *json)
{
  xh_buf_z(json, "{\"ok\":false,\"error\":");
  xh_buf_json(json, why);
  xh_buf_z(json, "}\n");
}

struct MHD_Response *answer_make(int status, int retry_after_s, bool last, xh_str json)
{
  union {
    const char *in;
    void *out;
  } bytes = {.in = json.ptr}; /* the library copies, though it takes a pointer to what it could change */
  struct MHD_Response *response = MHD_create_response_from_buffer(json.len, bytes.out, MHD_RESPMEM_MUST_COPY);
  char seconds[16];
  header headers[HEADERS_MAX];
  size_t count = headers_of(status, retry_after_s, last, seconds, headers);
  for (size_t i = 0; response && i < count; i++)
    MHD_add_response_header(response, headers[i].name, headers[i].value);
  return response;
}

/* Nothing else was written since the last answer, so the socket takes all of it or is not worth waiting for. */
static bool write_out(const xh_connection *connection, xh_str text)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  bool whole;
  if (info && info->tls_session) {
    gnutls_session_t session = info->tls_session;
    whole = gnutls_record_send(session, text.ptr, text.len) == (ssize_t)text.len; /* it refuses before the end of the handshake */
    if (whole)
      gnutls_bye(session, GNUTLS_SHUT_WR);
  } else {
    whole = send(connection->fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)text.len;
  }
  shutdown(connection->fd, SHUT_WR);
  return whole;
}

bool answer_last(const xh_connection *connection, int status, int retry_after_s, xh_str why)
{
  xh_buf json, text;
  char seconds[16];
  header headers[HEADERS_MAX];
  size_t count = headers_of(status, retry_after_s, true, seconds, headers);
  xh_buf_init(&json, 4096);
  xh_buf_init(&text, 8192);
  answer_refusal(why, &json);
  xh_buf_printf(&text, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n", status, MHD_get_reason_phrase_for((unsigned)status), json.len);
  for (size_t i = 0; i < count; i++)
    xh_buf_printf(&text, "%s: %s\r\n", headers[i].name, headers[i].value);
  xh_buf_z(&text, "\r\n");
  xh_buf_str(&text, xh_buf_span(&json));
  bool whole = !xh_buf_error(&json) && !xh_buf_error(&text) && write_out(connection, xh_buf_span(&text));
  xh_buf_done(&json);
  xh_buf_done(&text);
  return whole;
}
