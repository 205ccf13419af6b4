/* What `xo-hooks serve` was told on its command line. */
#ifndef XH_CLI_SERVE_OPTIONS_H
#define XH_CLI_SERVE_OPTIONS_H

#include "cli/metadata_option.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { XH_SERVE_LIST_MAX = 16 };

typedef struct serve_options {
  const char *data;
  const char *config; /* NULL: none */
  bool stdio;
  bool verbose, quiet, plain;
  int nice; /* 0 to 19, as setpriority(2) takes it; 0: leave it */
  const char *sockets[XH_SERVE_LIST_MAX];
  size_t socket_count;
  metadata_options metadata;
  uid_t uids[XH_SERVE_LIST_MAX];
  size_t uid_count;
  int64_t line_cap_bytes, memory_cap_bytes; /* 0: the default */
  int64_t delivered_keep_ms, delivered_keep_bytes, dead_keep_ms;
} serve_options;

/* Returns an xh_exit: XH_EXIT_OK, or XH_EXIT_USAGE after having said why. */
int serve_options_parse(int argc, char **argv, serve_options *ret_options);

#endif
