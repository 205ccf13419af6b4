#include "cli/install_place.h"

#include "cli/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRESH "new"
#define FORMER "old"

bool own_plugin(package *ret_plugin)
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

/* A folder can be locked without leaving a file. Where it can't (some network file systems), it goes without. */
void install_lock(const xo_server *server)
{
  int fd = open(server->package.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* never closed: the lock ends with the process */
  while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
    continue;
}

/* ---- what is there ---- */

/* Without a package.json xo-server can't load it, and so it hides the stock plugin. An index.js alone may be anybody's. */
static bool is_half(const place *p, const package *plugin)
{
  char path[PATH_MAX], where[PATH_MAX];
  struct stat st;
  bool within = false, only = false;
  if (p->state != PLACE_FOREIGN || p->link || !plugin)
    return false;
  if (snprintf(path, sizeof path, "%s/package.json", p->path) >= PATH_MAX || lstat(path, &st) == 0)
    return false;
  return tree_within(p->path, plugin->folder, "xo-hooks", where, &within) == 0 && within &&
         tree_holds_only(p->path, "index.js", where, &only) == 0 && !only;
}

void install_places(const xo_server *server, const package *plugin, place ret_places[2])
{
  xo_server_places(server, ret_places);
  for (size_t i = 0; i < 2; i++)
    if (is_half(&ret_places[i], plugin))
      ret_places[i].state = PLACE_HALF;
}

/* ---- neighbours ---- */

static int neighbour(const install_options *o, const place *p, const char *suffix, char *out)
{
  const char *slash = strrchr(p->path, '/');
  if (slash && snprintf(out, PATH_MAX, "%.*s/.%s.%s", (int)(slash - p->path), p->path, slash + 1, suffix) < PATH_MAX)
    return XH_EXIT_OK;
  return xh_fail(o->command, XH_EXIT_UNAVAILABLE, "%s: the path is too long", p->path);
}

static int remove_tree(const install_options *o, const char *path)
{
  char where[PATH_MAX];
  return tree_remove(path, where) == 0 ? XH_EXIT_OK : install_failed(o, "removing", where);
}

/* Also a folder that install made for it and that is empty now; one that is not stays. */
static void remove_empty_parent(const char *path)
{
  char folder[PATH_MAX];
  int length = (int)(strrchr(path, '/') - path);
  if (snprintf(folder, sizeof folder, "%.*s", length, path) == length)
    (void)rmdir(folder);
}

int install_clean(const install_options *o, const place places[2], size_t *ret_cleaned)
{
  static const char *const suffixes[] = {FRESH, FORMER};
  char path[PATH_MAX];
  struct stat st;
  *ret_cleaned = 0;
  for (size_t i = 0; i < 4; i++) {
    const place *p = &places[i / 2];
    if (!*p->path || neighbour(o, p, suffixes[i % 2], path) != XH_EXIT_OK || lstat(path, &st) != 0)
      continue;
    int status = o->dry_run ? XH_EXIT_OK : remove_tree(o, path);
    if (status != XH_EXIT_OK)
      return status;
    if (!o->dry_run)
      remove_empty_parent(p->path);
    ++*ret_cleaned;
    printf("left over     %s, of an interrupted run: %s\n", path, o->dry_run ? "would be removed" : "removed");
  }
  return XH_EXIT_OK;
}

/* ---- changing ---- */

/* Whatever the umask: the host may run as somebody else. */
static int make_folder(const char *path)
{
  if (mkdir(path, 0755) == 0)
    return chmod(path, 0755);
  return errno == EEXIST ? 0 : -1;
}

static int make_parents(const char *path)
{
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  *slash = '\0';
  if (make_folder(folder) == 0)
    return 0;
  return errno == ENOENT && make_parents(folder) == 0 ? make_folder(folder) : -1;
}

/* Makes the folder that will be installed; the program goes in if it is not there yet. */
static int prepare(const install_options *o, const char *plugin, const char *fresh)
{
  char where[PATH_MAX], program[PATH_MAX + 16];
  if (tree_copy(plugin, fresh, where) != 0)
    return install_failed(o, "copying to", where);
  snprintf(program, sizeof program, "%s/xo-hooks", fresh);
  if (access(program, F_OK) != 0 && tree_copy_file("/proc/self/exe", program, where) != 0)
    return install_failed(o, "copying to", where);
  return XH_EXIT_OK;
}

/* Where two names can't be exchanged (some network file systems), there is a moment without a plugin. Interrupted then, the next run
 * puts it there. */
static int swap_in_two_steps(const install_options *o, const char *path, const char *fresh, const char *former)
{
  if (rename(path, former) != 0)
    return install_failed(o, "replacing", path);
  if (rename(fresh, path) == 0)
    return remove_tree(o, former);
  int saved = errno;
  if (rename(former, path) != 0)
    fprintf(stderr, "xo-hooks install: the former plugin is now in %s\n", former);
  errno = saved;
  return install_failed(o, "replacing", path);
}

static int swap(const install_options *o, const place *p, const char *fresh)
{
  char former[PATH_MAX];
  int status = neighbour(o, p, FORMER, former);
  if (status != XH_EXIT_OK)
    return status;
  if (p->state == PLACE_FREE)
    return rename(fresh, p->path) == 0 ? XH_EXIT_OK : install_failed(o, "putting in place", p->path);
  if (renameat2(AT_FDCWD, fresh, AT_FDCWD, p->path, RENAME_EXCHANGE) == 0)
    return remove_tree(o, fresh); /* what was there */
  return swap_in_two_steps(o, p->path, fresh, former);
}

int install_put(const install_options *o, const place *p, const package *plugin)
{
  char fresh[PATH_MAX], where[PATH_MAX];
  int status = neighbour(o, p, FRESH, fresh);
  if (status != XH_EXIT_OK)
    return status;
  if (make_parents(p->path) != 0)
    return install_failed(o, "making the folder of", p->path);
  status = prepare(o, plugin->folder, fresh);
  if (status == XH_EXIT_OK)
    status = swap(o, p, fresh);
  if (status != XH_EXIT_OK)
    (void)tree_remove(fresh, where);
  return status;
}

int install_take(const install_options *o, const place *p)
{
  char former[PATH_MAX];
  int status = neighbour(o, p, FORMER, former);
  if (status != XH_EXIT_OK)
    return status;
  if (rename(p->path, former) != 0)
    return install_failed(o, "removing", p->path);
  status = remove_tree(o, former);
  remove_empty_parent(p->path);
  return status;
}
