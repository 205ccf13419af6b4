#include "cli/xo_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLUGIN "xo-server-web-hooks"
#define SCOPED_PLUGIN "@xen-orchestra/server-web-hooks"

static const char *const usual_places[] = {
    "/usr/local/lib/node_modules/xo-server",
    "/usr/lib/node_modules/xo-server",
    "/opt/xo/xo-server",
    "/opt/xen-orchestra/packages/xo-server",
    "/opt/xo/xen-orchestra/packages/xo-server",
    "/root/xen-orchestra/packages/xo-server",
    "/home/xo/xen-orchestra/packages/xo-server",
    NULL,
};

/* false: too long. */
static bool path_of(char *out, const char *folder, const char *name)
{
  return snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

bool package_read(const char *folder, const char *name, package *ret_package)
{
  char file[PATH_MAX];
  if (!path_of(file, folder, "package.json"))
    return false;
  json_t *root = json_load_file(file, 0, NULL);
  const char *found = json_string_value(json_object_get(root, "name"));
  bool fits = found && strcmp(found, name) == 0;
  if (fits) {
    const char *version = json_string_value(json_object_get(root, "version"));
    snprintf(ret_package->folder, sizeof ret_package->folder, "%s", folder);
    snprintf(ret_package->version, sizeof ret_package->version, "%s", version ? version : "");
    ret_package->ours = json_object_get(json_object_get(root, "bin"), "xo-hooks") != NULL;
  }
  json_decref(root);
  return fits;
}

/* ---- finding xo-server ---- */

typedef struct search {
  xo_server *servers;
  size_t count;
} search;

static bool take(search *s, const char *folder, const char *how)
{
  char absolute[PATH_MAX];
  package found;
  if (s->count == XO_SERVERS_MAX || !realpath(folder, absolute) || !package_read(absolute, "xo-server", &found))
    return false;
  for (size_t i = 0; i < s->count; i++)
    if (strcmp(s->servers[i].package.folder, absolute) == 0)
      return true;
  xo_server *server = &s->servers[s->count++];
  server->package = found;
  snprintf(server->how, sizeof server->how, "%s", how);
  return true;
}

/* The package itself, or something that holds it in a usual way. */
static bool take_around(search *s, const char *folder, const char *how)
{
  static const char *const inside[] = {".", "packages/xo-server", "node_modules/xo-server", "lib/node_modules/xo-server", "xo-server"};
  char path[PATH_MAX];
  for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
    if (path_of(path, folder, inside[i]) && take(s, path, how))
      return true;
  return false;
}

/* The folder of `path` or of one of its parents. */
static bool take_upwards(search *s, const char *path, const char *how)
{
  char folder[PATH_MAX];
  if (!realpath(path, folder))
    return false;
  for (char *slash; (slash = strrchr(folder, '/')) != NULL && slash != folder; *slash = '\0') {
    char sources[PATH_MAX];
    if (take(s, folder, how) || (path_of(sources, folder, "packages/xo-server") && take(s, sources, how)))
      return true;
  }
  return false;
}

static size_t read_proc(const char *pid, const char *name, char *out, size_t room)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%.16s/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? 0 : read(fd, out, room - 1);
  if (fd >= 0)
    close(fd);
  out[got > 0 ? got : 0] = '\0';
  return got > 0 ? (size_t)got : 0;
}

static const char *base_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* Node.js running xo-server's main script, which may be given relative to its working folder. */
static void take_process(search *s, const char *pid)
{
  char line[4096], folder[PATH_MAX], script[PATH_MAX], how[64];
  size_t length = read_proc(pid, "cmdline", line, sizeof line);
  snprintf(folder, sizeof folder, "/proc/%.16s/cwd", pid);
  snprintf(how, sizeof how, "runs as process %.16s", pid);
  if (strncmp(base_name(line), "node", 4) != 0)
    return;
  for (const char *arg = line; arg < line + length; arg += strlen(arg) + 1) {
    if (strcmp(base_name(arg), "xo-server") != 0 && strcmp(base_name(arg), "cli.mjs") != 0)
      continue;
    if (*arg == '/')
      snprintf(script, sizeof script, "%s", arg);
    else if (!path_of(script, folder, arg))
      continue;
    if (take_upwards(s, script, how))
      return;
  }
}

static void take_processes(search *s)
{
  DIR *dir = opendir("/proc");
  const struct dirent *entry;
  while (dir && (entry = readdir(dir)) != NULL)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
      take_process(s, entry->d_name);
  if (dir)
    closedir(dir);
}

static void take_from_path(search *s)
{
  const char *list = getenv("PATH");
  char *copy = strdup(list ? list : "");
  char *rest = copy;
  for (const char *folder; rest && (folder = strsep(&rest, ":")) != NULL;) {
    char program[PATH_MAX];
    if (*folder && path_of(program, folder, "xo-server") && access(program, X_OK) == 0 && take_upwards(s, program, "xo-server in PATH"))
      break;
  }
  free(copy);
}

size_t xo_servers_find(const char *given, xo_server *ret_servers)
{
  search s = {.servers = ret_servers};
  if (given) {
    take_around(&s, given, "given");
    return s.count;
  }
  if (take_upwards(&s, ".", "the working folder"))
    return s.count;
  take_processes(&s);
  take_from_path(&s);
  for (size_t i = 0; usual_places[i]; i++)
    take(&s, usual_places[i], "a usual place");
  return s.count;
}

/* ---- its plugins ---- */

static void look(place *p)
{
  struct stat st;
  p->state = PLACE_FREE;
  p->link = false;
  if (lstat(p->path, &st) != 0)
    return;
  p->link = S_ISLNK(st.st_mode);
  p->package = (package){.folder = ""};
  if (p->link && stat(p->path, &st) != 0 && errno == ENOENT)
    p->state = PLACE_DANGLING;
  else
    p->state = package_read(p->path, PLUGIN, &p->package) && p->package.ours ? PLACE_OURS : PLACE_FOREIGN;
}

void xo_server_places(const xo_server *server, place ret_places[2])
{
  static const char *const names[] = {"node_modules/" SCOPED_PLUGIN, "node_modules/" PLUGIN};
  for (size_t i = 0; i < 2; i++) {
    if (!path_of(ret_places[i].path, server->package.folder, names[i]))
      ret_places[i].path[0] = '\0'; /* too long to exist: free, and installing there will say so */
    look(&ret_places[i]);
  }
}

bool xo_server_other_plugin(const xo_server *server, package *ret_package)
{
  char beside[PATH_MAX], path[PATH_MAX];
  place own[2];
  xo_server_places(server, own);
  for (size_t i = 0; i < 2; i++)
    if (own[i].state == PLACE_FOREIGN && path_of(path, own[i].path, "package.json") && access(path, F_OK) == 0) {
      *ret_package = own[i].package;
      memcpy(ret_package->folder, own[i].path, sizeof ret_package->folder);
      return true;
    }
  const char *const folders[] = {beside, "/usr/local/lib/node_modules"};
  if (!path_of(beside, server->package.folder, ".."))
    return false;
  for (size_t i = 0; i < 2; i++) {
    char absolute[PATH_MAX];
    if (!realpath(folders[i], absolute))
      continue;
    if ((path_of(path, absolute, SCOPED_PLUGIN) && package_read(path, PLUGIN, ret_package)) ||
        (path_of(path, absolute, PLUGIN) && package_read(path, PLUGIN, ret_package)))
      return true;
  }
  return false;
}
