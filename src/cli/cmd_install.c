/* xo-hooks install: puts the plugin into xo-server. */
#include "cli/install_options.h"
#include "cli/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The plugin's folder that belongs to this program: around it (the program is inside), beside it (a build), or where packages put it. */
static bool find_plugin(package *ret_plugin)
{
  static const char *const places[] = {".", "xo-server-web-hooks", "../share/xo-hooks/xo-server-web-hooks"};
  char self[PATH_MAX], path[PATH_MAX], absolute[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0)
    return false;
  self[length] = '\0';
  *strrchr(self, '/') = '\0';
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (snprintf(path, sizeof path, "%s/%s", self, places[i]) < PATH_MAX && realpath(path, absolute) &&
        package_read(absolute, "xo-server-web-hooks", ret_plugin) && ret_plugin->ours)
      return true;
  return false;
}

/* Makes the folder that will be installed, beside its place so that a rename suffices; the program goes in if it is not there yet. */
static int prepare(const install_options *o, const char *plugin, const char *fresh)
{
  char where[PATH_MAX], program[PATH_MAX + 16];
  if (tree_remove(fresh, where) != 0)
    return install_failed(o, "removing", where);
  if (tree_copy(plugin, fresh, where) != 0)
    return install_failed(o, "copying to", where);
  snprintf(program, sizeof program, "%s/xo-hooks", fresh);
  if (access(program, F_OK) != 0 && tree_copy_file("/proc/self/exe", program, where) != 0)
    return install_failed(o, "copying to", where);
  return XH_EXIT_OK;
}

/* The name of a neighbour of `path`: hidden, so that the host doesn't take it for a plugin. */
static int neighbour(const char *path, const char *suffix, char *out)
{
  const char *slash = strrchr(path, '/');
  return snprintf(out, PATH_MAX, "%.*s/.%s.%s", (int)(slash - path), path, slash + 1, suffix) < PATH_MAX ? 0 : -1;
}

static int make_parents(const char *path)
{
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  *slash = '\0';
  if (mkdir(folder, 0755) == 0 || errno == EEXIST)
    return 0;
  return errno == ENOENT && make_parents(folder) == 0 ? mkdir(folder, 0755) : -1;
}

/* Puts `fresh` in the place; what was there goes after that. */
static int swap(const install_options *o, const place *p, const char *fresh)
{
  char old[PATH_MAX], where[PATH_MAX];
  if (neighbour(p->path, "old", old) != 0)
    return xh_fail(o->command, XH_EXIT_UNAVAILABLE, "%s: the path is too long", p->path);
  if (tree_remove(old, where) != 0)
    return install_failed(o, "removing", where);
  if (p->state != PLACE_FREE && rename(p->path, old) != 0)
    return install_failed(o, "replacing", p->path);
  if (rename(fresh, p->path) != 0) {
    int saved = errno;
    if (p->state != PLACE_FREE && rename(old, p->path) != 0)
      fprintf(stderr, "xo-hooks install: the former plugin is now in %s\n", old);
    errno = saved;
    return install_failed(o, "replacing", p->path);
  }
  if (tree_remove(old, where) != 0)
    return install_failed(o, "removing", where);
  return XH_EXIT_OK;
}

/* Where the plugin goes: its usual name, unless another plugin lies there, which is not touched. */
static const place *choose(const install_options *o, const place places[2])
{
  if (places[0].state == PLACE_FOREIGN) {
    xh_fail(o->command, XH_EXIT_FAILED, "%s: another plugin of that name, which the host takes before any other: remove it first", places[0].path);
    return NULL;
  }
  return &places[places[1].state == PLACE_FOREIGN || places[0].state == PLACE_OURS ? 0 : 1];
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

static int install(const install_options *o, const package *plugin, const xo_server *server, const place *p)
{
  char where[PATH_MAX], fresh[PATH_MAX], now[PATH_MAX];
  bool same = false;
  if (p->state == PLACE_OURS) {
    /* a link to the very folder is as good as a copy of it */
    same = realpath(p->path, now) && strcmp(now, plugin->folder) == 0;
    if (!same && tree_same(plugin->folder, p->path, where, &same) != 0)
      return install_failed(o, "reading", where);
  }
  if (same) {
    printf("plugin        %s is installed already in %s: nothing changed\n", plugin->version, p->path);
    return XH_EXIT_OK;
  }
  const char *from = p->state == PLACE_OURS ? p->package.version : p->state == PLACE_DANGLING ? "a link that leads nowhere" : NULL;
  if (!o->dry_run) {
    if (neighbour(p->path, "new", fresh) != 0)
      return xh_fail(o->command, XH_EXIT_UNAVAILABLE, "%s: the path is too long", p->path);
    if (make_parents(p->path) != 0)
      return install_failed(o, "making the folder of", p->path);
    int status = prepare(o, plugin->folder, fresh);
    if (status == XH_EXIT_OK)
      status = swap(o, p, fresh);
    if (status != XH_EXIT_OK) {
      tree_remove(fresh, where);
      return status;
    }
  }
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
  if (!find_plugin(&plugin))
    return xh_fail(o.command, XH_EXIT_UNAVAILABLE, "the plugin's folder xo-server-web-hooks is missing: it belongs beside this program");
  printf("xo-server     %s in %s (%s)\n", server.package.version, server.package.folder, server.how);
  xo_server_places(&server, places);
  const place *p = choose(&o, places);
  if (!p)
    return XH_EXIT_FAILED;
  tell_stock(&server);
  return install(&o, &plugin, &server, p);
}

const xh_command xh_cmd_install = {
    .name = "install",
    .summary = "put the plugin into xo-server",
    .help = "Usage: xo-hooks install [OPTION]…\n"
            "\n"
            "Finds xo-server, built from sources or packaged, and copies the web-hooks plugin with this program into its node_modules\n"
            "folder, where xo-server finds it before the stock plugin. That one is not touched, and the saved configuration stays.\n"
            "Says what it did and what to do next. Run again, it changes nothing; after an upgrade, it puts the new version there.\n"
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
