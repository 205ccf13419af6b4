/* xo-hooks uninstall: takes the plugin out of xo-server again. */
#include "cli/install_place.h"

#include <stdio.h>

static int take_out(const install_options *o, const place *p)
{
  int status = o->dry_run ? XH_EXIT_OK : install_take(o, p);
  if (status == XH_EXIT_OK)
    printf("plugin        %s %s from %s\n", p->state == PLACE_HALF ? "a part of it, left by an interrupted run," : p->package.version,
           o->dry_run ? "would be removed" : "removed", p->path);
  return status;
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
  package plugin;
  place places[2];
  int status = install_options_take(&o, argc, argv);
  if (status == XH_EXIT_OK)
    status = install_find_server(&o, &server);
  if (status != XH_EXIT_OK)
    return status;
  printf("xo-server     %s in %s (%s)\n", server.package.version, server.package.folder, server.how);
  install_lock(&server);
  install_places(&server, own_plugin(&plugin) ? &plugin : NULL, places);
  size_t cleaned;
  status = install_clean(&o, places, &cleaned);
  bool found = false;
  for (size_t i = 0; i < 2 && status == XH_EXIT_OK; i++) {
    if (places[i].state != PLACE_OURS && places[i].state != PLACE_HALF)
      continue;
    found = true;
    status = take_out(&o, &places[i]);
  }
  if (!found && status == XH_EXIT_OK)
    printf("plugin        not installed there%s\n", cleaned ? "" : ": nothing changed");
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
            "no outbox. From xo-server's next start on, the stock plugin is loaded again. Run again, it changes nothing; after an\n"
            "interruption, it removes what was left.\n"
            "\n" INSTALL_OPTIONS_HELP "\n"
            "Examples:\n"
            "  xo-hooks uninstall\n"
            "  xo-hooks uninstall --xo-server /opt/xen-orchestra\n"
            "\n"
            "Exit status: 0 removed, or was not there; 2 wrong usage, or more than one xo-server; 3 no xo-server found, or its folder\n"
            "can't be written.\n",
    .run = run,
};
