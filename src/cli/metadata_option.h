/* --allow-metadata of serve, send and test. */
#ifndef XH_CLI_METADATA_OPTION_H
#define XH_CLI_METADATA_OPTION_H

#include "cli/command.h"

#include <stddef.h>

enum { METADATA_MAX = 16 };

typedef struct metadata_options {
  const char *items[METADATA_MAX]; /* as xh_transport_options takes them */
  size_t count;
} metadata_options;

/* XH_EXIT_OK, or XH_EXIT_USAGE after having said why: neither "all" nor an address of a metadata service that is known. */
int metadata_take(metadata_options *options, const xh_command *command, const char *argument);

#endif
