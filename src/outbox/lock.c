#include "outbox/lock.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_folders(const char *folder)
{
  char path[PATH_MAX];
  size_t len = strlen(folder);
  if (len == 0 || len >= sizeof path)
    return XH_EINVAL;
  memcpy(path, folder, len + 1);
  for (char *at = path + 1; *at; at++) {
    if (*at != '/')
      continue;
    *at = '\0';
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
      return errno == ENOTDIR ? XH_ENOTDIR : xh_err_from_errno(errno);
    *at = '/';
  }
  if (mkdir(path, 0700) == 0)
    return 0;
  return errno == EEXIST ? 0 : errno == ENOTDIR ? XH_ENOTDIR : xh_err_from_errno(errno);
}

static int open_lock(const char *folder, int flags, int *ret_fd)
{
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s/xo-hooks.lock", folder);
  if (length < 0 || (size_t)length >= sizeof path)
    return XH_ECAP;
  int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return errno == ENOENT ? XH_ENOENT : xh_err_from_errno(errno);
  *ret_fd = fd;
  return 0;
}

static int read_pid(int fd)
{
  char text[24] = "";
  ssize_t got = pread(fd, text, sizeof text - 1, 0);
  int pid = got > 0 ? atoi(text) : 0;
  return pid > 0 ? pid : 0;
}

int xh_folder_lock(const char *folder, int *ret_fd, int *ret_pid)
{
  int fd;
  struct stat info;
  int rc = make_folders(folder);
  if (rc)
    return rc;
  if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
    return XH_ENOTDIR;
  rc = open_lock(folder, O_RDWR | O_CREAT, &fd);
  if (rc)
    return rc;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    rc = errno == EWOULDBLOCK ? XH_EBUSY : xh_err_from_errno(errno);
    if (rc == XH_EBUSY && ret_pid)
      *ret_pid = read_pid(fd);
    close(fd);
    return rc;
  }
  /* A full disk must not keep the program from starting: without its number the lock still holds. */
  char text[24];
  int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
  bool written = ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length;
  (void)written;
  *ret_fd = fd;
  return 0;
}

int xh_folder_owner(const char *folder)
{
  int fd;
  if (open_lock(folder, O_RDONLY, &fd) != 0)
    return 0;
  int owner = 0;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    owner = read_pid(fd);
    owner = owner ? owner : -1;
  }
  close(fd);
  return owner;
}
