/* xo-hooks install: puts the plugin into xo-server. */
#include "cli/install_place.h"
#include "cli/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the plugin goes: its usual name, unless another plugin lies there, which is not touched. */
static const place *choose(const install_options *o, const place places[2])
{
  if (places[0].state == PLACE_FOREIGN) {
    xh_fail(o->command, XH_EXIT_FAILED, "%s: another plugin of that name, which the host takes before any other: remove it first", places[0].path);
    return NULL;
  }
  bool first = places[1].state == PLACE_FOREIGN || places[0].state == PLACE_OURS || places[0].state == PLACE_HALF;
  return &places[first ? 0 : 1];
}

static void tell_stock(const xo_server *server)
{
  package stock;
  if (xo_server_other_plugin(server, &stock))
    printf("stock plugin  %s in %s: not touched, and not loaded while the new one is there\n", *stock.version ? stock.version : "?", stock.folder);
}

static void tell_next(const xo_server *server)
{
  bool runs = strncmp(server->how, "runs", 4) == 0;
  printf("\nThe saved configuration stays: xo-server keeps it under the plugin's name, web-hooks.\n"
         "Next: restart xo-server%s%s%s (systemctl restart xo-server), then look at Settings > Plugins > web-hooks.\n"
         "After an update of xo-server that empties its node_modules, run this again.\n",
         runs ? ", which " : "", runs ? server->how : "", runs ? "," : "");
}

/* Is it there already? A link to the very folder is as good as a copy of it. */
static int is_same(const install_options *o, const package *plugin, const place *p, bool *ret_same)
{
  char where[PATH_MAX], now[PATH_MAX];
  *ret_same = false;
  if (p->state != PLACE_OURS)
    return XH_EXIT_OK;
  *ret_same = realpath(p->path, now) && strcmp(now, plugin->folder) == 0;
  if (!*ret_same && tree_same(plugin->folder, p->path, where, ret_same) != 0)
    return install_failed(o, "reading", where);
  return XH_EXIT_OK;
}

/* What is replaced, for people; NULL: nothing. */
static const char *replaced(const place *p)
{
  if (p->state == PLACE_OURS)
    return p->package.version;
  if (p->state == PLACE_HALF)
    return "a part of it that an interrupted run left";
  return p->state == PLACE_DANGLING ? "a link that leads nowhere" : NULL;
}

static int install(const install_options *o, const package *plugin, const xo_server *server, const place *p)
{
  bool same;
  int status = is_same(o, plugin, p, &same);
  if (status != XH_EXIT_OK)
    return status;
  if (same) {
    printf("plugin        %s is installed already in %s: nothing changed\n", plugin->version, p->path);
    return XH_EXIT_OK;
  }
  status = o->dry_run ? XH_EXIT_OK : install_put(o, p, plugin);
  if (status != XH_EXIT_OK)
    return status;
  const char *from = replaced(p);
  printf("plugin        %s %s in %s%s%s\n", plugin->version, o->dry_run ? "would be installed" : "installed", p->path, from ? ", instead of " : "", from ? from : "");
  if (!o->dry_run)
    tell_next(server);
  return XH_EXIT_OK;
}

static int run(int argc, char **argv)
{
  install_options o = {.command = &xh_cmd_install};
  xo_server server;
  package plugin;
  place places[2];
  int status = install_options_take(&o, argc, argv);
  if (status == XH_EXIT_OK)
    status = install_find_server(&o, &server);
  if (status != XH_EXIT_OK)
    return status;
  if (!own_plugin(&plugin))
    return xh_fail(o.command, XH_EXIT_UNAVAILABLE, "the plugin's folder xo-server-web-hooks is missing: it belongs beside this program");
  printf("xo-server     %s in %s (%s)\n", server.package.version, server.package.folder, server.how);
  install_lock(&server);
  install_places(&server, &plugin, places);
  const place *p = choose(&o, places);
  if (!p)
    return XH_EXIT_FAILED;
  tell_stock(&server);
  size_t cleaned;
  status = install_clean(&o, places, &cleaned);
  return status == XH_EXIT_OK ? install(&o, &plugin, &server, p) : status;
}

const xh_command xh_cmd_install = {
    .name = "install",
    .summary = "put the plugin into xo-server",
    .help = "Usage: xo-hooks install [OPTION]…\n"
            "\n"
            "Finds xo-server, built from sources or packaged, and copies the web-hooks plugin with this program into its node_modules\n"
            "folder, where xo-server finds it before the stock plugin. That one is not touched, and the saved configuration stays.\n"
            "Says what it did and what to do next. Run again, it changes nothing; after an upgrade, it puts the new version there, and after\n"
            "an interruption it mends what was left.\n"
            "\n" INSTALL_OPTIONS_HELP "\n"
            "Examples:\n"
            "  xo-hooks install\n"
            "  xo-hooks install --xo-server /opt/xen-orchestra\n"
            "  xo-hooks install --dry-run\n"
            "\n"
            "Exit status: 0 installed, now or before; 1 another plugin is in the way; 2 wrong usage, or more than one xo-server;\n"
            "3 no xo-server found, or its folder can't be written.\n",
    .run = run,
};
