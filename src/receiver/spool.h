/*
 * The spool: jobs on disk, written by a thread of its own, so that the loop never waits for the disk. What arrives while one commit is being
 * synced goes into the next one together. The functions and callbacks belong to the loop's thread.
 */
#ifndef XH_RECEIVER_SPOOL_H
#define XH_RECEIVER_SPOOL_H

#include "receiver/job.h"
#include "receiver/spool_db.h"

#include <uv.h>

enum { XH_SPOOL_WAIT_MAX_MS = 3600 * 1000 }; /* before the next attempt; what waits longer was dated by a clock that was wrong */

typedef struct xh_spool xh_spool;

typedef struct xh_spool_options {
  uv_loop_t *loop;
  const char *folder;
  const char *const *lanes; /* "" for the scripts, and the URLs to pass on to; borrowed for the spool's life */
  size_t lane_count;
  size_t window_bytes; /* of bodies that a lane may have loaded or handed out; one job is always allowed */
  int64_t seen_since_ms; /* remembered deliveries before it are forgotten */
  void *arg;
  /* For each remembered delivery, within xh_spool_open; see xh_spool_db_each_seen. */
  void (*seen)(void *arg, xh_str delivery, int state, int64_t at_ms);
  /* A request's jobs are committed and synced, or were not (`rc`): `tag` is what xh_spool_add was given. `jobs`, borrowed,
   * have their spool_id. Comes before any of their turns. */
  void (*added)(void *arg, void *tag, int rc, const xh_job *jobs);
  /* A job's turn has come: the callee's now. */
  void (*turn)(void *arg, size_t lane, xh_job *job);
  /* The end of a job is written; `state` is its delivery's as in xh_spool_db_each_seen. Of those that nothing is remembered of, too. NULL: not wanted. */
  void (*settled)(void *arg, const char *delivery, int state);
  /* The database has begun to refuse, or works again (0). */
  void (*trouble)(void *arg, int rc);
} xh_spool_options;

/* Opens (or makes) the database and starts the thread. Nothing is handed out before xh_spool_grant. Returns 0, XH_EBUSY when another
 * receiver has the folder, or a code of xh_spool_db_open. */
int xh_spool_open(const xh_spool_options *options, xh_spool **ret_spool);

/* What waited in it when it was opened. */
void xh_spool_found(const xh_spool *spool, int64_t *ret_pending, int64_t *ret_failed);
int64_t xh_spool_found_in(const xh_spool *spool, size_t lane); /* pending ones of a lane */

/* Stores one request's jobs (the list becomes the spool's) and its delivery's id (NULL: none, copied), all or nothing. `added`
 * follows. Returns 0, or XH_ENOMEM and leaves the list. */
int xh_spool_add(xh_spool *spool, xh_job_list *jobs, const char *delivery, void *tag);

/* `count` more jobs of the lane may be handed out. */
void xh_spool_grant(xh_spool *spool, size_t lane, size_t count);

/* A job that was handed out is done (frees it). */
void xh_spool_done(xh_spool *spool, size_t lane, xh_job *job);

/* Its attempt failed (frees it): as the failure says, it is tried again or kept. */
void xh_spool_failed(xh_spool *spool, size_t lane, xh_job *job, const xh_spool_failure *failure);

/* Writes what is left and ends the thread; callbacks may follow until it returns, none later. Frees it. NULL allowed. */
void xh_spool_close(xh_spool *spool);

#endif
