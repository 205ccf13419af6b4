/* A configuration file read and compiled, with its mistakes told to people. */
#ifndef XH_CLI_CONFIG_FILE_H
#define XH_CLI_CONFIG_FILE_H

#include "hooks/hooks.h"

enum { XH_CONFIG_CAP_BYTES = 64 * 1024 * 1024 };

/*
 * Reads and compiles it. Returns 0 with the table; XH_ECONFIG, or why it can't be read. `tell` gets one line for each mistake and each
 * warning, as far as they are kept: "FILE: /hooks/3/url: …".
 */
int xh_config_load(const char *path, void (*tell)(bool warning, const char *line), xh_hooks **ret_hooks);

#endif
