#include "receiver/spool_db.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPOOL_VERSION = 1, SPOOL_APPLICATION_ID = 0x786f7370 /* "xosp" */, SHRINK_PAGES = 256 };

static const char TABLES[] =
    "CREATE TABLE job("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " state INTEGER NOT NULL DEFAULT 0,"
    " lane TEXT NOT NULL,"
    " delivery TEXT NOT NULL,"
    " method TEXT,"
    " type INTEGER NOT NULL,"
    " object TEXT,"
    " headers TEXT,"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " received_ms INTEGER NOT NULL,"
    " next_ms INTEGER NOT NULL DEFAULT 0,"
    " failed_ms INTEGER NOT NULL DEFAULT 0,"
    " resume TEXT,"
    " error TEXT,"
    " tail TEXT,"
    " body BLOB NOT NULL);"
    "CREATE INDEX job_turn ON job(lane, id) WHERE state = 0;"
    "CREATE INDEX job_due ON job(lane, next_ms) WHERE state = 0 AND next_ms > 0;"
    "CREATE INDEX job_object ON job(object, lane, id) WHERE state = 0 AND object IS NOT NULL;"
    "CREATE INDEX job_failed ON job(id) WHERE state = 1;"
    "CREATE INDEX job_delivery ON job(delivery);"
    "CREATE TABLE seen(delivery TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX seen_at ON seen(at_ms);";

typedef enum statement_id { ADD, SEEN, DONE, FAILURE, LOAD, DUE, NOT_DUE, BEHIND, LAST, STATEMENTS } statement_id;

#define JOB_COLUMNS "id, delivery, method, type, object, lane, headers, attempts, resume, body"

static const char *const SQL[STATEMENTS] = {
    [ADD] = "INSERT INTO job(lane, delivery, method, type, object, headers, received_ms, body) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
    [SEEN] = "INSERT OR REPLACE INTO seen(delivery, at_ms) VALUES(?, ?)",
    [DONE] = "DELETE FROM job WHERE id = ?",
    [FAILURE] = "UPDATE job SET attempts = ?2, next_ms = ?3, state = ?3 = 0, failed_ms = ?4, resume = ?5, error = ?6, tail = ?7 WHERE id = ?1",
    [LOAD] = "SELECT " JOB_COLUMNS " FROM job AS this WHERE state = 0 AND lane = ?1 AND id > ?2 AND next_ms = 0"
             " AND (object IS NULL OR NOT EXISTS(SELECT 1 FROM job AS earlier WHERE earlier.state = 0 AND earlier.object = this.object"
             " AND earlier.lane = ?1 AND earlier.id < this.id)) ORDER BY id LIMIT ?3",
    [DUE] = "SELECT " JOB_COLUMNS " FROM job WHERE state = 0 AND lane = ?1 AND next_ms > 0 AND next_ms <= ?2 ORDER BY next_ms, id LIMIT ?3",
    [NOT_DUE] = "UPDATE job SET next_ms = 0 WHERE id = ?",
    [BEHIND] = "SELECT " JOB_COLUMNS ", next_ms FROM job WHERE state = 0 AND object = ?1 AND lane = ?2 ORDER BY id LIMIT 1",
    [LAST] = "SELECT coalesce(max(id), 0) FROM job",
};

struct xh_spool_db {
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
};

static int error_of(int code)
{
  switch (code & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE:
    return 0;
  case SQLITE_NOMEM:
    return XH_ENOMEM;
  case SQLITE_FULL:
    return XH_EFULL;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return XH_ECORRUPT;
  case SQLITE_PERM:
  case SQLITE_READONLY:
  case SQLITE_AUTH:
  case SQLITE_CANTOPEN:
    return XH_EDENIED;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return XH_EBUSY;
  case SQLITE_TOOBIG:
    return XH_ECAP;
  default:
    return XH_EIO;
  }
}

static int exec(xh_spool_db *db, const char *sql)
{
  return error_of(sqlite3_exec(db->db, sql, NULL, NULL, NULL));
}

static int read_number(xh_spool_db *db, const char *sql, int64_t *ret_number)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->db, sql, -1, &statement, NULL);
  if (code == SQLITE_OK) {
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
      *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
  }
  return error_of(code);
}

static int make_tables(xh_spool_db *db)
{
  char sql[128];
  int64_t version = 0;
  int rc = exec(db, "BEGIN IMMEDIATE");
  if (rc == 0)
    rc = read_number(db, "PRAGMA user_version", &version); /* another process may have been faster */
  if (rc == 0 && version == 0)
    rc = exec(db, TABLES);
  snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", SPOOL_APPLICATION_ID, SPOOL_VERSION);
  if (rc == 0)
    rc = exec(db, sql);
  if (rc == 0)
    rc = exec(db, "COMMIT");
  if (rc)
    xh_spool_db_rollback(db);
  return rc;
}

static int prepare(xh_spool_db *db)
{
  int64_t version = 0, application = 0;
  sqlite3_busy_timeout(db->db, 5000);
  int rc = exec(db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    "PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216;");
  if (rc == 0)
    rc = read_number(db, "PRAGMA user_version", &version);
  if (rc == 0)
    rc = read_number(db, "PRAGMA application_id", &application);
  if (rc == 0 && version > SPOOL_VERSION)
    rc = XH_EVERSION;
  if (rc == 0 && version > 0 && application != SPOOL_APPLICATION_ID)
    rc = XH_ECORRUPT;
  if (rc == 0 && version == 0)
    rc = make_tables(db);
  for (int i = 0; i < STATEMENTS && rc == 0; i++)
    rc = error_of(sqlite3_prepare_v3(db->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL));
  return rc;
}

/* SQLite would create the file with the umask's mode, and it holds what scripts are given. */
static int touch(const char *folder, const char *path)
{
  if (mkdir(folder, 0700) != 0 && errno != EEXIST)
    return xh_err_from_errno(errno);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return xh_err_from_errno(errno);
  close(fd);
  return 0;
}

int xh_spool_db_open(const char *folder, bool create, xh_spool_db **ret_db)
{
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/spool.db", folder) >= (int)sizeof path)
    return XH_ECAP;
  int rc = create ? touch(folder, path) : access(path, F_OK) != 0 ? XH_ENOENT : 0;
  if (rc)
    return rc;
  xh_spool_db *db = calloc(1, sizeof *db);
  if (!db)
    return XH_ENOMEM;
  rc = error_of(sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
  if (rc == 0)
    rc = prepare(db);
  if (rc) {
    xh_spool_db_close(db);
    return rc;
  }
  *ret_db = db;
  return 0;
}

void xh_spool_db_close(xh_spool_db *db)
{
  if (!db)
    return;
  for (int i = 0; i < STATEMENTS; i++)
    sqlite3_finalize(db->statements[i]);
  sqlite3_close(db->db);
  free(db);
}

int xh_spool_db_begin(xh_spool_db *db)
{
  return exec(db, "BEGIN IMMEDIATE");
}

void xh_spool_db_rollback(xh_spool_db *db)
{
  if (!sqlite3_get_autocommit(db->db))
    sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

int xh_spool_db_commit(xh_spool_db *db)
{
  int rc = exec(db, "COMMIT");
  if (rc)
    xh_spool_db_rollback(db);
  return rc;
}

bool xh_spool_db_in_transaction(const xh_spool_db *db)
{
  return !sqlite3_get_autocommit(db->db);
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
  if (text)
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
  else
    sqlite3_bind_null(statement, at);
}

static int run(sqlite3_stmt *statement)
{
  int code = sqlite3_step(statement);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return error_of(code);
}

int xh_spool_db_add(xh_spool_db *db, xh_job *job, int64_t now_ms)
{
  sqlite3_stmt *statement = db->statements[ADD];
  bind_text(statement, 1, job->forward ? job->forward : "");
  bind_text(statement, 2, job->delivery ? job->delivery : "");
  bind_text(statement, 3, job->method);
  sqlite3_bind_int(statement, 4, job->method ? (int)job->type : 0);
  bind_text(statement, 5, job->object);
  bind_text(statement, 6, job->headers);
  sqlite3_bind_int64(statement, 7, now_ms);
  sqlite3_bind_blob64(statement, 8, job->body ? job->body : "", job->body_len, SQLITE_STATIC);
  int rc = run(statement);
  if (rc == 0)
    job->spool_id = sqlite3_last_insert_rowid(db->db);
  return rc;
}

int xh_spool_db_add_seen(xh_spool_db *db, const char *delivery, int64_t now_ms)
{
  bind_text(db->statements[SEEN], 1, delivery);
  sqlite3_bind_int64(db->statements[SEEN], 2, now_ms);
  return run(db->statements[SEEN]);
}

int xh_spool_db_done(xh_spool_db *db, int64_t id)
{
  sqlite3_bind_int64(db->statements[DONE], 1, id);
  return run(db->statements[DONE]);
}

int xh_spool_db_failure(xh_spool_db *db, int64_t id, const xh_spool_failure *failure, int64_t now_ms)
{
  sqlite3_stmt *statement = db->statements[FAILURE];
  sqlite3_bind_int64(statement, 1, id);
  sqlite3_bind_int(statement, 2, failure->attempts);
  sqlite3_bind_int64(statement, 3, failure->next_ms);
  sqlite3_bind_int64(statement, 4, failure->next_ms ? 0 : now_ms);
  bind_text(statement, 5, failure->resume);
  bind_text(statement, 6, failure->error);
  bind_text(statement, 7, failure->tail);
  return run(statement);
}

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
  bind_text(statement, 1, lane);
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
    rc = error_of(code);
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
  return run(db->statements[NOT_DUE]);
}

int xh_spool_db_load_due(xh_spool_db *db, const char *lane, int64_t now_ms, size_t limit, xh_job_list *list)
{
  sqlite3_stmt *statement = db->statements[DUE];
  xh_job_list found = {NULL, NULL, 0};
  int rc = 0, code = SQLITE_DONE;
  bind_text(statement, 1, lane);
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
    rc = error_of(code);
  for (xh_job *job; (job = xh_job_list_pop(&found)) != NULL;) {
    if (rc == 0)
      rc = not_due(db, job->spool_id);
    if (rc == 0)
      xh_job_list_push(list, job);
    else
      xh_job_free(job);
  }
  return rc;
}

int xh_spool_db_load_behind(xh_spool_db *db, const char *lane, const char *object, int64_t cursor, xh_job_list *list)
{
  sqlite3_stmt *statement = db->statements[BEHIND];
  int rc = 0;
  bind_text(statement, 1, object);
  bind_text(statement, 2, lane);
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
  return rc ? rc : error_of(code);
}

int xh_spool_db_each_seen(xh_spool_db *db, int64_t since_ms, void (*found)(void *arg, xh_str delivery, int state, int64_t at_ms), void *arg)
{
  sqlite3_stmt *statement;
  char sql[96];
  snprintf(sql, sizeof sql, "DELETE FROM seen WHERE at_ms < %lld", (long long)since_ms);
  int rc = exec(db, sql);
  if (rc || !found)
    return rc;
  int code = sqlite3_prepare_v2(db->db,
                                "SELECT delivery, at_ms, coalesce((SELECT min(state) FROM job WHERE job.delivery = seen.delivery), -1)"
                                " FROM seen ORDER BY at_ms",
                                -1, &statement, NULL);
  if (code != SQLITE_OK)
    return error_of(code);
  while ((code = sqlite3_step(statement)) == SQLITE_ROW)
    found(arg, (xh_str){(const char *)sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)},
          sqlite3_column_int(statement, 2), sqlite3_column_int64(statement, 1));
  sqlite3_finalize(statement);
  return error_of(code);
}

void xh_spool_db_shrink(xh_spool_db *db)
{
  char sql[64];
  snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
  sqlite3_exec(db->db, sql, NULL, NULL, NULL); /* what is not given back today is given back later */
}

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
                        .tail = column(statement, 7),
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
  return error_of(code);
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
    return error_of(code);
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
    return error_of(code);
  sqlite3_bind_int64(statement, 1, row_number(name));
  bind_text(statement, 2, name);
  int rc = each_row(statement, true, found, arg, &count);
  return rc == 0 && count == 0 ? XH_ENOENT : rc;
}

int xh_spool_db_retry(xh_spool_db *db, const char *name, int64_t *ret_count)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->db,
                                "UPDATE job SET state = 0, attempts = 0, next_ms = 1, failed_ms = 0 WHERE state = 1"
                                " AND (?2 IS NULL OR id = ?1 OR delivery = ?2)",
                                -1, &statement, NULL);
  if (code != SQLITE_OK)
    return error_of(code);
  sqlite3_bind_int64(statement, 1, name ? row_number(name) : -1);
  bind_text(statement, 2, name);
  code = sqlite3_step(statement);
  int64_t count = sqlite3_changes64(db->db);
  sqlite3_finalize(statement);
  if (code == SQLITE_DONE)
    *ret_count = count;
  return error_of(code);
}

int xh_spool_db_count(xh_spool_db *db, int64_t *ret_pending, int64_t *ret_failed)
{
  int64_t pending = 0, failed = 0;
  int rc = read_number(db, "SELECT count(*) FROM job WHERE state = 0", &pending);
  if (rc == 0)
    rc = read_number(db, "SELECT count(*) FROM job WHERE state = 1", &failed);
  if (rc == 0) {
    *ret_pending = pending;
    *ret_failed = failed;
  }
  return rc;
}
