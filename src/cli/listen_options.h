/* What `xo-hooks listen` was told on its command line. */
#ifndef XH_CLI_LISTEN_OPTIONS_H
#define XH_CLI_LISTEN_OPTIONS_H

#include "base/signature.h"
#include "receiver/receiver.h"

enum { LISTEN_LIST_MAX = 64 };

typedef struct listen_options {
  xh_receiver_options receiver; /* its strings point here, to argv, or to what `owned` holds */
  const char *pass_env[LISTEN_LIST_MAX];
  const char *forwards[XH_FORWARDS_MAX];
  xh_secret secrets[2];
  char *owned[8]; /* files' contents and absolute paths, to free() */
  size_t owned_count;
  bool end_scripts; /* at the stop: ends them instead of waiting */
  bool quiet;
  bool json, text; /* said on the command line */
} listen_options;

/* An xh_exit; what is wrong was said. listen_options_done either way. */
int listen_options_parse(int argc, char **argv, listen_options *o);
void listen_options_done(listen_options *o);

extern const char LISTEN_HELP[];

#endif
