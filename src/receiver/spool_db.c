#include "receiver/spool_db_internal.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

#define JOB_COLUMNS "id, delivery, method, type, object, lane, headers, attempts, resume, next_ms, length(body), body"
#define FIRST_OF_OBJECT                                                                                                                     \
  "(object IS NULL OR NOT EXISTS(SELECT 1 FROM job AS earlier WHERE earlier.state = 0 AND earlier.object = this.object"                    \
  " AND earlier.lane = ?1 AND earlier.id < this.id))"

static const char *const SQL[STATEMENTS] = {
    [ADD] = "INSERT INTO job(lane, delivery, method, type, object, headers, received_ms, body) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
    [SEEN] = "INSERT OR REPLACE INTO seen(delivery, at_ms) VALUES(?, ?)",
    [DONE] = "DELETE FROM job WHERE id = ?",
    [FAILURE] = "UPDATE job SET attempts = ?2, next_ms = ?3, state = ?3 = 0, failed_ms = ?4, resume = ?5, error = ?6, tail = ?7 WHERE id = ?1",
    [LOAD] = "SELECT " JOB_COLUMNS " FROM job AS this WHERE state = 0 AND lane = ?1 AND id > ?2 AND next_ms = 0 AND " FIRST_OF_OBJECT " ORDER BY id",
    [DUE] = "SELECT " JOB_COLUMNS " FROM job AS this WHERE state = 0 AND lane = ?1 AND next_ms > 0 AND " FIRST_OF_OBJECT " ORDER BY next_ms, id",
    [BEHIND] = "SELECT " JOB_COLUMNS " FROM job WHERE state = 0 AND object = ?2 AND lane = ?1 ORDER BY id LIMIT 1",
    [LAST] = "SELECT coalesce(max(id), 0) FROM job",
    [STATE] = "SELECT coalesce(min(state), -1) FROM job WHERE delivery = ?",
};

int spool_error_of(int code)
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

int spool_exec(xh_spool_db *db, const char *sql)
{
  return spool_error_of(sqlite3_exec(db->db, sql, NULL, NULL, NULL));
}

int spool_read_number(xh_spool_db *db, const char *sql, int64_t *ret_number)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db->db, sql, -1, &statement, NULL);
  if (code == SQLITE_OK) {
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
      *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
  }
  return spool_error_of(code);
}

static int make_tables(xh_spool_db *db)
{
  char sql[128];
  int64_t version = 0;
  int rc = spool_exec(db, "BEGIN IMMEDIATE");
  if (rc == 0)
    rc = spool_read_number(db, "PRAGMA user_version", &version); /* another process may have been faster */
  if (rc == 0 && version == 0)
    rc = spool_exec(db, TABLES);
  snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", SPOOL_APPLICATION_ID, SPOOL_VERSION);
  if (rc == 0)
    rc = spool_exec(db, sql);
  if (rc == 0)
    rc = spool_exec(db, "COMMIT");
  if (rc)
    xh_spool_db_rollback(db);
  return rc;
}

/* Is it a spool, and one of ours? */
static int check_version(xh_spool_db *db, bool create)
{
  int64_t version = 0, application = 0;
  int rc = spool_read_number(db, "PRAGMA user_version", &version);
  if (rc == 0)
    rc = spool_read_number(db, "PRAGMA application_id", &application);
  if (rc == 0 && version > SPOOL_VERSION)
    rc = XH_EVERSION;
  if (rc == 0 && version > 0 && application != SPOOL_APPLICATION_ID)
    rc = XH_ECORRUPT;
  if (rc || version > 0)
    return rc;
  return create ? make_tables(db) : XH_ENOENT;
}

static int prepare(xh_spool_db *db, bool create)
{
  sqlite3_busy_timeout(db->db, 5000);
  int rc = create ? spool_exec(db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL") : 0;
  if (rc == 0)
    rc = spool_exec(db, "PRAGMA synchronous = FULL; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216");
  if (rc == 0)
    rc = check_version(db, create);
  for (int i = 0; i < STATEMENTS && rc == 0; i++)
    rc = spool_error_of(sqlite3_prepare_v3(db->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL));
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
  rc = spool_error_of(sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
  if (rc == 0)
    rc = prepare(db, create);
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
  return spool_exec(db, "BEGIN IMMEDIATE");
}

void xh_spool_db_rollback(xh_spool_db *db)
{
  if (!sqlite3_get_autocommit(db->db))
    sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

int xh_spool_db_commit(xh_spool_db *db)
{
  int rc = spool_exec(db, "COMMIT");
  if (rc)
    xh_spool_db_rollback(db);
  return rc;
}

bool xh_spool_db_in_transaction(const xh_spool_db *db)
{
  return !sqlite3_get_autocommit(db->db);
}

bool xh_spool_db_is_gone(xh_spool_db *db)
{
  int moved = 0;
  return sqlite3_file_control(db->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

void spool_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
  if (text)
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
  else
    sqlite3_bind_null(statement, at);
}

int spool_run(sqlite3_stmt *statement)
{
  int code = sqlite3_step(statement);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return spool_error_of(code);
}

int xh_spool_db_add(xh_spool_db *db, xh_job *job, int64_t now_ms)
{
  sqlite3_stmt *statement = db->statements[ADD];
  spool_bind_text(statement, 1, job->forward ? job->forward : "");
  spool_bind_text(statement, 2, job->delivery ? job->delivery : "");
  spool_bind_text(statement, 3, job->method);
  sqlite3_bind_int(statement, 4, job->method ? (int)job->type : 0);
  spool_bind_text(statement, 5, job->object);
  spool_bind_text(statement, 6, job->headers);
  sqlite3_bind_int64(statement, 7, now_ms);
  sqlite3_bind_blob64(statement, 8, job->body ? job->body : "", job->body_len, SQLITE_STATIC);
  int rc = spool_run(statement);
  if (rc == 0)
    job->spool_id = sqlite3_last_insert_rowid(db->db);
  return rc;
}

int xh_spool_db_add_seen(xh_spool_db *db, const char *delivery, int64_t now_ms)
{
  spool_bind_text(db->statements[SEEN], 1, delivery);
  sqlite3_bind_int64(db->statements[SEEN], 2, now_ms);
  return spool_run(db->statements[SEEN]);
}

int xh_spool_db_done(xh_spool_db *db, int64_t id)
{
  sqlite3_bind_int64(db->statements[DONE], 1, id);
  return spool_run(db->statements[DONE]);
}

int xh_spool_db_failure(xh_spool_db *db, int64_t id, const xh_spool_failure *failure, int64_t now_ms)
{
  sqlite3_stmt *statement = db->statements[FAILURE];
  sqlite3_bind_int64(statement, 1, id);
  sqlite3_bind_int(statement, 2, failure->attempts);
  sqlite3_bind_int64(statement, 3, failure->next_ms);
  sqlite3_bind_int64(statement, 4, failure->next_ms ? 0 : now_ms);
  spool_bind_text(statement, 5, failure->resume);
  spool_bind_text(statement, 6, failure->error);
  sqlite3_bind_text64(statement, 7, failure->tail.ptr ? failure->tail.ptr : "", failure->tail.len, SQLITE_STATIC, SQLITE_UTF8);
  return spool_run(statement);
}

int xh_spool_db_each_seen(xh_spool_db *db, int64_t since_ms, void (*found)(void *arg, xh_str delivery, int state, int64_t at_ms), void *arg)
{
  sqlite3_stmt *statement;
  char sql[96];
  snprintf(sql, sizeof sql, "DELETE FROM seen WHERE at_ms < %lld", (long long)since_ms);
  int rc = spool_exec(db, sql);
  if (rc || !found)
    return rc;
  int code = sqlite3_prepare_v2(db->db,
                                "SELECT delivery, at_ms, coalesce((SELECT min(state) FROM job WHERE job.delivery = seen.delivery), -1)"
                                " FROM seen ORDER BY at_ms",
                                -1, &statement, NULL);
  if (code != SQLITE_OK)
    return spool_error_of(code);
  while ((code = sqlite3_step(statement)) == SQLITE_ROW)
    found(arg, (xh_str){(const char *)sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)},
          sqlite3_column_int(statement, 2), sqlite3_column_int64(statement, 1));
  sqlite3_finalize(statement);
  return spool_error_of(code);
}

int xh_spool_db_state(xh_spool_db *db, const char *delivery, int *ret_state)
{
  sqlite3_stmt *statement = db->statements[STATE];
  spool_bind_text(statement, 1, delivery);
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW)
    *ret_state = sqlite3_column_int(statement, 0);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return spool_error_of(code);
}

int xh_spool_db_pull_in(xh_spool_db *db, int64_t latest_ms)
{
  char sql[96];
  snprintf(sql, sizeof sql, "UPDATE job SET next_ms = 1 WHERE state = 0 AND next_ms > %lld", (long long)latest_ms);
  return spool_exec(db, sql);
}

int xh_spool_db_tidy(xh_spool_db *db, int64_t since_ms, bool *ret_more, int64_t *ret_oldest_ms)
{
  char sql[64];
  int64_t pages = 0;
  *ret_oldest_ms = INT64_MAX;
  int rc = xh_spool_db_each_seen(db, since_ms, NULL, NULL);
  snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
  if (rc == 0)
    rc = spool_exec(db, sql);
  if (rc == 0)
    rc = spool_read_number(db, "PRAGMA freelist_count", &pages);
  if (rc == 0)
    rc = spool_read_number(db, "SELECT at_ms FROM seen ORDER BY at_ms LIMIT 1", ret_oldest_ms);
  *ret_more = pages > 0;
  return rc;
}
