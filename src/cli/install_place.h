/*
 * The places in xo-server's node_modules as `install` and `uninstall` change them: one process at a time, each change one rename, and what an
 * interrupted run has left is known and taken away. Beside a place, hidden so that xo-server takes neither for a plugin, `.NAME.new` is
 * what will be put there, `.NAME.old` what goes.
 */
#ifndef XH_CLI_INSTALL_PLACE_H
#define XH_CLI_INSTALL_PLACE_H

#include "cli/install_options.h"

/* The plugin's folder that belongs to this program: around it, beside it (a build), or where packages put it. false: none. */
bool own_plugin(package *ret_plugin);

/* Waits until no other process installs or uninstalls there, and keeps them away until this one ends. */
void install_lock(const xo_server *server);

/* xo_server_places, and of those with another plugin: which hold nothing but a part of `plugin` (NULL: unknown)? They become PLACE_HALF. */
void install_places(const xo_server *server, const package *plugin, place ret_places[2]);

/* Puts a copy of the plugin with this program in the place, instead of what lies there. Returns an xh_exit; after a failure what lay there is
 * there still. */
int install_put(const install_options *options, const place *p, const package *plugin);

/* Takes away what lies in the place. Returns an xh_exit. */
int install_take(const install_options *options, const place *p);

/* Removes (or, with --dry-run, names) what interrupted runs have left beside the places, *ret_cleaned of them. Returns an xh_exit. */
int install_clean(const install_options *options, const place places[2], size_t *ret_cleaned);

#endif
