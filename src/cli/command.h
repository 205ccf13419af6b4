/*
 * The table of commands: one file cmd_NAME.c a command, listed in main.c. Only this folder prints for people and exits.
 */
#ifndef XH_CLI_COMMAND_H
#define XH_CLI_COMMAND_H

#include <stdio.h>

/* Exit codes of every command; xo-hooks(1) documents them. */
enum xh_exit {
  XH_EXIT_OK = 0,
  XH_EXIT_FAILED = 1,      /* it ran, and the answer is no: mistakes found, deliveries dead, a test failed */
  XH_EXIT_USAGE = 2,       /* wrong options, or a file that can't be read */
  XH_EXIT_UNAVAILABLE = 3, /* no running program, data folder in use or missing, no space */
  XH_EXIT_INTERRUPTED = 130
};

typedef struct xh_command {
  const char *name;
  const char *summary; /* one line of `xo-hooks --help` */
  const char *help;    /* all of `xo-hooks NAME --help`: usage, options, examples */
  int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an xh_exit */
} xh_command;

extern const xh_command xh_cmd_check, xh_cmd_schema, xh_cmd_serve, xh_cmd_send, xh_cmd_test, xh_cmd_log, xh_cmd_show,
    xh_cmd_retry, xh_cmd_stats, xh_cmd_prune, xh_cmd_listen, xh_cmd_spool, xh_cmd_install, xh_cmd_uninstall;

/* "xo-hooks NAME: text" and "Try 'xo-hooks NAME --help'." on standard error; returns XH_EXIT_USAGE. */
int xh_usage_error(const xh_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "xo-hooks NAME: text" on standard error; returns `code`. */
int xh_fail(const xh_command *command, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The data folder when --data is not given: $XO_HOOKS_DATA, else /var/lib/xo-hooks for root, else $XDG_STATE_HOME/xo-hooks or
 * ~/.local/state/xo-hooks. Static storage. */
const char *xh_default_data_folder(void);

/* Terminal colours: the escape sequence when `out` is a terminal and NO_COLOR is unset, otherwise "". */
typedef enum xh_colour { XH_PLAIN, XH_BOLD, XH_DIM, XH_RED, XH_GREEN, XH_YELLOW, XH_BLUE } xh_colour;
const char *xh_colour_code(FILE *out, xh_colour colour);

#endif
