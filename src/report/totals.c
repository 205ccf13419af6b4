/* What the database alone can say when no program serves it. */
#include "outbox/schema.h"
#include "report/report_internal.h"

static int put_totals(xh_report *report, xh_buf *out)
{
  sqlite3_stmt *row;
  int code = sqlite3_prepare_v2(report->db,
                                "SELECT accepted, delivered, dead, attempts, (SELECT coalesce(sum(pending_count), 0) FROM target),"
                                " (SELECT count(*) FROM delivery WHERE state = 2 AND state > 0) FROM meta WHERE id = 1",
                                -1, &row, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  static const char *const names[] = {"accepted", "delivered", "dead", "attempts", "pending", "deadKept"};
  code = sqlite3_step(row);
  for (int i = 0; code == SQLITE_ROW && i < 6; i++)
    xh_buf_printf(out, "%s\"%s\":%lld", i ? "," : "", names[i], (long long)sqlite3_column_int64(row, i));
  sqlite3_finalize(row);
  return xh_schema_error(code);
}

static int put_targets(xh_report *report, xh_buf *out)
{
  sqlite3_stmt *row;
  bool first = true;
  int code = sqlite3_prepare_v2(report->db, "SELECT shown, pending_count, held_since_ms FROM target ORDER BY id", -1, &row, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  while ((code = sqlite3_step(row)) == SQLITE_ROW) {
    int64_t held_ms = sqlite3_column_int64(row, 2);
    xh_buf_z(out, first ? "{\"url\":" : ",{\"url\":");
    xh_buf_json(out, report_text(row, 0));
    xh_buf_printf(out, ",\"pending\":%lld,\"held\":%s", (long long)sqlite3_column_int64(row, 1), held_ms ? "true" : "false");
    if (held_ms)
      xh_buf_printf(out, ",\"heldSince\":%lld", (long long)held_ms);
    xh_buf_char(out, '}');
    first = false;
  }
  sqlite3_finalize(row);
  return xh_schema_error(code);
}

/* Of all configurations so far: which one is in force only a running program knows. */
static int put_stopped(xh_report *report, xh_buf *out)
{
  sqlite3_stmt *row;
  bool first = true;
  int code = sqlite3_prepare_v2(report->db,
                                "SELECT s.name, h.label, h.stopped_ms FROM hook h LEFT JOIN source s ON s.id = h.source_id"
                                " WHERE h.stopped_ms > 0 ORDER BY h.id",
                                -1, &row, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  while ((code = sqlite3_step(row)) == SQLITE_ROW) {
    xh_buf_z(out, first ? "{\"source\":" : ",{\"source\":");
    xh_buf_json(out, report_text(row, 0));
    xh_buf_z(out, ",\"hook\":");
    xh_buf_json(out, report_text(row, 1));
    xh_buf_printf(out, ",\"since\":%lld}", (long long)sqlite3_column_int64(row, 2));
    first = false;
  }
  sqlite3_finalize(row);
  return xh_schema_error(code);
}

int xh_report_stats(xh_report *report, xh_buf *out)
{
  int rc = report_refresh(report);
  if (rc)
    return rc;
  xh_buf_z(out, "{\"running\":false,\"deliveries\":{");
  rc = put_totals(report, out);
  xh_buf_z(out, "},\"targets\":[");
  if (rc == 0)
    rc = put_targets(report, out);
  xh_buf_z(out, "],\"stopped\":[");
  if (rc == 0)
    rc = put_stopped(report, out);
  xh_buf_z(out, "]}");
  return rc ? rc : xh_buf_error(out);
}
