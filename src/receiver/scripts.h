/*
 * Which scripts an event runs. The method's name comes from the network: it is compared with the names in the folder and never
 * becomes a path of its own.
 */
#ifndef XH_RECEIVER_SCRIPTS_H
#define XH_RECEIVER_SCRIPTS_H

#include "base/event.h"

typedef struct xh_scripts {
  char **names; /* relative to the folder: "vm.start-post.sh", "vm.start-post.d/01-dhcp"; in the order to run */
  size_t count;
  char fault[256]; /* with XH_EDENIED and XH_ENOENT: what is wrong */
} xh_scripts;

void xh_scripts_done(xh_scripts *scripts);

/*
 * Looks in `folder` for METHOD-TYPE.sh, else an executable METHOD-TYPE or METHOD-TYPE.ending (the first by name), else the
 * executables of METHOD-TYPE.d in name order, else default-TYPE in the same three ways. Endings and the names in a .d folder consist of
 * letters, digits, - and _ (in .d also dots inside); that and a list of endings (.bak, .dpkg-old, …) leave out what editors and package
 * managers leave behind.
 * Returns 0 (also with none found), XH_EDENIED when the one that fits can't be run: not executable, a link that leads
 * nowhere, a folder named like a script (`fault` says which), XH_ENOENT without the
 * folder, XH_EIO, XH_ENOMEM. Give `ret_scripts` to xh_scripts_done in every case. Any thread.
 */
int xh_scripts_find(const char *folder, xh_str method, xh_event_type type, xh_scripts *ret_scripts);

/*
 * Writes why the script at `path`, which was found, could not be started in `workdir` (NULL: ours): what `error` (of errno) means here. Reads the
 * script's first line.
 */
void xh_scripts_explain(const char *path, const char *workdir, int error, char *out, size_t size);

#endif
