#include "receiver/spool_db_internal.h"

#include "base/err.h"

#include <stdlib.h>

enum { ID, OBJECT = 4, NEXT_MS = 9, BODY_LENGTH, BODY }; /* columns; asked for its length, the body itself is not read */

static char *column_copy(sqlite3_stmt *statement, int at)
{
  const char *text = (const char *)sqlite3_column_text(statement, at);
  return text ? strdup(text) : NULL;
}

static xh_job *read_job(sqlite3_stmt *row)
{
  xh_job *job = xh_job_new();
  if (!job)
    return NULL;
  job->spool_id = sqlite3_column_int64(row, 0);
  job->delivery = column_copy(row, 1);
  job->method = column_copy(row, 2);
  job->type = sqlite3_column_int(row, 3) == XH_POST ? XH_POST : XH_PRE;
  job->object = column_copy(row, 4);
  const char *lane = (const char *)sqlite3_column_text(row, 5);
  job->forward = lane && *lane ? strdup(lane) : NULL;
  job->headers = column_copy(row, 6);
  job->attempt = sqlite3_column_int(row, 7) + 1;
  job->resume = column_copy(row, 8);
  job->body_len = (size_t)sqlite3_column_bytes(row, BODY);
  job->body = malloc(job->body_len + 1);
  const void *body = sqlite3_column_blob(row, BODY);
  if (!job->body || !job->delivery) {
    xh_job_free(job);
    return NULL;
  }
  if (job->body_len > 0)
    memcpy(job->body, body, job->body_len);
  job->body[job->body_len] = 0;
  return job;
}

static bool is_out(sqlite3_stmt *row, const xh_spool_taker *taker)
{
  return taker->is_out(taker->arg, sqlite3_column_int64(row, ID), (const char *)sqlite3_column_text(row, OBJECT));
}

static bool fits(sqlite3_stmt *row, const xh_spool_taker *taker)
{
  return taker->fits(taker->arg, (size_t)sqlite3_column_int64(row, BODY_LENGTH));
}

static int take(sqlite3_stmt *row, const xh_spool_taker *taker)
{
  xh_job *job = read_job(row);
  int rc = job ? taker->take(taker->arg, job) : XH_ENOMEM;
  if (rc)
    xh_job_free(job);
  return rc;
}

static int finish(sqlite3_stmt *statement, int rc, int code)
{
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return rc ? rc : spool_error_of(code);
}

/* What is left stands behind others and is found by xh_spool_db_load_behind. */
static int move_to_end(xh_spool_db *db, int64_t *cursor)
{
  sqlite3_stmt *statement = db->statements[LAST];
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW && sqlite3_column_int64(statement, 0) > *cursor)
    *cursor = sqlite3_column_int64(statement, 0);
  return finish(statement, 0, code);
}

int xh_spool_db_load(xh_spool_db *db, const char *lane, int64_t *cursor, const xh_spool_taker *taker, bool *ret_full)
{
  sqlite3_stmt *statement = db->statements[LOAD];
  bool full = false;
  int rc = 0, code = SQLITE_DONE;
  spool_bind_text(statement, 1, lane);
  sqlite3_bind_int64(statement, 2, *cursor);
  while (rc == 0 && !full && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    int64_t id = sqlite3_column_int64(statement, ID);
    bool out = is_out(statement, taker);
    full = !out && !fits(statement, taker);
    if (!out && !full)
      rc = take(statement, taker);
    if (rc == 0 && !full)
      *cursor = id;
  }
  rc = finish(statement, rc, code);
  if (rc == 0 && !full)
    rc = move_to_end(db, cursor);
  *ret_full = *ret_full || full;
  return rc;
}

int xh_spool_db_load_due(xh_spool_db *db, const char *lane, int64_t now_ms, const xh_spool_taker *taker, int64_t *ret_next_ms)
{
  sqlite3_stmt *statement = db->statements[DUE];
  int64_t next_ms = INT64_MAX;
  int rc = 0, code = SQLITE_DONE;
  spool_bind_text(statement, 1, lane);
  while (rc == 0 && next_ms == INT64_MAX && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    if (is_out(statement, taker))
      continue;
    if (sqlite3_column_int64(statement, NEXT_MS) > now_ms)
      next_ms = sqlite3_column_int64(statement, NEXT_MS);
    else if (!fits(statement, taker))
      next_ms = 0;
    else
      rc = take(statement, taker);
  }
  *ret_next_ms = next_ms;
  return finish(statement, rc, code);
}

int xh_spool_db_load_behind(xh_spool_db *db, const char *lane, const char *object, int64_t cursor, const xh_spool_taker *taker, bool *ret_full,
                            int64_t *ret_next_ms)
{
  sqlite3_stmt *statement = db->statements[BEHIND];
  int rc = 0;
  spool_bind_text(statement, 1, lane);
  spool_bind_text(statement, 2, object);
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW && !is_out(statement, taker)) {
    int64_t next_ms = sqlite3_column_int64(statement, NEXT_MS);
    if (next_ms > 0)
      *ret_next_ms = next_ms < *ret_next_ms ? next_ms : *ret_next_ms;
    else if (sqlite3_column_int64(statement, ID) > cursor)
      ; /* the cursor comes to it */
    else if (!fits(statement, taker))
      *ret_full = true;
    else
      rc = take(statement, taker);
  }
  return finish(statement, rc, code);
}
