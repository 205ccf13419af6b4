/* xo-hooks uninstall: takes the plugin out of xo-server again. */
#include "cli/install_options.h"
#include "cli/tree.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Also a folder that install made for it and that is empty now; one that is not stays. */
static void remove_empty_parent(const char *path)
{
  char folder[PATH_MAX];
  int length = (int)(strrchr(path, '/') - path);
  if (snprintf(folder, sizeof folder, "%.*s", length, path) == length)
    (void)rmdir(folder);
}

static int take_out(const install_options *o, const place *p)
{
  char where[PATH_MAX];
  if (!o->dry_run) {
    if (tree_remove(p->path, where) != 0)
      return install_failed(o, "removing", where);
    remove_empty_parent(p->path);
  }
  printf("plugin        %s %s from %s\n", p->package.version, o->dry_run ? "would be removed" : "removed", p->path);
  return XH_EXIT_OK;
}

static void tell_next(const xo_server *server)
{
  package stock = {.folder = ""};
  if (xo_server_other_plugin(server, &stock))
    printf("stock plugin  %s in %s: loaded again from the next start on\n", *stock.version ? stock.version : "?", stock.folder);
  printf("\nNext: restart xo-server (systemctl restart xo-server). The saved configuration stays, and so does the outbox, in the folder\n"
         "web-hooks of xo-server's data (/var/lib/xo-server/data/web-hooks unless set otherwise); remove it if you won't come back.\n");
  if (*stock.version)
    puts("The stock plugin refuses a configuration with wildcards or formats that it does not know; choose plain methods for it, with the\n"
         "format JSON or Office 365.");
}

static int run(int argc, char **argv)
{
  install_options o = {.command = &xh_cmd_uninstall};
  xo_server server;
  place places[2];
  int status = install_options_take(&o, argc, argv);
  if (status == XH_EXIT_OK)
    status = install_find_server(&o, &server);
  if (status != XH_EXIT_OK)
    return status;
  printf("xo-server     %s in %s (%s)\n", server.package.version, server.package.folder, server.how);
  xo_server_places(&server, places);
  bool found = false;
  for (size_t i = 0; i < 2 && status == XH_EXIT_OK; i++) {
    if (places[i].state != PLACE_OURS)
      continue;
    found = true;
    status = take_out(&o, &places[i]);
  }
  if (!found)
    puts("plugin        not installed there: nothing changed");
  else if (status == XH_EXIT_OK)
    tell_next(&server);
  return status;
}

const xh_command xh_cmd_uninstall = {
    .name = "uninstall",
    .summary = "take the plugin out of xo-server again",
    .help = "Usage: xo-hooks uninstall [OPTION]…\n"
            "\n"
            "Removes what 'xo-hooks install' put into xo-server's node_modules, and nothing else: no other plugin, no saved configuration,\n"
            "no outbox. From xo-server's next start on, the stock plugin is loaded again. Run again, it changes nothing.\n"
            "\n" INSTALL_OPTIONS_HELP "\n"
            "Examples:\n"
            "  xo-hooks uninstall\n"
            "  xo-hooks uninstall --xo-server /opt/xen-orchestra\n"
            "\n"
            "Exit status: 0 removed, or was not there; 2 wrong usage, or more than one xo-server; 3 no xo-server found, or its folder\n"
            "can't be written.\n",
    .run = run,
};
