/* Shared by the files of `xo-hooks log`: cmd_log.c (options, pages, lines) and log_follow.c (what comes and what changes). */
#ifndef XH_CLI_LOG_H
#define XH_CLI_LOG_H

#include "cli/command.h"
#include "cli/filter_options.h"
#include "cli/reach.h"

enum { LOG_PARAMS_CAP_BYTES = 256 * 1024, LOG_PAGE_CAP_BYTES = 64 * 1024 * 1024 };

typedef struct log_options {
  reach reach;
  filter_options filter;
  int64_t limit;
  bool json, follow;
} log_options;

/* One delivery of a list, as a line of text or of JSON. */
void log_print(const log_options *o, xh_str delivery);

/* Deliveries of lists, copied: answers are newest first, and a log is read with the newest last. */
typedef struct log_lines {
  char **lines;
  int64_t count, room;
} log_lines;

bool log_collect(log_lines *c, xh_str delivery); /* false without memory */
void log_lines_done(log_lines *c);

typedef struct log_follower log_follower;

/* Notes what is there now. An xh_exit; what failed was said. */
int log_follower_new(log_options *o, log_follower **ret_follower);
void log_follower_free(log_follower *f); /* NULL allowed */

/* The first number that log_follow() will print: what is below was there before. */
int64_t log_follower_begin(const log_follower *f);

/* Prints what comes and what changes, until standard output fails or the outbox can't be read. An xh_exit. */
int log_follow(log_follower *f);

#endif
