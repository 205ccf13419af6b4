#include "receiver/scripts.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_ROOM = XH_METHOD_BYTES_MAX + 16, SCRIPTS_MAX = 256 };

void xh_scripts_done(xh_scripts *scripts)
{
  for (size_t i = 0; i < scripts->count; i++)
    free(scripts->names[i]);
  free(scripts->names);
  scripts->names = NULL;
  scripts->count = 0;
}

static bool plain_name(const char *name, bool dots)
{
  if (!*name || *name == '.')
    return false;
  for (; *name; name++)
    if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') || *name == '-' ||
          *name == '_' || (dots && *name == '.')))
      return false;
  return true;
}

/* A copy that an editor or a package manager made, by its last ending. */
static bool left_behind(const char *name)
{
  static const char *const endings[] = {"bak",       "disabled", "dpkg-bak", "dpkg-dist", "dpkg-new", "dpkg-old", "dpkg-tmp", "old", "orig",
                                        "rej",       "rpmnew",   "rpmorig",  "rpmsave",   "save",     "swp",      "tmp",      "ucf-dist",
                                        "ucf-new",   "ucf-old"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
    if (strcmp(dot + 1, endings[i]) == 0)
      return true;
  return false;
}

static bool is_executable_file(int dir, const char *name)
{
  struct stat info;
  return fstatat(dir, name, &info, 0) == 0 && S_ISREG(info.st_mode) && faccessat(dir, name, X_OK, AT_EACCESS) == 0;
}

static int add(xh_scripts *scripts, const char *folder, const char *name)
{
  if (scripts->count == SCRIPTS_MAX)
    return XH_ECAP;
  char **names = realloc(scripts->names, (scripts->count + 1) * sizeof *names);
  if (!names)
    return XH_ENOMEM;
  scripts->names = names;
  if (asprintf(&names[scripts->count], "%s%s%s", folder ? folder : "", folder ? "/" : "", name) < 0)
    return XH_ENOMEM;
  scripts->count++;
  return 0;
}

static int by_name(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Opens a folder inside `parent` for reading its entries. */
static DIR *open_entries(int parent, const char *name)
{
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = fd < 0 ? NULL : fdopendir(fd);
  if (fd >= 0 && !entries)
    close(fd);
  return entries;
}

/* What keeps an entry whose name fits from being run: NULL when nothing does, "" when it is passed over. */
static const char *bar_of(int dir, const char *name, const char *ending)
{
  struct stat info;
  if (fstatat(dir, name, &info, 0) != 0)
    return fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 ? "is a symbolic link that leads nowhere: mend it, or take it away" : "";
  if (S_ISDIR(info.st_mode)) /* .d is looked at later; others may be what a script works with */
    return !*ending || strcmp(ending, ".sh") == 0 ? "is a folder, not a script; for several scripts, end its name with -TYPE.d" : "";
  if (!S_ISREG(info.st_mode))
    return "is not a file";
  return is_executable_file(dir, name) ? NULL : "is not executable: chmod +x it, or take it away";
}

static bool name_fits(const char *name, const char *base)
{
  size_t length = strlen(base);
  return strncmp(name, base, length) == 0 && (!name[length] || (name[length] == '.' && plain_name(name + length + 1, false))) &&
         !left_behind(name + length);
}

/* METHOD-TYPE or METHOD-TYPE.ending, the first by name; one that fits and can't run is only reported. */
static int find_any_ending(int dir, const char *base, xh_scripts *scripts)
{
  DIR *entries = open_entries(dir, ".");
  if (!entries)
    return XH_EIO;
  char best[256] = "", barred[256] = "";
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    const char *name = entry->d_name;
    const char *bar = name_fits(name, base) ? bar_of(dir, name, name + strlen(base)) : "";
    char *place = bar ? barred : best;
    if ((bar && !*bar) || (*place && strcmp(name, place) > 0))
      continue;
    snprintf(place, sizeof best, "%s", name);
    if (bar)
      snprintf(scripts->fault, sizeof scripts->fault, "%.160s %s", name, bar);
  }
  closedir(entries);
  if (*best)
    return add(scripts, NULL, best);
  return *barred ? XH_EDENIED : 0;
}

static int find_folder(int dir, const char *base, xh_scripts *scripts)
{
  char folder[NAME_ROOM + 4];
  snprintf(folder, sizeof folder, "%s.d", base);
  DIR *entries = open_entries(dir, folder);
  if (!entries)
    return errno == ENOENT || errno == ENOTDIR ? 0 : XH_EIO;
  int rc = 0;
  for (struct dirent *entry; rc == 0 && (entry = readdir(entries)) != NULL;)
    if (plain_name(entry->d_name, true) && !left_behind(entry->d_name) && is_executable_file(dirfd(entries), entry->d_name))
      rc = add(scripts, folder, entry->d_name);
  closedir(entries);
  if (scripts->count > 1)
    qsort(scripts->names, scripts->count, sizeof *scripts->names, by_name);
  return rc;
}

static int find_base(int dir, const char *base, xh_scripts *scripts)
{
  char name[NAME_ROOM + 4];
  snprintf(name, sizeof name, "%s.sh", base);
  if (is_executable_file(dir, name)) /* the common case, without reading the folder */
    return add(scripts, NULL, name);
  int rc = find_any_ending(dir, base, scripts);
  return rc == 0 && scripts->count == 0 ? find_folder(dir, base, scripts) : rc;
}

int xh_scripts_find(const char *folder, xh_str method, xh_event_type type, xh_scripts *ret_scripts)
{
  *ret_scripts = (xh_scripts){.names = NULL};
  if (method.len == 0 || method.len > XH_METHOD_BYTES_MAX || memchr(method.ptr, '/', method.len) || memchr(method.ptr, 0, method.len))
    return XH_EINVAL;
  int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) {
    int rc = xh_err_from_errno(errno);
    snprintf(ret_scripts->fault, sizeof ret_scripts->fault, "the folder of scripts %.160s can't be opened: %s", folder, strerror(errno));
    return rc;
  }
  char base[NAME_ROOM];
  snprintf(base, sizeof base, "%.*s-%s", (int)method.len, method.ptr, xh_event_type_name(type));
  int rc = find_base(dir, base, ret_scripts);
  if (rc == 0 && ret_scripts->count == 0) {
    snprintf(base, sizeof base, "default-%s", xh_event_type_name(type));
    rc = find_base(dir, base, ret_scripts);
  }
  close(dir);
  return rc;
}

/* The first line without its end, as far as the system looks at it; empty when it names no interpreter. */
static void read_first_line(const char *path, char *out, size_t size)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? 0 : read(fd, out, size - 1);
  if (fd >= 0)
    close(fd);
  out[got > 0 ? got : 0] = '\0';
  out[strncmp(out, "#!", 2) == 0 ? strcspn(out, "\n") : 0] = '\0';
}

void xh_scripts_explain(const char *path, const char *workdir, int error, char *out, size_t size)
{
  char line[256];
  struct stat info;
  if (error == ENOEXEC) {
    snprintf(out, size, "%s (its first line must name an interpreter: #!/bin/sh)", strerror(error));
    return;
  }
  if (workdir && stat(workdir, &info) == 0 && !S_ISDIR(info.st_mode))
    errno = ENOTDIR;
  else if (!workdir || access(workdir, X_OK) == 0)
    errno = 0;
  if (errno) {
    snprintf(out, size, "the working folder %.100s: %s", workdir, strerror(errno));
    return;
  }
  read_first_line(path, line, sizeof line);
  if (*line && line[strlen(line) - 1] == '\r') {
    snprintf(out, size, "its first line ends with a carriage return, as Windows writes it; save it with the line ends of Unix");
    return;
  }
  char *interpreter = *line ? line + 2 + strspn(line + 2, " \t") : line;
  interpreter[strcspn(interpreter, " \t")] = '\0';
  if (*interpreter && access(interpreter, X_OK) != 0)
    snprintf(out, size, "the interpreter that its first line names, %.80s: %s", interpreter, strerror(errno));
  else
    snprintf(out, size, "%s", strerror(error));
}
