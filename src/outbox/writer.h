/*
 * The writer thread: takes queued operations, runs many in one transaction, commits, gives them back. While the disk refuses it keeps
 * what must be written, answers accepts early (not durable), and tries again each second; it sleeps when there is nothing to do.
 */
#ifndef XH_OUTBOX_WRITER_H
#define XH_OUTBOX_WRITER_H

#include "outbox/store.h"

typedef struct writer writer;

typedef struct writer_options {
  void (*wake)(void *arg); /* on the writer thread: something can be taken */
  void *wake_arg;
  size_t memory_cap_bytes;
  int trouble; /* 0, or why the store could not be opened for writing: it has no connection yet */
} writer_options;

typedef struct writer_state {
  store_totals totals;
  int64_t id_limit; /* of the store */
  int64_t commit_count;
  int64_t refused_count;
  int64_t memory_bytes;
  int64_t degraded_since_ms; /* 0: all is well */
  int trouble;               /* code of base/err.h */
} writer_state;

/* Takes the store (by value; the caller's is empty after) and starts. Returns 0 or XH_ENOMEM, then the store stays the caller's. */
int writer_start(const writer_options *options, store *s, writer **ret_writer);

/* Main thread. Takes the operation. After writer_stop it comes back at once with XH_ECLOSED. */
void writer_put(writer *w, operation *op);

typedef struct writer_output {
  op_queue done;
  operation *early; /* through next_early: accepts to be answered now as not durable; they come back in `done` later */
  bool lost;        /* a new database was begun: the writer waits for writer_restore */
} writer_output;

/* Main thread. What has come back since the last time. */
void writer_take(writer *w, writer_output *ret_output);

/* Main thread. Takes the operations that store all identities again; answers `lost`. */
void writer_restore(writer *w, op_queue *identities);

void writer_get_state(writer *w, writer_state *ret_state); /* any thread */

/* Writes what is queued, closes the store, ends the thread. `identities` (taken) are for a database that is lost before the end. */
void writer_stop(writer *w, op_queue *identities);
void writer_free(writer *w); /* after writer_stop, and after everything was taken */

#endif
