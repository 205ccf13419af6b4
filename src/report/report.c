#include "report/report.h"

#include "base/err.h"
#include "base/json_scan.h"
#include "outbox/outbox.h"
#include "outbox/schema.h"
#include "outbox/webhook_id.h"
#include "report/report_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int look(const xh_report *report, struct stat *st)
{
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/" XH_DATABASE_NAME, report->folder);
  return stat(path, st) == 0 ? 0 : xh_err_from_errno(errno);
}

static void close_database(xh_report *report)
{
  sqlite3_finalize(report->list);
  sqlite3_finalize(report->one);
  sqlite3_finalize(report->attempts);
  sqlite3_close(report->db);
  report->list = report->one = report->attempts = NULL;
  report->db = NULL;
}

static int read_instance(xh_report *report)
{
  sqlite3_stmt *row;
  int code = sqlite3_prepare_v2(report->db, "SELECT instance FROM meta WHERE id = 1", -1, &row, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  code = sqlite3_step(row);
  if (code == SQLITE_ROW)
    snprintf(report->instance, sizeof report->instance, "%s", (const char *)sqlite3_column_text(row, 0));
  sqlite3_finalize(row);
  return code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? XH_ECORRUPT : xh_schema_error(code);
}

static int prepare(xh_report *report)
{
  /* By number, the newest first: a page costs what it shows. The writer's own rows are never locked by this. */
  int code = sqlite3_prepare_v2(report->db, REPORT_COLUMNS " WHERE d.id < ?1 ORDER BY d.id DESC", -1, &report->list, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_prepare_v2(report->db, REPORT_COLUMNS " WHERE d.id = ?1", -1, &report->one, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_prepare_v2(report->db,
                              "SELECT n, started_ms, name_us, connect_us, tls_us, first_byte_us, total_us, http_status, fault, words,"
                              " answer FROM attempt WHERE delivery_id = ?1 ORDER BY n",
                              -1, &report->attempts, NULL);
  return xh_schema_error(code);
}

int report_refresh(xh_report *report)
{
  struct stat st;
  int rc = look(report, &st);
  if (rc || (report->db && st.st_ino == report->inode && st.st_dev == report->device))
    return rc;
  close_database(report);
  rc = xh_schema_open_readonly(report->folder, &report->db);
  if (rc == 0)
    rc = read_instance(report);
  if (rc == 0)
    rc = prepare(report);
  if (rc)
    close_database(report);
  report->inode = st.st_ino;
  report->device = st.st_dev;
  return rc;
}

int xh_report_new(const char *folder, xh_report **ret_report)
{
  xh_report *report = calloc(1, sizeof *report);
  if (!report || !(report->folder = strdup(folder))) {
    free(report);
    return XH_ENOMEM;
  }
  *ret_report = report;
  return 0;
}

int xh_report_open(const char *folder, xh_report **ret_report)
{
  xh_report *report;
  int rc = xh_report_new(folder, &report);
  if (rc)
    return rc;
  rc = report_refresh(report);
  if (rc) {
    xh_report_close(report);
    return rc;
  }
  *ret_report = report;
  return 0;
}

void xh_report_close(xh_report *report)
{
  if (!report)
    return;
  close_database(report);
  free(report->folder);
  free(report);
}

/* ---- what lists and details share ---- */

xh_str report_text(sqlite3_stmt *row, int column)
{
  const void *bytes = sqlite3_column_blob(row, column);
  return (xh_str){bytes ? bytes : "", (size_t)sqlite3_column_bytes(row, column)};
}

static xh_str id_text(xh_str value)
{
  return xh_json_typeof(value) == XH_JSON_STRING ? (xh_str){value.ptr + 1, value.len - 2} : value;
}

int report_refuse_id(int rc, xh_str value, char *why, size_t why_size)
{
  xh_str text = id_text(value);
  snprintf(why, why_size, rc == XH_ENOENT ? "there is no delivery %.*s" : "%.*s is no delivery's id (msg_… or a number)",
           (int)(text.len < 60 ? text.len : 60), text.ptr);
  return rc;
}

int report_read_id(const xh_report *report, xh_str value, int64_t *ret_id, char *why, size_t why_size)
{
  int rc = xh_webhook_id_parse(report->instance, id_text(value), ret_id);
  return rc ? report_refuse_id(rc, value, why, why_size) : 0;
}

status report_status(sqlite3_stmt *row, const xh_report_live *live)
{
  int state = sqlite3_column_int(row, COL_STATE);
  if (state == XH_DELIVERED)
    return STATUS_DELIVERED;
  if (state == XH_DEAD)
    return STATUS_DEAD;
  if (live && live->is_sending && live->is_sending(live->arg, sqlite3_column_int64(row, COL_ID)))
    return STATUS_SENDING;
  if (sqlite3_column_int64(row, COL_HELD) > 0)
    return STATUS_HELD;
  return sqlite3_column_int64(row, COL_NEXT) > 0 ? STATUS_WAITING : STATUS_QUEUED;
}

static void put_nullable(xh_buf *out, sqlite3_stmt *row, int column)
{
  if (sqlite3_column_type(row, column) == SQLITE_NULL)
    xh_buf_z(out, "null");
  else
    xh_buf_json(out, report_text(row, column));
}

static void put_format(xh_buf *out, sqlite3_stmt *row)
{
  xh_str config = report_text(row, COL_CONFIG), format = {NULL, 0};
  if (config.len > 0)
    xh_json_find(config, XH_STR("format"), &format);
  xh_buf_str(out, format.ptr ? format : XH_STR("null"));
}

void report_put_common(const xh_report *report, sqlite3_stmt *row, const xh_report_live *live, bool detail, xh_buf *out)
{
  char id[XH_WEBHOOK_ID_SIZE];
  status now = report_status(row, live);
  xh_webhook_id(report->instance, sqlite3_column_int64(row, COL_ID), id);
  xh_buf_printf(out, "\"id\":\"%s\",\"source\":", id);
  put_nullable(out, row, COL_SOURCE);
  xh_buf_z(out, ",\"hook\":");
  put_nullable(out, row, COL_LABEL);
  xh_buf_z(out, ",\"url\":");
  put_nullable(out, row, COL_URL);
  xh_buf_z(out, ",\"format\":");
  put_format(out, row);
  xh_buf_z(out, ",\"method\":");
  put_nullable(out, row, COL_METHOD);
  xh_buf_printf(out, ",\"type\":\"%s\",\"callId\":", sqlite3_column_int(row, COL_TYPE) == 1 ? "pre" : "post");
  put_nullable(out, row, COL_CALL_ID);
  xh_buf_z(out, ",\"userName\":");
  put_nullable(out, row, COL_USER);
  xh_buf_printf(out, ",\"status\":\"%s\",\"%s\":%d,\"acceptedAt\":%lld,\"nextAttemptAt\":", status_name(now),
                detail ? "attemptCount" : "attempts", sqlite3_column_int(row, COL_ATTEMPTS), (long long)sqlite3_column_int64(row, COL_ACCEPTED));
  if ((now == STATUS_WAITING || now == STATUS_HELD) && sqlite3_column_int64(row, COL_NEXT) > 0)
    xh_buf_i64(out, sqlite3_column_int64(row, COL_NEXT));
  else
    xh_buf_z(out, "null");
  xh_buf_z(out, ",\"lastStatus\":");
  if (sqlite3_column_int(row, COL_LAST_STATUS) > 0)
    xh_buf_i64(out, sqlite3_column_int(row, COL_LAST_STATUS));
  else
    xh_buf_z(out, "null");
  xh_buf_z(out, ",\"lastError\":");
  if (now == STATUS_DELIVERED)
    xh_buf_z(out, "null");
  else
    put_nullable(out, row, now == STATUS_DEAD && sqlite3_column_type(row, COL_LAST_WORDS) == SQLITE_NULL ? COL_REASON : COL_LAST_WORDS);
}
