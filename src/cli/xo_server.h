/*
 * Where xo-server is on this machine, and which folders it takes its web-hooks plugin from.
 *
 * xo-server looks for plugins in node_modules of its own package, then in the folder beside the package, then in
 * /usr/local/lib/node_modules; in each of them first for @xen-orchestra/server-NAME, then for xo-server-NAME. The first
 * found with a name wins. (Observed on xo-server 5.207; its `plugins.lookupPaths` can be changed by the host's configuration.)
 */
#ifndef XH_CLI_XO_SERVER_H
#define XH_CLI_XO_SERVER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { XO_SERVERS_MAX = 16 };

/* A folder with a package.json. */
typedef struct package {
  char folder[PATH_MAX];
  char version[64]; /* "" when its package.json has none */
  bool ours;        /* the plugin of this project, and not another one of that name */
} package;

/* Reads folder/package.json. Is there one whose name is `name`? */
bool package_read(const char *folder, const char *name, package *ret_package);

typedef struct xo_server {
  package package; /* the folder is absolute, without links */
  char how[64];    /* how it was found: "runs as process 812", "xo-server in PATH" … */
} xo_server;

/* Fills `ret_servers` (XO_SERVERS_MAX) with those found, each once, in this order: `given` (the package, or sources or a node_modules
 * around it) and nothing else; without it, the one around the working folder and nothing else; else running ones, the one in PATH,
 * those in the usual places. Returns how many. */
size_t xo_servers_find(const char *given, xo_server *ret_servers);

/* What lies in a place that the host looks for the plugin in. */
typedef enum place_state {
  PLACE_FREE,
  PLACE_OURS,
  PLACE_HALF, /* told by install_places alone: a part of the plugin, left by an interrupted run */
  PLACE_DANGLING,
  PLACE_FOREIGN,
} place_state;

typedef struct place {
  char path[PATH_MAX];
  place_state state;
  bool link;
  package package; /* of PLACE_OURS, and of PLACE_FOREIGN when it can be read */
} place;

/* The places in xo-server's own node_modules, in the host's order: [0] @xen-orchestra/server-web-hooks, [1] xo-server-web-hooks. */
void xo_server_places(const xo_server *server, place ret_places[2]);

/* The plugin of that name which the host would load if the two places above held nothing of ours. false: none. */
bool xo_server_other_plugin(const xo_server *server, package *ret_package);

#endif
