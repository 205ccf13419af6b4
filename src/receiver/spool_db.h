/*
 * The spool's database: DIR/spool.db (SQLite). One connection a thread; several processes may have it open, so that `xo-hooks spool`
 * works beside a running receiver.
 *
 *   job    one thing to do for one request; gone when done. lane: '' for the scripts, or the URL to pass on to. state 0 pending, 1 failed.
 *          next_ms: 0 for one that was not tried yet, else the wall clock time of the next attempt (or of the one that runs); 1 after a retry by hand
 *   seen   the deliveries of the last day
 */
#ifndef XH_RECEIVER_SPOOL_DB_H
#define XH_RECEIVER_SPOOL_DB_H

#include "receiver/job.h"

#include <stdbool.h>
#include <stdint.h>

#define XH_SPOOL_WAKE_FILE "wake" /* in the folder; made and watched by the receiver, touched by xh_spool_db_wake */

typedef struct xh_spool_db xh_spool_db;

/* Opens it, and with `create` makes folder (0700), file (0600) and tables; without, it writes nothing. Returns 0, or XH_ENOENT without `create`, XH_EVERSION, XH_ECORRUPT,
 * XH_EDENIED, XH_EFULL, XH_EIO, XH_ENOMEM. */
int xh_spool_db_open(const char *folder, bool create, xh_spool_db **ret_db);
void xh_spool_db_close(xh_spool_db *db); /* NULL allowed */

int xh_spool_db_begin(xh_spool_db *db);
int xh_spool_db_commit(xh_spool_db *db); /* synced when it returns 0; rolled back otherwise */
void xh_spool_db_rollback(xh_spool_db *db);
bool xh_spool_db_in_transaction(const xh_spool_db *db);

/* Is the file not in its place any more: deleted, moved or replaced? What is written to it then is lost. One stat(). */
bool xh_spool_db_is_gone(xh_spool_db *db);

/* Stores the job and sets its spool_id. */
int xh_spool_db_add(xh_spool_db *db, xh_job *job, int64_t now_ms);
int xh_spool_db_add_seen(xh_spool_db *db, const char *delivery, int64_t now_ms);

/* The job is done: forgets it. */
int xh_spool_db_done(xh_spool_db *db, int64_t id);

typedef struct xh_spool_failure {
  int attempts;     /* made so far */
  int64_t next_ms;  /* the next one; 0: no more, it is kept as failed */
  const char *resume, *error; /* NULL allowed */
  xh_str tail;                /* may hold any byte */
} xh_spool_failure;
int xh_spool_db_failure(xh_spool_db *db, int64_t id, const xh_spool_failure *failure, int64_t now_ms);

/* Where the jobs go that the three functions below find. */
typedef struct xh_spool_taker {
  void *arg;
  bool (*is_out)(void *arg, int64_t id, const char *object); /* the job, or another one of its object (NULL: none), was taken and has not ended */
  bool (*fits)(void *arg, size_t body_bytes);                /* is there room for one more, of this size? */
  int (*take)(void *arg, xh_job *job);                       /* returns 0, or XH_ENOMEM and leaves the job */
} xh_spool_taker;

/*
 * Takes the jobs of `lane` that come after *cursor and have not been tried, in order of arrival, and moves the cursor, to the end when all fit. Otherwise
 * *ret_full becomes true. A job behind a pending one of the same object is passed over; xh_spool_db_load_behind finds it when its turn comes.
 */
int xh_spool_db_load(xh_spool_db *db, const char *lane, int64_t *cursor, const xh_spool_taker *taker, bool *ret_full);

/* Takes the jobs whose next attempt is due, and those retried by hand. *ret_next_ms: when there will be another; 0 when one is due and does not fit;
 * INT64_MAX when none waits for its time. */
int xh_spool_db_load_due(xh_spool_db *db, const char *lane, int64_t now_ms, const xh_spool_taker *taker, int64_t *ret_next_ms);

/* Takes the first pending job of `object`, if `cursor` has passed it over. When it waits for its time, that becomes *ret_next_ms, if it is earlier. */
int xh_spool_db_load_behind(xh_spool_db *db, const char *lane, const char *object, int64_t cursor, const xh_spool_taker *taker, bool *ret_full,
                            int64_t *ret_next_ms);

/* Calls `found` for each remembered delivery: `state` is -1 for one that is done, else its job's state. Forgets those before `since_ms`. */
int xh_spool_db_each_seen(xh_spool_db *db, int64_t since_ms, void (*found)(void *arg, xh_str delivery, int state, int64_t at_ms), void *arg);

/* The same of one delivery. */
int xh_spool_db_state(xh_spool_db *db, const char *delivery, int *ret_state);

/* What waits for a time after `latest_ms` becomes due now: the clock was set back, or was wrong. */
int xh_spool_db_pull_in(xh_spool_db *db, int64_t latest_ms);

/* Forgets deliveries before `since_ms`, and gives free pages back to the file system, some at a time: *ret_more says whether there are others.
 * *ret_oldest_ms is of the oldest delivery that is remembered, INT64_MAX without one. */
int xh_spool_db_tidy(xh_spool_db *db, int64_t since_ms, bool *ret_more, int64_t *ret_oldest_ms);

/* For people. Strings are borrowed for the callback. */
typedef struct xh_spool_row {
  int64_t id;
  bool failed;
  const char *delivery, *method, *lane, *object, *error, *resume;
  xh_str tail;
  int type; /* xh_event_type; 0 for cards */
  int attempts;
  int64_t received_ms, next_ms, failed_ms;
  xh_str body;
} xh_spool_row;
typedef void (*xh_spool_row_cb)(void *arg, const xh_spool_row *row);

typedef enum xh_spool_which { XH_SPOOL_ALL, XH_SPOOL_PENDING, XH_SPOOL_FAILED } xh_spool_which;

/* Up to `limit` rows in order of arrival, without bodies. */
int xh_spool_db_list(xh_spool_db *db, xh_spool_which which, int64_t limit, xh_spool_row_cb found, void *arg);

/* The rows of a number, or of a delivery's id; with bodies. XH_ENOENT when there is none. */
int xh_spool_db_show(xh_spool_db *db, const char *name, xh_spool_row_cb found, void *arg);

/* Makes jobs due now, with all their attempts: all that failed, or of a number or delivery's id those that failed or wait for their next attempt. */
int xh_spool_db_retry(xh_spool_db *db, const char *name, int64_t now_ms, int64_t *ret_count);

/* Has a receiver of this folder, if one runs, look for what was made due. */
void xh_spool_db_wake(const char *folder);

int xh_spool_db_count(xh_spool_db *db, int64_t *ret_pending, int64_t *ret_failed);
int xh_spool_db_count_lane(xh_spool_db *db, const char *lane, int64_t *ret_pending);

#endif
