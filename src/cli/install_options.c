#include "cli/install_options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

int install_options_take(install_options *o, int argc, char **argv)
{
  static const struct option options[] = {
      {"xo-server", required_argument, NULL, 'x'}, {"dry-run", no_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "x:n", options, NULL)) != -1) {
    if (option == 'x')
      o->xo_server = optarg;
    else if (option == 'n')
      o->dry_run = true;
    else {
      fprintf(stderr, "Try 'xo-hooks %s --help'.\n", o->command->name);
      return XH_EXIT_USAGE;
    }
  }
  return optind < argc ? xh_usage_error(o->command, "unexpected argument: %s", argv[optind]) : XH_EXIT_OK;
}

int install_find_server(const install_options *o, xo_server *ret_server)
{
  static xo_server found[XO_SERVERS_MAX];
  size_t count = xo_servers_find(o->xo_server, found);
  if (count == 0 && o->xo_server)
    return xh_fail(o->command, XH_EXIT_USAGE, "--xo-server %s: no xo-server there (looked for a package.json with the name xo-server, there and in packages/xo-server and node_modules/xo-server)",
                   o->xo_server);
  if (count == 0)
    return xh_fail(o->command, XH_EXIT_UNAVAILABLE, "no xo-server found: say where it is with --xo-server DIR");
  if (count > 1) {
    xh_fail(o->command, XH_EXIT_USAGE, "more than one xo-server found; say which with --xo-server DIR:");
    for (size_t i = 0; i < count; i++)
      fprintf(stderr, "  %s (%s, %s)\n", found[i].package.folder, found[i].package.version, found[i].how);
    return XH_EXIT_USAGE;
  }
  *ret_server = found[0];
  return XH_EXIT_OK;
}

int install_failed(const install_options *o, const char *doing, const char *path)
{
  const char *advice = errno == EACCES || errno == EPERM ? " (run it as root, or as the user whom xo-server's files belong to)" : "";
  return xh_fail(o->command, XH_EXIT_UNAVAILABLE, "%s %s: %s%s", doing, path, strerror(errno), advice);
}
