/*
 * What the files of the spool's database share: spool_db.c opens it and writes, spool_load.c reads jobs that are to run, spool_view.c is for
 * people. Internal to src/receiver; the thread that owns the connection.
 */
#ifndef XH_RECEIVER_SPOOL_DB_INTERNAL_H
#define XH_RECEIVER_SPOOL_DB_INTERNAL_H

#include "receiver/spool_db.h"

#include <sqlite3.h>

/* Prepared once; their texts are in spool_db.c. */
typedef enum statement_id { ADD, SEEN, DONE, FAILURE, LOAD, DUE, BEHIND, LAST, STATE, STATEMENTS } statement_id;

struct xh_spool_db {
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENTS];
};

/* The code for one of SQLite's; 0 for rows and the end of them. */
int spool_error_of(int code);
int spool_exec(xh_spool_db *db, const char *sql);

/* The first column of the first row; untouched without a row. */
int spool_read_number(xh_spool_db *db, const char *sql, int64_t *ret_number);

/* NULL for a NULL `text`, which must outlive the step. */
void spool_bind_text(sqlite3_stmt *statement, int at, const char *text);

/* Steps a statement without rows once and makes it ready for the next time. */
int spool_run(sqlite3_stmt *statement);

#endif
