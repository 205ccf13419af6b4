/* Shared by the files of `xo-hooks send`: cmd_send.c (options, outcome), send_input.c (files → events), send_progress.c (what a
 * terminal shows), send_socket.c (to a running program), send_own.c (with a configuration, on its own). */
#ifndef XH_CLI_SEND_H
#define XH_CLI_SEND_H

#include "base/event.h"
#include "cli/command.h"
#include "cli/metadata_option.h"
#include "cli/reach.h"

#include <signal.h>

typedef struct send_counts {
  int64_t sent, accepted, refused; /* events; refused ones are lines that were no event, or were not taken */
  int64_t delivered, dead, pending; /* deliveries, on its own */
  int64_t failed;                   /* with --wait: hooks whose first attempt failed */
} send_counts;

typedef struct send_options {
  reach reach;
  const char *source, *config;
  metadata_options metadata;
  int64_t line_cap_bytes;
  bool wait, json, quiet;
  char **files; /* NULL-terminated; none: standard input */
} send_options;

typedef struct send_run {
  const send_options *options;
  send_counts counts;
  bool progress; /* standard error is a terminal */
  int64_t read_bytes, total_bytes; /* of all files; total -1: not known */
  int64_t begun_ms, shown_ms;      /* by the monotonic clock */
} send_run;

extern volatile sig_atomic_t send_interrupted;

/* ---- input ---- */

typedef struct send_input send_input;

/* `event` is called for each event: valid during the call. What is no event is said and counted. It returns 0, or an xh_exit to stop. */
typedef int (*send_event_cb)(void *arg, const xh_event *event);

/* NULL without memory. */
send_input *send_input_new(send_run *run, send_event_cb event, void *arg);
void send_input_free(send_input *input);

/* Reads on for at most `wait_ms`. Returns XH_EXIT_OK, another xh_exit, or -1 at the end of all files. */
int send_input_read(send_input *input, int wait_ms);

/* ---- ways ---- */

int send_to_socket(send_run *run); /* an xh_exit */
int send_on_its_own(send_run *run);

/* What could not be taken, with its place. */
void send_refuse(send_run *run, const char *file, int64_t line, const char *why);

/* Before anything is read: how much will be? */
void send_progress_begin(send_run *run);

/* The progress line, now and then. */
void send_progress(send_run *run, bool last);

#endif
