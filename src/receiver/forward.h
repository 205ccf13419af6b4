/*
 * Passes requests on to other URLs, unchanged: body and headers as they came. libcurl in a thread of its own. The functions and callbacks
 * belong to the loop's thread.
 */
#ifndef XH_RECEIVER_FORWARD_H
#define XH_RECEIVER_FORWARD_H

#include "receiver/job.h"

#include <uv.h>

/* At a time, and of these for one target: each has an equal share, so that one that is slow holds up no other. */
enum { XH_FORWARD_ACTIVE_MAX = 64, XH_FORWARD_TARGET_ACTIVE_MAX = 16, XH_FORWARD_ANSWER_BYTES = 2048 };

typedef struct xh_forward xh_forward;

typedef struct xh_forward_options {
  uv_loop_t *loop;
  const char *const *urls; /* at least one; borrowed */
  size_t url_count;
  size_t queue_max, queue_bytes; /* that may wait for one target; 0: any number */
  int64_t timeout_ms; /* of one request in all */
  const char *ca_file; /* NULL: the system's; borrowed */
  void *arg;
  /* The attempt has ended; the job is the callee's again. */
  void (*done)(void *arg, xh_job *job, const xh_job_outcome *outcome);
} xh_forward_options;

int xh_forward_new(const xh_forward_options *options, xh_forward **ret_forward);

/* Takes the job (job->forward is its URL, one of `urls`); `done` follows. Or returns XH_EFULL, when too much waits for its target. */
int xh_forward_add(xh_forward *forward, xh_job *job);

/* Does too much wait for every target? */
bool xh_forward_full(xh_forward *forward);

size_t xh_forward_count(const xh_forward *forward); /* added and not done */
size_t xh_forward_running(xh_forward *forward);     /* of these, begun */

/* Begins nothing more; what runs goes on to its end. */
void xh_forward_pause(xh_forward *forward);

/* Ends what is under way; jobs that are not done are freed without a word. NULL allowed. */
void xh_forward_close(xh_forward *forward);

/* Is it an http or https URL with a host? `shown` gets it without user name, password and query. */
bool xh_forward_url_ok(const char *url, char *shown, size_t size);

#endif
