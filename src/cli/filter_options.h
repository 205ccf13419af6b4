/* The filters of `log` and `retry` on the command line → the parameters of a call. */
#ifndef XH_CLI_FILTER_OPTIONS_H
#define XH_CLI_FILTER_OPTIONS_H

#include "base/buf.h"
#include "cli/command.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct filter_options {
  const char *status, *method, *hook, *user, *source;
  int64_t since_ms, until_ms; /* 0: open */
} filter_options;

#define FILTER_OPTIONS                                                                                                       \
  {"method", required_argument, NULL, 'm'}, {"hook", required_argument, NULL, 'H'}, {"user", required_argument, NULL, 'u'}, \
      {"source", required_argument, NULL, 'S'}, {"since", required_argument, NULL, 'a'}, {"until", required_argument, NULL, 'b'}
#define FILTER_HELP                                                              \
  "  -m, --method NAME   of this method; with wildcards: \"vm.*\"\n"            \
  "  -H, --hook HOOK     of the hook with this name, label or URL (shown or as configured)\n" \
  "  -u, --user USER     of this user, by name or id\n"                         \
  "  -S, --source NAME   of this source\n"                                      \
  "      --since TIME    accepted at or after: 2026-11-23T08:15, or 90s, 15m, 2h, 7d ago\n" \
  "      --until TIME    accepted at or before\n"

/* 1 when the option is one of them, 0 when not, -1 after having said what is wrong with it. */
int filter_take(filter_options *f, const xh_command *command, int option, const char *argument);

/* Appends `"method":…,…`; returns whether there was any. A comma goes before when `more`. */
bool filter_put(const filter_options *f, xh_buf *params, bool more);

#endif
