/*
 * Sources, hooks and targets by name: known from the start, given ids in memory, so that the main thread never waits for the disk to
 * learn one. Main thread only. What is new comes back as an operation for the writer.
 */
#ifndef XH_OUTBOX_IDENTITY_H
#define XH_OUTBOX_IDENTITY_H

#include "base/map.h"
#include "outbox/operation.h"

#include <sqlite3.h>

typedef struct identity_source {
  int64_t id;
  char *name;
  char session[64]; /* the last one committed */
  int64_t seq;
} identity_source;

typedef struct identity_hook {
  int64_t id, source_id;
  int64_t stopped_ms;
  char *digest;
  char *config, *label, *shown; /* NULL when it was made in an earlier life */
} identity_hook;

typedef struct identity_target {
  int64_t id;
  int64_t held_since_ms;
  char *hash;
  char *shown;
} identity_target;

typedef struct identities {
  xh_map sources;      /* name → identity_source */
  xh_map sources_by_id;
  xh_map hooks;        /* "source id:digest" → identity_hook */
  xh_map hooks_by_id;
  xh_map targets;      /* hash → identity_target */
  xh_map targets_by_id;
  int64_t last_source, last_hook, last_target;
} identities;

/* Reads what the database knows. Returns 0 or an error; identities_done either way. */
int identities_load(identities *ids, sqlite3 *db);
void identities_done(identities *ids);

/* Finds or makes one. `ret_op` gets the operation that stores it when it is new, else NULL. NULL without memory. */
identity_source *identities_source(identities *ids, xh_str name, operation **ret_op);
identity_hook *identities_hook(identities *ids, int64_t source_id, xh_str digest, xh_str config, xh_str label, xh_str shown,
                               operation **ret_op);
identity_target *identities_target(identities *ids, xh_str key, xh_str shown, operation **ret_op);

/* Operations that store all of them again, after the database was lost; appended to `ret_ops`. */
void identities_again(const identities *ids, op_queue *ret_ops);

#endif
