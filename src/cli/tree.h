/*
 * Folders of a few small files: compared, copied, removed. Names that start with a dot are not looked at unless it says so; tree_remove takes them too.
 * Paths are borrowed for the call. On failure the functions return an XH_E… code and leave the path that failed in `ret_where`
 * (PATH_MAX bytes) and errno set. Not for the main loop: they wait for the disk.
 */
#ifndef XH_CLI_TREE_H
#define XH_CLI_TREE_H

#include <stdbool.h>

/* Do both folders hold the same names with the same bytes and execute permissions? A folder that is not there differs. */
int tree_same(const char *a, const char *b, char *ret_where, bool *ret_same);

/* Is every name in `a`, at any depth and hidden ones too, also in `b`, or is it `also`? A link is in none. */
int tree_within(const char *a, const char *b, const char *also, char *ret_where, bool *ret_within);

/* Is `name` the one entry of the folder? */
int tree_holds_only(const char *folder, const char *name, char *ret_where, bool *ret_only);

/* Copies regular files and folders (0644 or 0755), synced to the disk. `to` must not exist. Anything else is XH_EINVAL. */
int tree_copy(const char *from, const char *to, char *ret_where);

/* Copies one regular file over `to`; the same for one file. */
int tree_copy_file(const char *from, const char *to, char *ret_where);

/* Removes a folder and all in it, or the link alone when `path` is one. What is not there is no failure. */
int tree_remove(const char *path, char *ret_where);

#endif
