/*
 * The SQL of the operations, on the writing connection. Everything runs inside a transaction that the writer begins and commits; what a
 * batch adds up to (counts of targets, totals, progress of sources) is gathered and written once, with store_end. Writer thread only.
 */
#ifndef XH_OUTBOX_STORE_H
#define XH_OUTBOX_STORE_H

#include "outbox/operation.h"

#include <sqlite3.h>

enum { STORE_STATEMENTS_MAX = 40, STORE_RETRY_STEP = 4000, STORE_PRUNE_STEP = 250 };

/* Ids are given out by the main thread ahead of commits, up to a limit that is noted in the database: a crash never makes one be used again. Each
 * commit moves the limit on by so much; while the disk refuses, that has to last. */
enum { STORE_ID_GAP = 1000000000 };

typedef struct store_totals {
  int64_t accepted, delivered, dead, attempts; /* since the database was made */
  int64_t pending_now, dead_now;
  int64_t file_bytes;
  int64_t oldest_delivered_ms, oldest_dead_ms; /* settled_ms; 0: none */
} store_totals;

typedef struct target_change {
  int64_t target_id, hook_id, by;
} target_change;

typedef struct source_change {
  int64_t source_id, seq;
  const char *session; /* of an operation of this batch */
} source_change;

typedef struct store {
  sqlite3 *db;
  char *folder;
  sqlite3_stmt *statements[STORE_STATEMENTS_MAX];
  char instance[17];
  int64_t next_id;      /* of deliveries, as the main thread told last */
  int64_t id_limit;     /* as noted: ids from here on must not be given out */
  int64_t next_body_id;
  int64_t clock_ms; /* of the last commit before it was opened */
  store_totals totals;  /* as committed */
  store_totals batch;   /* as they will be when this batch is committed */
  int64_t batch_next_body_id;
  bool meta_moved; /* it must be written, whatever the totals */
  target_change *targets;
  size_t target_count, target_room;
  source_change *sources;
  size_t source_count, source_room;
} store;

/* Opens the folder's database. `keep` (NULL, or a store whose database was set aside) hands its identity and totals on. */
int store_open(store *s, const char *folder, const store *keep);
/*
 * For a disk that takes nothing: reads what is there without making a file, or makes an identity in memory when there is nothing; `db` is for reading,
 * NULL without one. What is given out now can't be noted: ids go on from the time in microseconds, where no other life has been.
 */
int store_open_alone(store *s, const char *folder);
/* With `clean`, notes that no ids were given out beyond next_id. Frees everything, `folder` too. */
void store_close(store *s, bool clean);

/* Closes the connection; identity, numbers and totals stay. */
void store_disconnect(store *s);

int store_begin(store *s);
int store_end(store *s); /* writes what was gathered, commits */
void store_rollback(store *s);

/* Does one operation. 0 or an error: XH_EFULL, XH_EIO, XH_EDENIED, XH_EBUSY and XH_ECORRUPT speak of the disk, others of the operation. */
int store_do(store *s, operation *op);

/* Moves a damaged database out of the way; `ret_name` gets its new file name. */
int store_set_aside(const char *folder, char *ret_name, size_t size);

/* ---- shared by the store's files ---- */

/* The statement of a text in static storage, prepared when first asked for, reset; NULL with the error in *ret_rc. */
sqlite3_stmt *store_statement(store *s, int slot, const char *sql, int *ret_rc);
int store_step(sqlite3_stmt *statement); /* a statement without rows */
int store_count_target(store *s, int64_t target_id, int64_t hook_id, int64_t by);
int store_read_int(store *s, int slot, const char *sql, int64_t parameter, int64_t *ret_value);

int store_identity(store *s, operation *op);
int store_accept(store *s, op_accept *accept);
int store_settle(store *s, xh_settlement *settlement);
int store_refill(store *s, op_refill *refill);
int store_next_due(store *s, op_next_due *ask);
int store_retry(store *s, operation *op);
int store_shift(store *s, int64_t shift_ms);
int store_prune(store *s, operation *op);
int store_look_up_ages(store *s);

/* One number a statement. */
enum store_slot {
  SLOT_SOURCE, SLOT_HOOK, SLOT_TARGET, SLOT_STOPPED, SLOT_HELD, SLOT_BODY, SLOT_DELIVERY, SLOT_SETTLE, SLOT_SETTLE_TOUCH, SLOT_ATTEMPT, SLOT_FIRST_ATTEMPT,
  SLOT_FRESH, SLOT_DUE, SLOT_NEXT_DUE, SLOT_SHIFT, SLOT_META, SLOT_TARGET_COUNT, SLOT_PROGRESS, SLOT_PICK_ID, SLOT_PICK_DEAD, SLOT_REVIVE,
  SLOT_RESTART, SLOT_OLD, SLOT_OLDEST, SLOT_UNBODY, SLOT_DELETE_BODY, SLOT_DELETE_ATTEMPTS, SLOT_DELETE, SLOT_PAGES, SLOT_FREE_PAGES,
  SLOT_PAGE_SIZE, SLOT_VACUUM, SLOT_AGE
};

#endif
