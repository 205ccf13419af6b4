/* How commands reach what they ask about: the running program through its socket, else the data folder's database itself. */
#ifndef XH_CLI_REACH_H
#define XH_CLI_REACH_H

#include "cli/command.h"
#include "intake/client.h"
#include "outbox/outbox.h"
#include "report/report.h"

#include <stdbool.h>

typedef struct reach {
  const xh_command *command;
  const char *data, *socket; /* as given; NULL */
  xh_client *client;         /* or */
  xh_report *report;
} reach;

/* Connects, or opens the database when nothing runs (not with an explicit socket). An xh_exit; what failed was said. */
int reach_open(reach *r);
void reach_close(reach *r);

/* Asks `deliveries`, `delivery`, `stats` (both ways) or any other call (of a running program only). An xh_exit; what failed was said. */
int reach_call(reach *r, const char *call, xh_str params, xh_buf *result);

/* The same in two steps: reach_ask returns 0 or XH_E… and says nothing; reach_fail says it (`result` as reach_ask left it), an xh_exit. */
int reach_ask(reach *r, const char *call, xh_str params, xh_buf *result);
int reach_fail(const reach *r, int rc, const xh_buf *result);

/* After the running program has gone: is there one again? Then it is connected. */
bool reach_again(reach *r);

const char *reach_folder(const reach *r);

/* Without a running program: opens the outbox, has `ask` queue its operation, waits until that clears *waiting. An xh_exit. */
int reach_outbox(reach *r, int (*ask)(xh_outbox *outbox, void *arg), void *arg, const bool *waiting);

/* The options that all these commands share; false when `option` is none of them. */
#define REACH_OPTIONS {"data", required_argument, NULL, 'd'}, {"socket", required_argument, NULL, 's'}
#define REACH_HELP                                                                              \
  "  -d, --data DIR      the data folder ($XO_HOOKS_DATA, /var/lib/xo-hooks for root, ~/.local/state/xo-hooks)\n" \
  "  -s, --socket PATH   the running program's socket (DIR/xo-hooks.sock)\n"
bool reach_take_option(reach *r, int option, const char *argument);

#endif
