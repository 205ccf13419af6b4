#include "receiver/spool_db_internal.h"

#include "base/err.h"

#include <stdlib.h>

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
  job->body_len = (size_t)sqlite3_column_bytes(row, 9);
  job->body = malloc(job->body_len + 1);
  const void *body = sqlite3_column_blob(row, 9);
  if (!job->body || !job->delivery) {
    xh_job_free(job);
    return NULL;
  }
  if (job->body_len > 0)
    memcpy(job->body, body, job->body_len);
  job->body[job->body_len] = 0;
  return job;
}

int xh_spool_db_load(xh_spool_db *db, const char *lane, int64_t *cursor, size_t limit, size_t cap_bytes, xh_job_list *list)
{
  sqlite3_stmt *statement = db->statements[LOAD];
  size_t bytes = 0, count = 0;
  int64_t last = 0;
  int rc = 0, code = SQLITE_ROW;
  spool_bind_text(statement, 1, lane);
  sqlite3_bind_int64(statement, 2, *cursor);
  sqlite3_bind_int64(statement, 3, (int64_t)limit);
  while (rc == 0 && bytes <= cap_bytes && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    xh_job *job = read_job(statement);
    if (!job) {
      rc = XH_ENOMEM;
      break;
    }
    *cursor = job->spool_id;
    bytes += job->body_len;
    count++;
    xh_job_list_push(list, job);
  }
  bool all = code == SQLITE_DONE && count < limit; /* what is left stands behind others and is found by xh_spool_db_load_behind */
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (rc == 0)
    rc = spool_error_of(code);
  if (rc == 0 && all && sqlite3_step(db->statements[LAST]) == SQLITE_ROW) {
    last = sqlite3_column_int64(db->statements[LAST], 0);
    if (last > *cursor)
      *cursor = last;
  }
  sqlite3_reset(db->statements[LAST]);
  return rc;
}

static int not_due(xh_spool_db *db, int64_t id)
{
  sqlite3_bind_int64(db->statements[NOT_DUE], 1, id);
  return spool_run(db->statements[NOT_DUE]);
}

int xh_spool_db_load_due(xh_spool_db *db, const char *lane, int64_t now_ms, int64_t cursor, size_t limit, xh_job_list *list)
{
  sqlite3_stmt *statement = db->statements[DUE];
  xh_job_list found = {NULL, NULL, 0};
  int rc = 0, code = SQLITE_DONE;
  spool_bind_text(statement, 1, lane);
  sqlite3_bind_int64(statement, 2, now_ms);
  sqlite3_bind_int64(statement, 3, (int64_t)limit);
  while (rc == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    xh_job *job = read_job(statement);
    if (job)
      xh_job_list_push(&found, job);
    else
      rc = XH_ENOMEM;
  }
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (rc == 0)
    rc = spool_error_of(code);
  for (xh_job *job; (job = xh_job_list_pop(&found)) != NULL;) {
    if (rc == 0)
      rc = not_due(db, job->spool_id);
    if (rc == 0 && job->spool_id <= cursor)
      xh_job_list_push(list, job);
    else
      xh_job_free(job); /* the cursor comes to it, in order */
  }
  return rc;
}

int xh_spool_db_load_behind(xh_spool_db *db, const char *lane, const char *object, int64_t cursor, xh_job_list *list)
{
  sqlite3_stmt *statement = db->statements[BEHIND];
  int rc = 0;
  spool_bind_text(statement, 1, object);
  spool_bind_text(statement, 2, lane);
  int code = sqlite3_step(statement);
  /* One with a time for its next attempt is loaded when it is due; one after the cursor, when the cursor comes to it. */
  if (code == SQLITE_ROW && sqlite3_column_int64(statement, 0) <= cursor && sqlite3_column_int64(statement, 10) == 0) {
    xh_job *job = read_job(statement);
    if (job)
      xh_job_list_push(list, job);
    else
      rc = XH_ENOMEM;
  }
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return rc ? rc : spool_error_of(code);
}
