#include "cli/command.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static void __attribute__((format(printf, 2, 0))) say(const xh_command *command, const char *format, va_list args)
{
  fprintf(stderr, "xo-hooks %s: ", command->name);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
}

int xh_usage_error(const xh_command *command, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say(command, format, args);
  va_end(args);
  fprintf(stderr, "Try 'xo-hooks %s --help'.\n", command->name);
  return XH_EXIT_USAGE;
}

int xh_fail(const xh_command *command, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say(command, format, args);
  va_end(args);
  return code;
}

const char *xh_default_data_folder(void)
{
  static char folder[4096];
  const char *set = getenv("XO_HOOKS_DATA");
  const char *state = getenv("XDG_STATE_HOME");
  const char *home = getenv("HOME");
  if (set && *set)
    snprintf(folder, sizeof folder, "%s", set);
  else if (geteuid() == 0)
    snprintf(folder, sizeof folder, "/var/lib/xo-hooks");
  else if (state && *state)
    snprintf(folder, sizeof folder, "%s/xo-hooks", state);
  else
    snprintf(folder, sizeof folder, "%s/.local/state/xo-hooks", home ? home : ".");
  return folder;
}

const char *xh_colour_code(FILE *out, xh_colour colour)
{
  static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[34m"};
  const char *no_color = getenv("NO_COLOR");
  return isatty(fileno(out)) && !(no_color && *no_color) ? codes[colour] : "";
}
