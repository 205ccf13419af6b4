/* The request of a delivery, as far as it may be shown: where something is secret, REQUEST_HOLE stands. */
#include "hooks/hooks.h"
#include "outbox/webhook_id.h"
#include "payload/payload.h"
#include "report/report_internal.h"

#include <stdlib.h>

#define REQUEST_HOLE "(hidden)"

static void put_header(xh_buf *out, const char *name, const char *value, bool *first)
{
  xh_buf_z(out, *first ? "{\"name\":" : ",{\"name\":");
  xh_buf_json_z(out, name);
  xh_buf_z(out, ",\"value\":");
  xh_buf_json_z(out, value);
  xh_buf_char(out, '}');
  *first = false;
}

/* What a hook adds may be secret and is not shown. */
static void put_headers(const char *id, const char *type, const xh_hook *hook, xh_buf *out)
{
  bool first = true;
  xh_buf_z(out, ",\"headers\":[");
  put_header(out, "Content-Type", type, &first);
  put_header(out, "webhook-id", id, &first);
  put_header(out, "webhook-timestamp", "(when it is sent)", &first);
  if (hook && hook->secret_count > 0)
    put_header(out, "webhook-signature", "(of id, timestamp and body)", &first);
  for (size_t i = 0; hook && i < hook->header_count; i++)
    put_header(out, hook->headers[i].name, REQUEST_HOLE, &first);
  xh_buf_char(out, ']');
}

static void put_text(xh_buf *out, const char *name, const char *text)
{
  if (!text)
    return;
  xh_buf_printf(out, ",\"%s\":", name);
  xh_buf_json_z(out, text);
}

static void put_url(xh_buf *out, const char *name, const char *url)
{
  char *shown = *url ? xh_url_with_holes(url, REQUEST_HOLE) : NULL;
  put_text(out, name, *url ? shown : "none");
  free(shown);
}

void report_put_request(const xh_report *report, sqlite3_stmt *row, xh_buf *out)
{
  xh_hook *hook = NULL;
  char id[XH_WEBHOOK_ID_SIZE];
  xh_str config = report_text(row, COL_CONFIG);
  if (config.len && xh_hook_compile(config, &hook) != 0)
    hook = NULL;
  const char *type = xh_payload_content_type(hook ? hook->format : XH_FORMAT_JSON);
  xh_webhook_id(report->instance, sqlite3_column_int64(row, COL_ID), id);
  xh_buf_z(out, ",\"contentType\":");
  xh_buf_json_z(out, type);
  put_headers(id, type, hook, out);
  xh_buf_z(out, ",\"request\":{\"userAgent\":\"xo-hooks/" XH_VERSION "\"");
  if (hook) {
    put_url(out, "url", hook->url);
    if (hook->proxy)
      put_url(out, "proxy", hook->proxy);
    put_text(out, "caFile", hook->tls.ca_file);
    put_text(out, "certificateFile", hook->tls.certificate_file);
    put_text(out, "keyFile", hook->tls.key_file);
    put_text(out, "keyPassphrase", hook->tls.passphrase ? REQUEST_HOLE : NULL);
    put_text(out, "pinnedCertificate", hook->tls.pinned_certificate);
  }
  xh_buf_char(out, '}');
  xh_hook_unref(hook);
}
