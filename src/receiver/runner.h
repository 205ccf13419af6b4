/*
 * Runs jobs' scripts: in order of arrival, at most so many at once, those of one object one after the other. Loop thread only.
 */
#ifndef XH_RECEIVER_RUNNER_H
#define XH_RECEIVER_RUNNER_H

#include "receiver/job.h"
#include "receiver/line.h"

#include <uv.h>

typedef struct xh_runner xh_runner;

/* Strings are borrowed for the runner's life. */
typedef struct xh_runner_options {
  uv_loop_t *loop;
  const char *scripts; /* the folder, an absolute path */
  const char *workdir; /* NULL: ours */
  const char *const *pass_env;
  size_t pass_env_count;
  size_t running_max;
  int64_t limit_ms; /* of one script; 0: none */
  bool verbose;     /* a line also for scripts that went well */
  xh_line_style style;
  void *arg;
  void (*print)(void *arg, xh_str line);
  /* The attempt has ended. The job is the callee's again. With a failure, job->resume is the script to begin with next time. */
  void (*done)(void *arg, xh_job *job, const xh_job_outcome *outcome);
} xh_runner_options;

int xh_runner_new(const xh_runner_options *options, xh_runner **ret_runner);

/* Jobs that did not begin are freed. Only when nothing runs; the memory goes on the loop. */
void xh_runner_close(xh_runner *runner);

/* Takes the job; `done` follows, never within this call. */
void xh_runner_add(xh_runner *runner, xh_job *job);

size_t xh_runner_running(const xh_runner *runner);
size_t xh_runner_waiting(const xh_runner *runner); /* added and not begun */

/* Begins nothing more; what runs goes on to its end. */
void xh_runner_pause(xh_runner *runner);

/* Ends what runs, and begins nothing more. */
void xh_runner_end_all(xh_runner *runner);

#endif
