/*
 * One script as a process: started directly, without a shell, in a process group of its own; its output in lines; a time limit after which the
 * whole group is ended. Loop thread only.
 */
#ifndef XH_RECEIVER_PROCESS_H
#define XH_RECEIVER_PROCESS_H

#include "base/str.h"

#include <stdint.h>
#include <uv.h>

enum {
  XH_OUTPUT_LINE_BYTES = 4096,        /* longer lines are cut into several */
  XH_OUTPUT_RUN_BYTES = 1024 * 1024,  /* of one run; what comes after it is read and dropped */
  XH_KILL_AFTER_MS = 2000,            /* between SIGTERM and SIGKILL */
  XH_OUTPUT_GRACE_MS = 1000           /* for the output to be closed after the process has ended; at most what is left of the limit */
};

/* Watches SIGCHLD for all processes of a loop. Scripts get the default of every signal that is ignored when it is made. */
typedef struct xh_reaper xh_reaper;
int xh_reaper_new(uv_loop_t *loop, xh_reaper **ret_reaper);
void xh_reaper_close(xh_reaper *reaper); /* with no process left; freed on the loop */

typedef struct xh_process xh_process;

typedef struct xh_process_end {
  int exit_status; /* -1 when a signal ended it */
  int signal;
  bool timed_out;
  bool left; /* it ended, and left something in its group that kept the output open: that is being ended */
} xh_process_end;

/* All is borrowed for the call of xh_process_start. */
typedef struct xh_process_spec {
  const char *path; /* absolute */
  const char *name; /* argv[0] */
  char *const *env;
  const char *workdir; /* NULL: ours */
  xh_str input;
  int64_t limit_ms; /* 0: none */
  void *arg;
  void (*line)(void *arg, xh_str text);                      /* without its newline */
  void (*ended)(void *arg, const xh_process_end *end); /* last; the process is gone afterwards */
} xh_process_spec;

/*
 * Starts it. Returns 0, then `ended` is called once, later: when the process has ended and its output was closed or XH_OUTPUT_GRACE_MS have
 * passed, or the group was killed. Otherwise a code, and `ret_errno` is the system's.
 */
int xh_process_start(xh_reaper *reaper, const xh_process_spec *spec, xh_process **ret_process, int *ret_errno);

/* SIGTERM to the group, and SIGKILL XH_KILL_AFTER_MS later. */
void xh_process_stop(xh_process *process);

#endif
