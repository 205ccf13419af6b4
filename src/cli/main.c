/* xo-hooks: a table of commands. */
#include "cli/command.h"
#include "cli/open_files.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

static const xh_command *const commands[] = {
    &xh_cmd_check, &xh_cmd_schema, &xh_cmd_serve, &xh_cmd_send, &xh_cmd_test, &xh_cmd_log, &xh_cmd_show, &xh_cmd_retry, &xh_cmd_stats, &xh_cmd_prune, &xh_cmd_listen, &xh_cmd_spool, &xh_cmd_install, &xh_cmd_uninstall, NULL,
};

static const char tail[] =
    "\n"
    "xo-hooks COMMAND --help explains one command, with examples.\n"
    "\n"
    "A first hook in one minute:\n"
    "  xo-hooks listen &                                   a receiver on port 3000\n"
    "  echo '{\"hooks\":[{\"method\":\"vm.*\",\"type\":\"post\",\"url\":\"http://127.0.0.1:3000/\",\"format\":\"json\"}]}' > hooks.json\n"
    "  xo-hooks check hooks.json                           any mistakes?\n"
    "  xo-hooks test --config hooks.json                   a sample to each hook\n"
    "\n"
    "Exit status: 0 done; 1 done, and the answer is no; 2 wrong usage or unreadable file; 3 not available.\n";

static int help(FILE *out)
{
  fputs("Usage: xo-hooks COMMAND [OPTION]…\n\nWeb hooks for Xen Orchestra that never slow it, never lose an event, and show what became of each.\n\n",
        out);
  for (size_t i = 0; commands[i]; i++)
    fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
  fputs("  --version  show the version\n  --help     show this\n", out);
  fputs(tail, out);
  return out == stdout ? XH_EXIT_OK : XH_EXIT_USAGE;
}

static const xh_command *find(const char *name)
{
  for (size_t i = 0; commands[i]; i++)
    if (strcmp(commands[i]->name, name) == 0)
      return commands[i];
  return NULL;
}

static int asks_help(int argc, char **argv)
{
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
      return 1;
  return 0;
}

int main(int argc, char **argv)
{
  open_files_fill_standard();
  setlocale(LC_CTYPE, "C.UTF-8");
  signal(SIGPIPE, SIG_IGN);
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0)
    return puts("xo-hooks " XH_VERSION) < 0 ? XH_EXIT_FAILED : XH_EXIT_OK;
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc < 3))
    return help(stdout);
  int shift = strcmp(name, "help") == 0 ? 2 : 1;
  const xh_command *command = argc > 1 ? find(argv[shift]) : NULL;
  if (!command) {
    if (argc > 1)
      fprintf(stderr, "xo-hooks: unknown command: %s\n\n", argv[shift]);
    return help(stderr);
  }
  if (shift == 2 || asks_help(argc - 1, argv + 1))
    return fputs(command->help, stdout) < 0 ? XH_EXIT_FAILED : XH_EXIT_OK;
  int status = command->run(argc - 1, argv + 1);
  return fflush(stdout) != 0 && status == XH_EXIT_OK ? XH_EXIT_FAILED : status;
}
