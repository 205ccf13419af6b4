#include "receiver/spool_db_internal.h"

#include "base/err.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ROW_COLUMNS "id, state, delivery, method, lane, object, error, tail, resume, type, attempts, received_ms, next_ms, failed_ms"

static const char *column(sqlite3_stmt *row, int at)
{
  return (const char *)sqlite3_column_text(row, at);
}

static int each_row(sqlite3_stmt *statement, bool bodies, xh_spool_row_cb found, void *arg, int64_t *ret_count)
{
  int code;
  int64_t count = 0;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    xh_spool_row row = {.id = sqlite3_column_int64(statement, 0),
                        .failed = sqlite3_column_int(statement, 1) != 0,
                        .delivery = column(statement, 2),
                        .method = column(statement, 3),
                        .lane = column(statement, 4),
                        .object = column(statement, 5),
                        .error = column(statement, 6),
                        .tail = {column(statement, 7), (size_t)sqlite3_column_bytes(statement, 7)},
                        .resume = column(statement, 8),
                        .type = sqlite3_column_int(statement, 9),
                        .attempts = sqlite3_column_int(statement, 10),
                        .received_ms = sqlite3_column_int64(statement, 11),
                        .next_ms = sqlite3_column_int64(statement, 12),
                        .failed_ms = sqlite3_column_int64(statement, 13)};
    if (bodies)
      row.body = (xh_str){sqlite3_column_blob(statement, 14), (size_t)sqlite3_column_bytes(statement, 14)};
    found(arg, &row);
    count++;
  }
  sqlite3_finalize(statement);
  *ret_count = count;
  return spool_error_of(code);
}

int xh_spool_db_list(xh_spool_db *db, xh_spool_which which, int64_t limit, xh_spool_row_cb found, void *arg)
{
  static const char *const sql[] = {
      [XH_SPOOL_ALL] = "SELECT " ROW_COLUMNS " FROM job ORDER BY id LIMIT ?",
      [XH_SPOOL_PENDING] = "SELECT " ROW_COLUMNS " FROM job WHERE state = 0 ORDER BY id LIMIT ?",
      [XH_SPOOL_FAILED] = "SELECT " ROW_COLUMNS " FROM job WHERE state = 1 ORDER BY id LIMIT ?",
  };
  sqlite3_stmt *statement;
  int64_t count;
  int code = sqlite3_prepare_v2(db->db, sql[which], -1, &statement, NULL);
  if (code != SQLITE_OK)
    return spool_error_of(code);
  sqlite3_bind_int64(statement, 1, limit);
  return each_row(statement, false, found, arg, &count);
}

/* A number is a row's; anything else is a delivery's id. */
static int64_t row_number(const char *name)
{
  char *end;
  long long number = strtoll(name, &end, 10);
  return *name && !*end ? number : -1;
}

int xh_spool_db_show(xh_spool_db *db, const char *name, xh_spool_row_cb found, void *arg)
{
  sqlite3_stmt *statement;
  int64_t count = 0;
  int code = sqlite3_prepare_v2(db->db, "SELECT " ROW_COLUMNS ", body FROM job WHERE id = ?1 OR delivery = ?2 ORDER BY id", -1, &statement, NULL);
  if (code != SQLITE_OK)
    return spool_error_of(code);
  sqlite3_bind_int64(statement, 1, row_number(name));
  spool_bind_text(statement, 2, name);
  int rc = each_row(statement, true, found, arg, &count);
  return rc == 0 && count == 0 ? XH_ENOENT : rc;
}

int xh_spool_db_retry(xh_spool_db *db, const char *name, int64_t now_ms, int64_t *ret_count)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->db,
                                "UPDATE job SET state = 0, attempts = 0, next_ms = 1, failed_ms = 0"
                                " WHERE (?2 IS NULL AND state = 1) OR ((id = ?1 OR delivery = ?2) AND (state = 1 OR next_ms > ?3))",
                                -1, &statement, NULL);
  if (code != SQLITE_OK)
    return spool_error_of(code);
  sqlite3_bind_int64(statement, 1, name ? row_number(name) : -1);
  spool_bind_text(statement, 2, name);
  sqlite3_bind_int64(statement, 3, now_ms);
  code = sqlite3_step(statement);
  int64_t count = sqlite3_changes64(db->db);
  sqlite3_finalize(statement);
  if (code == SQLITE_DONE)
    *ret_count = count;
  return spool_error_of(code);
}

void xh_spool_db_wake(const char *folder)
{
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/" XH_SPOOL_WAKE_FILE, folder) < (int)sizeof path)
    utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW); /* missing when no receiver ever ran */
}

int xh_spool_db_count(xh_spool_db *db, int64_t *ret_pending, int64_t *ret_failed)
{
  int64_t pending = 0, failed = 0;
  int rc = spool_read_number(db, "SELECT count(*) FROM job WHERE state = 0", &pending);
  if (rc == 0)
    rc = spool_read_number(db, "SELECT count(*) FROM job WHERE state = 1", &failed);
  if (rc == 0) {
    *ret_pending = pending;
    *ret_failed = failed;
  }
  return rc;
}

int xh_spool_db_count_lane(xh_spool_db *db, const char *lane, int64_t *ret_pending)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->db, "SELECT count(*) FROM job WHERE state = 0 AND lane = ?", -1, &statement, NULL);
  if (code != SQLITE_OK)
    return spool_error_of(code);
  spool_bind_text(statement, 1, lane);
  code = sqlite3_step(statement);
  if (code == SQLITE_ROW)
    *ret_pending = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return spool_error_of(code);
}
