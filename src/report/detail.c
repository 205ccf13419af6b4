/* One delivery, with all that is known of it. */
#include "base/err.h"
#include "base/json_scan.h"
#include "outbox/outbox.h"
#include "outbox/schema.h"
#include "report/report_internal.h"

#include <stdio.h>

static void put_ms(xh_buf *out, const char *name, sqlite3_stmt *row, int column)
{
  int64_t us = sqlite3_column_int64(row, column);
  if (us >= 0)
    xh_buf_printf(out, ",\"%s\":%.3f", name, (double)us / 1000);
}

static void put_attempt(sqlite3_stmt *row, xh_buf *out)
{
  int http_status = sqlite3_column_int(row, 7), fault = sqlite3_column_int(row, 8);
  xh_buf_printf(out, "{\"n\":%d,\"startedAt\":%lld", sqlite3_column_int(row, 0), (long long)sqlite3_column_int64(row, 1));
  put_ms(out, "nameLookupMs", row, 2);
  put_ms(out, "connectMs", row, 3);
  put_ms(out, "tlsMs", row, 4);
  put_ms(out, "firstByteMs", row, 5);
  put_ms(out, "totalMs", row, 6);
  if (http_status)
    xh_buf_printf(out, ",\"status\":%d", http_status);
  else
    xh_buf_z(out, ",\"status\":null");
  xh_buf_printf(out, ",\"fault\":\"%s\",\"outcome\":", xh_fault_name((xh_fault)fault));
  xh_buf_json(out, report_text(row, 9));
  xh_buf_z(out, ",\"answer\":");
  xh_buf_json(out, report_text(row, 10));
  xh_buf_char(out, '}');
}

static int put_attempts(xh_report *report, int64_t id, xh_buf *out)
{
  sqlite3_stmt *row = report->attempts;
  int code, count = 0;
  sqlite3_bind_int64(row, 1, id);
  xh_buf_z(out, ",\"attempts\":[");
  while ((code = sqlite3_step(row)) == SQLITE_ROW) {
    if (count++)
      xh_buf_char(out, ',');
    put_attempt(row, out);
  }
  sqlite3_reset(row);
  xh_buf_char(out, ']');
  return xh_schema_error(code);
}

static int put_detail(xh_report *report, sqlite3_stmt *row, const xh_report_live *live, xh_buf *out)
{
  xh_str event = report_text(row, COL_EVENT);
  xh_buf_char(out, '{');
  report_put_common(report, row, live, true, out);
  xh_buf_printf(out, ",\"number\":%lld,\"settledAt\":", (long long)sqlite3_column_int64(row, COL_ID));
  if (sqlite3_column_int64(row, COL_SETTLED) > 0)
    xh_buf_i64(out, sqlite3_column_int64(row, COL_SETTLED));
  else
    xh_buf_z(out, "null");
  xh_buf_z(out, ",\"reason\":");
  if (sqlite3_column_type(row, COL_REASON) == SQLITE_NULL)
    xh_buf_z(out, "null");
  else
    xh_buf_json(out, report_text(row, COL_REASON));
  report_put_request(report, row, out);
  xh_buf_z(out, ",\"event\":");
  xh_buf_str(out, event.len ? event : XH_STR("null"));
  xh_buf_z(out, ",\"body\":");
  xh_buf_json(out, report_text(row, COL_BODY));
  int rc = put_attempts(report, sqlite3_column_int64(row, COL_ID), out);
  xh_buf_char(out, '}');
  return rc ? rc : xh_buf_error(out);
}

int xh_report_delivery(xh_report *report, xh_str params, xh_str source, const xh_report_live *live, xh_buf *out, char *why,
                       size_t why_size)
{
  xh_str value;
  int64_t id = 0;
  int rc = report_refresh(report);
  if (rc)
    return rc;
  if (xh_json_validate(params, NULL) != 0 || !xh_json_find(params, XH_STR("id"), &value)) {
    snprintf(why, why_size, "parameter \"id\" is missing: msg_… or a number");
    return XH_EINVAL;
  }
  static const char *const known[] = {"id", NULL};
  if (!xh_json_has_only(params, known, why, why_size))
    return XH_EINVAL;
  rc = report_read_id(report, value, &id, why, why_size);
  if (rc)
    return rc;
  sqlite3_stmt *row = report->one;
  sqlite3_bind_int64(row, 1, id);
  int code = sqlite3_step(row);
  if (code == SQLITE_ROW && (source.len == 0 || xh_str_eq(source, report_text(row, COL_SOURCE))))
    rc = put_detail(report, row, live, out);
  else
    rc = code == SQLITE_ROW || code == SQLITE_DONE ? report_refuse_id(XH_ENOENT, value, why, why_size) : xh_schema_error(code);
  sqlite3_reset(row);
  return rc;
}
