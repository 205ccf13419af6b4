#include "outbox/schema.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Step i takes a database of version i to version i + 1. A released step never changes: what is new is a new step. */
static const char *const STEPS[XH_SCHEMA_VERSION] = {
    "CREATE TABLE meta("
    " id INTEGER PRIMARY KEY CHECK(id = 1),"
    " instance TEXT NOT NULL,"
    " accepted INTEGER NOT NULL DEFAULT 0,"
    " delivered INTEGER NOT NULL DEFAULT 0,"
    " dead INTEGER NOT NULL DEFAULT 0,"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " next_delivery_id INTEGER NOT NULL DEFAULT 1,"
    " next_body_id INTEGER NOT NULL DEFAULT 1);"
    "CREATE TABLE source("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " session TEXT NOT NULL DEFAULT '',"
    " seq INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE hook("
    " id INTEGER PRIMARY KEY,"
    " source_id INTEGER NOT NULL,"
    " digest TEXT NOT NULL,"
    " config TEXT NOT NULL,"
    " label TEXT NOT NULL,"
    " url_shown TEXT NOT NULL,"
    " stopped_ms INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE(source_id, digest));"
    "CREATE TABLE target("
    " id INTEGER PRIMARY KEY,"
    " key_hash TEXT NOT NULL UNIQUE,"
    " shown TEXT NOT NULL,"
    " held_since_ms INTEGER NOT NULL DEFAULT 0,"
    " pending_count INTEGER NOT NULL DEFAULT 0,"
    " hook_id INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE body("
    " id INTEGER PRIMARY KEY,"
    " ref_count INTEGER NOT NULL,"
    " bytes BLOB NOT NULL);"
    "CREATE TABLE delivery("
    " id INTEGER PRIMARY KEY,"
    " hook_id INTEGER NOT NULL,"
    " target_id INTEGER NOT NULL,"
    " source_id INTEGER NOT NULL,"
    " event_id INTEGER NOT NULL,"
    " body_id INTEGER NOT NULL,"
    " method TEXT NOT NULL,"
    " call_id TEXT,"
    " user_name TEXT,"
    " type INTEGER NOT NULL,"
    " state INTEGER NOT NULL DEFAULT 0,"
    " attempt_count INTEGER NOT NULL DEFAULT 0,"
    " accepted_ms INTEGER NOT NULL,"
    " schedule_from_ms INTEGER NOT NULL," /* expiry counts from here: acceptance, or the retry by hand */
    " next_attempt_ms INTEGER NOT NULL DEFAULT 0,"
    " settled_ms INTEGER NOT NULL DEFAULT 0," /* when it was delivered or died */
    " reason TEXT);" /* why it is dead */
    "CREATE INDEX delivery_pending ON delivery(target_id, next_attempt_ms) WHERE state = 0;"
    "CREATE INDEX delivery_settled ON delivery(state, settled_ms) WHERE state > 0;"
    "CREATE TABLE attempt("
    " delivery_id INTEGER NOT NULL,"
    " n INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL,"
    " name_us INTEGER NOT NULL,"
    " connect_us INTEGER NOT NULL,"
    " tls_us INTEGER NOT NULL,"
    " first_byte_us INTEGER NOT NULL,"
    " total_us INTEGER NOT NULL,"
    " http_status INTEGER NOT NULL," /* 0: no answer */
    " fault INTEGER NOT NULL," /* xh_fault */
    " words TEXT NOT NULL,"
    " answer BLOB," /* its first bytes */
    " PRIMARY KEY(delivery_id, n)) WITHOUT ROWID;",
    "ALTER TABLE meta ADD COLUMN clock_ms INTEGER NOT NULL DEFAULT 0;", /* the time of the last commit */
};

int xh_schema_error(int sqlite_code)
{
  switch (sqlite_code & 0xff) {
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

static int exec(sqlite3 *db, const char *sql)
{
  return xh_schema_error(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static int read_int(sqlite3 *db, const char *sql, int64_t *ret_value)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (code == SQLITE_OK) {
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
      *ret_value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
  }
  return code == SQLITE_DONE ? XH_ECORRUPT : xh_schema_error(code);
}

/* SQLite would create it with the umask's mode; the journal's files take over the mode of the database. */
static int touch(const char *path)
{
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return XH_EIO;
  int rc = fchmod(fd, 0600) == 0 ? 0 : XH_EDENIED;
  close(fd);
  return rc;
}

int xh_schema_draw_instance(char ret_instance[17])
{
  unsigned long long number; /* names an outbox, keeps no secret: the kernel's randomness, without setting OpenSSL up */
  if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
    return XH_EIO;
  snprintf(ret_instance, 17, "%016llx", number);
  return 0;
}

static int insert_instance(sqlite3 *db)
{
  char instance[17], sql[96];
  int rc = xh_schema_draw_instance(instance);
  if (rc)
    return rc;
  snprintf(sql, sizeof sql, "INSERT INTO meta(id, instance) VALUES(1, '%s')", instance);
  return exec(db, sql);
}

static int migrate(sqlite3 *db, int64_t version)
{
  char sql[64];
  int rc = exec(db, "BEGIN IMMEDIATE");
  for (int64_t at = version; at < XH_SCHEMA_VERSION && rc == 0; at++)
    rc = exec(db, STEPS[at]);
  if (rc == 0 && version == 0)
    rc = insert_instance(db);
  snprintf(sql, sizeof sql, "PRAGMA application_id = %d", XH_APPLICATION_ID);
  if (rc == 0)
    rc = exec(db, sql);
  snprintf(sql, sizeof sql, "PRAGMA user_version = %d", XH_SCHEMA_VERSION);
  if (rc == 0)
    rc = exec(db, sql);
  if (rc == 0)
    rc = exec(db, "COMMIT");
  if (rc)
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return rc;
}

/* Is it ours, and of which version? 0 for an empty database. */
static int read_version(sqlite3 *db, int64_t *ret_version)
{
  int64_t version = 0, application = 0, tables = 0;
  int rc = read_int(db, "PRAGMA user_version", &version);
  if (rc == 0)
    rc = read_int(db, "PRAGMA application_id", &application);
  if (rc == 0)
    rc = read_int(db, "SELECT count(*) FROM sqlite_master", &tables);
  if (rc)
    return rc;
  if (version > XH_SCHEMA_VERSION)
    return XH_EVERSION;
  if (version < 0 || (tables > 0 && application != XH_APPLICATION_ID) || (version > 0 && tables == 0))
    return XH_ECORRUPT;
  *ret_version = version;
  return 0;
}

static int prepare(sqlite3 *db)
{
  int64_t version = 0, check = 0;
  sqlite3_busy_timeout(db, 5000);
  sqlite3_extended_result_codes(db, 1);
  /* The cache is for the writer's hot pages; what is read is mostly what was written just before. The journal is truncated after a
   * big transaction, so that the folder does not stay large. */
  int rc = exec(db, "PRAGMA auto_vacuum = INCREMENTAL;"
                    "PRAGMA journal_mode = WAL;"
                    "PRAGMA synchronous = FULL;"
                    "PRAGMA cache_size = -6144;"
                    "PRAGMA temp_store = MEMORY;"
                    "PRAGMA wal_autocheckpoint = 4000;"
                    "PRAGMA journal_size_limit = 33554432;"
                    "PRAGMA cell_size_check = ON;");
  if (rc == 0)
    rc = read_version(db, &version);
  if (rc == 0 && version < XH_SCHEMA_VERSION)
    rc = migrate(db, version);
  if (rc == 0)
    rc = read_int(db, "SELECT count(*) FROM meta WHERE id = 1 AND length(instance) = 16", &check);
  return rc == 0 && check != 1 ? XH_ECORRUPT : rc;
}

static int database_path(const char *folder, char path[PATH_MAX])
{
  int length = snprintf(path, PATH_MAX, "%s/%s", folder, XH_DATABASE_NAME);
  return length > 0 && length < PATH_MAX ? 0 : XH_ECAP;
}

/* Nobody asks how much memory SQLite uses; counting it takes a lock at each allocation. Before the first use, or it is refused. */
static void configure_sqlite(void)
{
  (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int xh_schema_open(const char *folder, sqlite3 **ret_db)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, configure_sqlite);
  char path[PATH_MAX];
  sqlite3 *db = NULL;
  int rc = database_path(folder, path);
  if (rc == 0)
    rc = touch(path);
  if (rc)
    return rc;
  int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  rc = xh_schema_error(code);
  if (rc == 0)
    rc = prepare(db);
  if (rc == XH_EIO && sqlite3_system_errno(db) == ENOSPC)
    rc = XH_EFULL; /* of the journal's index SQLite says no more than that it failed */
  if (rc) {
    sqlite3_close(db);
    return rc;
  }
  *ret_db = db;
  return 0;
}

/* A database that was opened (`rc` 0) and is of our version; any other is closed. */
static int hand_over(sqlite3 *db, int rc, sqlite3 **ret_db)
{
  int64_t version = 0;
  if (rc == 0)
    rc = read_version(db, &version);
  if (rc == 0 && version != XH_SCHEMA_VERSION)
    rc = version == 0 ? XH_ENOENT : XH_EOLDER;
  if (rc) {
    sqlite3_close(db);
    return rc;
  }
  *ret_db = db;
  return 0;
}

int xh_schema_open_readonly(const char *folder, sqlite3 **ret_db)
{
  char path[PATH_MAX];
  sqlite3 *db = NULL;
  int rc = database_path(folder, path);
  if (rc)
    return rc;
  if (access(path, R_OK) != 0)
    return xh_err_from_errno(errno);
  int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
  rc = xh_schema_error(code);
  if (rc == 0) {
    sqlite3_busy_timeout(db, 5000);
    sqlite3_extended_result_codes(db, 1);
    rc = exec(db, "PRAGMA query_only = ON; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;");
  }
  return hand_over(db, rc, ret_db);
}

int xh_schema_open_alone(const char *folder, sqlite3 **ret_db)
{
  char path[PATH_MAX];
  sqlite3 *db = NULL;
  int rc = database_path(folder, path);
  if (rc)
    return rc;
  if (access(path, F_OK) != 0)
    return XH_ENOENT;
  rc = xh_schema_error(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
  if (rc == 0) {
    /* With the exclusive lock the journal's index is kept in memory, not in a file; closing writes nothing. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    rc = exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;");
  }
  return hand_over(db, rc, ret_db);
}
