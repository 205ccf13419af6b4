/*
 * The database of the data folder: its name, its tables and how an older one becomes today's.
 *
 * The tables are the contract between the outbox, which writes them, and the report, which reads them:
 *
 *   meta       one row: instance (16 hex digits), and the totals since the database was made
 *   source     who sends events, with the last session and sequence number that were committed for it
 *   hook       a hook's configuration as deliveries were accepted with it; label and url_shown hold no secrets
 *   target     where hooks send to; key_hash is SHA-256, because keys hold secrets; pending_count is kept with each commit
 *   body       bytes: events as kept for `show`, and what is sent; ref_count counts the deliveries' two columns
 *   delivery   one hook's request for one event. next_attempt_ms is 0 for one never tried, else wall clock; state as xh_state
 *   attempt    one try; n counts from 1 within a delivery, also those that do not count in attempt_count (probes)
 *
 * Times are milliseconds of the wall clock (_ms) or durations in microseconds (_us; -1: that step was not reached).
 */
#ifndef XH_OUTBOX_SCHEMA_H
#define XH_OUTBOX_SCHEMA_H

#include <sqlite3.h>

#define XH_DATABASE_NAME "outbox.db"

enum { XH_SCHEMA_VERSION = 2, XH_APPLICATION_ID = 0x786f686b /* "xohk" */ };

/*
 * Opens the database in `folder` for writing (0600; WAL, synchronous=FULL), makes or migrates its tables. Returns 0, or
 * XH_EVERSION (made by a newer program), XH_ECORRUPT, XH_EDENIED, XH_EFULL, XH_EIO, XH_ENOMEM. Any thread; the connection
 * is for one thread at a time and released with sqlite3_close.
 */
int xh_schema_open(const char *folder, sqlite3 **ret_db);

/* The same for reading beside a writer; the database must exist (else XH_ENOENT) and have today's version (else XH_EVERSION or XH_EOLDER). */
int xh_schema_open_readonly(const char *folder, sqlite3 **ret_db);

/*
 * Reads a database that nobody else has open, without making any file beside it: for a disk that takes nothing. XH_ENOENT when there is none, or an
 * empty one; XH_EVERSION or XH_EOLDER unless it has today's version.
 */
int xh_schema_open_alone(const char *folder, sqlite3 **ret_db);

/* A new outbox's name: 16 hex digits. 0 or XH_EIO. */
int xh_schema_draw_instance(char ret_instance[17]);

/* SQLite's result code → ours. */
int xh_schema_error(int sqlite_code);

#endif
