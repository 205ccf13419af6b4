/* What `install` and `uninstall` have in common: their options, and the one xo-server that they are about. */
#ifndef XH_CLI_INSTALL_OPTIONS_H
#define XH_CLI_INSTALL_OPTIONS_H

#include "cli/command.h"
#include "cli/xo_server.h"

typedef struct install_options {
  const xh_command *command;
  const char *xo_server; /* borrowed from argv; NULL: find it */
  bool dry_run;
} install_options;

#define INSTALL_OPTIONS_HELP                                                                                        \
  "  -x, --xo-server DIR  xo-server's package, its sources, or a node_modules folder that holds it; without it:\n"  \
  "                       the one around the working folder, a running one, the one in PATH, the usual places\n"    \
  "  -n, --dry-run        say what would be done, and do nothing\n"

/* Takes the options of argv; an error is told. Returns an xh_exit. */
int install_options_take(install_options *options, int argc, char **argv);

/* Finds xo-server, or tells why not: none, or more than one. Returns an xh_exit. */
int install_find_server(const install_options *options, xo_server *ret_server);

/* Tells that `path` (of a failed tree_… call) could not be worked on; errno says why. Returns an xh_exit. */
int install_failed(const install_options *options, const char *doing, const char *path);

#endif
