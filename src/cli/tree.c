#include "cli/tree.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 65536 };

static int failed(const char *path, char *ret_where)
{
  int saved = errno;
  snprintf(ret_where, PATH_MAX, "%s", path);
  errno = saved;
  return xh_err_from_errno(saved);
}

static bool is_hidden(const struct dirent *entry)
{
  return entry->d_name[0] == '.';
}

static bool is_itself(const struct dirent *entry)
{
  return strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
}

/* "folder/name" in `out` (PATH_MAX bytes). */
static int join(const char *folder, const char *name, char *out)
{
  if (snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
    return 0;
  errno = ENAMETOOLONG;
  return -1;
}

/* Calls `each` for every entry until one returns something else than 0. */
typedef int (*entry_fn)(const char *folder, const struct dirent *entry, void *arg);

static int for_each(const char *folder, entry_fn each, void *arg, char *ret_where)
{
  DIR *dir = opendir(folder);
  if (!dir)
    return failed(folder, ret_where);
  int rc = 0;
  const struct dirent *entry;
  while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL)
    if (!is_itself(entry))
      rc = each(folder, entry, arg);
  if (rc == 0 && errno != 0)
    rc = failed(folder, ret_where);
  int saved = errno;
  closedir(dir);
  errno = saved;
  return rc;
}

/* ---- comparing ---- */

typedef struct comparison {
  const char *other;
  char *ret_where;
  bool contents; /* or only: is the name there? */
  bool same;
} comparison;

static int files_same(const char *a, const char *b, char *ret_where, bool *ret_same)
{
  static char left[CHUNK_BYTES], right[CHUNK_BYTES];
  FILE *fa = fopen(a, "rbe");
  if (!fa)
    return failed(a, ret_where);
  FILE *fb = fopen(b, "rbe");
  int rc = fb ? 0 : failed(b, ret_where);
  bool same = rc == 0;
  for (size_t got = 1; same && got > 0;) {
    got = fread(left, 1, sizeof left, fa);
    same = fread(right, 1, sizeof right, fb) == got && memcmp(left, right, got) == 0;
  }
  if (rc == 0 && (ferror(fa) || ferror(fb)))
    rc = failed(ferror(fa) ? a : b, ret_where);
  fclose(fa);
  if (fb)
    fclose(fb);
  *ret_same = same;
  return rc;
}

static int compare_entry(const char *folder, const struct dirent *entry, void *arg)
{
  comparison *c = arg;
  char here[PATH_MAX], there[PATH_MAX];
  struct stat a, b;
  if (is_hidden(entry) || !c->same)
    return 0;
  if (join(folder, entry->d_name, here) != 0 || join(c->other, entry->d_name, there) != 0 || stat(here, &a) != 0)
    return failed(here, c->ret_where);
  if (stat(there, &b) != 0 || (a.st_mode & S_IFMT) != (b.st_mode & S_IFMT))
    c->same = false;
  else if (S_ISDIR(a.st_mode) && c->contents)
    return tree_same(here, there, c->ret_where, &c->same);
  else if (S_ISREG(a.st_mode) && c->contents) {
    if (a.st_size != b.st_size || (a.st_mode & S_IXUSR) != (b.st_mode & S_IXUSR))
      c->same = false;
    else
      return files_same(here, there, c->ret_where, &c->same);
  }
  return 0;
}

int tree_same(const char *a, const char *b, char *ret_where, bool *ret_same)
{
  struct stat st;
  comparison c = {.other = b, .ret_where = ret_where, .contents = true, .same = true};
  if (stat(b, &st) != 0 && errno == ENOENT) {
    *ret_same = false;
    return 0;
  }
  int rc = for_each(a, compare_entry, &c, ret_where);
  if (rc == 0 && c.same) { /* and nothing there that is not here */
    c.other = a;
    c.contents = false;
    rc = for_each(b, compare_entry, &c, ret_where);
  }
  *ret_same = c.same;
  return rc;
}

typedef struct containment {
  const char *other, *also;
  char *ret_where;
  bool within;
} containment;

static int contain_entry(const char *folder, const struct dirent *entry, void *arg)
{
  containment *c = arg;
  char here[PATH_MAX], there[PATH_MAX];
  struct stat a, b;
  if (join(folder, entry->d_name, here) != 0 || join(c->other, entry->d_name, there) != 0 || lstat(here, &a) != 0)
    return failed(here, c->ret_where);
  if (S_ISREG(a.st_mode) && strcmp(entry->d_name, c->also) == 0)
    return 0;
  if (stat(there, &b) != 0 || (a.st_mode & S_IFMT) != (b.st_mode & S_IFMT))
    c->within = false;
  return c->within && S_ISDIR(a.st_mode) ? tree_within(here, there, c->also, c->ret_where, &c->within) : 0;
}

int tree_within(const char *a, const char *b, const char *also, char *ret_where, bool *ret_within)
{
  containment c = {.other = b, .also = also, .ret_where = ret_where, .within = true};
  int rc = for_each(a, contain_entry, &c, ret_where);
  *ret_within = c.within;
  return rc;
}

typedef struct counting {
  const char *name;
  size_t named, others;
} counting;

static int count_entry(const char *folder, const struct dirent *entry, void *arg)
{
  counting *c = arg;
  (void)folder;
  if (strcmp(entry->d_name, c->name) == 0)
    c->named++;
  else
    c->others++;
  return 0;
}

int tree_holds_only(const char *folder, const char *name, char *ret_where, bool *ret_only)
{
  counting c = {.name = name};
  int rc = for_each(folder, count_entry, &c, ret_where);
  *ret_only = c.named == 1 && c.others == 0;
  return rc;
}

/* ---- copying ---- */

static int pump(int in, int out)
{
  static char chunk[CHUNK_BYTES];
  for (;;) {
    ssize_t got = read(in, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return (int)got;
    for (ssize_t done = 0; done < got;) {
      ssize_t put = write(out, chunk + done, (size_t)(got - done));
      if (put < 0 && errno != EINTR)
        return -1;
      done += put > 0 ? put : 0;
    }
  }
}

int tree_copy_file(const char *from, const char *to, char *ret_where)
{
  struct stat st;
  int in = open(from, O_RDONLY | O_CLOEXEC);
  if (in < 0 || fstat(in, &st) != 0) {
    int rc = failed(from, ret_where);
    if (in >= 0)
      close(in);
    return rc;
  }
  mode_t mode = st.st_mode & S_IXUSR ? 0755 : 0644;
  int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  /* the mode whatever the umask: the host may run as somebody else */
  int rc = out < 0 || fchmod(out, mode) != 0 || pump(in, out) != 0 || fsync(out) != 0 ? failed(to, ret_where) : 0;
  if (out >= 0 && close(out) != 0 && rc == 0)
    rc = failed(to, ret_where);
  close(in);
  return rc;
}

typedef struct copying {
  const char *to;
  char *ret_where;
} copying;

static int copy_entry(const char *folder, const struct dirent *entry, void *arg)
{
  copying *c = arg;
  char from[PATH_MAX], to[PATH_MAX];
  struct stat st;
  if (is_hidden(entry))
    return 0;
  if (join(folder, entry->d_name, from) != 0 || join(c->to, entry->d_name, to) != 0 || stat(from, &st) != 0)
    return failed(from, c->ret_where);
  if (S_ISDIR(st.st_mode))
    return tree_copy(from, to, c->ret_where);
  if (S_ISREG(st.st_mode))
    return tree_copy_file(from, to, c->ret_where);
  errno = EINVAL;
  return failed(from, c->ret_where);
}

int tree_copy(const char *from, const char *to, char *ret_where)
{
  if (mkdir(to, 0755) != 0 || chmod(to, 0755) != 0)
    return failed(to, ret_where);
  copying c = {.to = to, .ret_where = ret_where};
  return for_each(from, copy_entry, &c, ret_where);
}

/* ---- removing ---- */

static int remove_entry(const char *folder, const struct dirent *entry, void *arg)
{
  char path[PATH_MAX];
  if (join(folder, entry->d_name, path) != 0)
    return failed(folder, arg);
  return tree_remove(path, arg);
}

int tree_remove(const char *path, char *ret_where)
{
  struct stat st;
  if (lstat(path, &st) != 0)
    return errno == ENOENT ? 0 : failed(path, ret_where);
  if (!S_ISDIR(st.st_mode))
    return unlink(path) == 0 ? 0 : failed(path, ret_where);
  int rc = for_each(path, remove_entry, ret_where, ret_where);
  if (rc == 0 && rmdir(path) != 0)
    rc = failed(path, ret_where);
  return rc;
}
