/*
 * A disk that fails: the n-th write to (or sync of) the outbox's files, and from then on as many as it is told. What and when stands in the file
 * that XO_HOOKS_TEST_DISK names, which the test changes while the program runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2, SHORT = 4 /* half is written, then the error */, HANG = 8 /* syncs wait as long as it is set */ };

typedef struct plan {
  volatile int32_t what;     /* WRITES, SYNCS, SHORT, HANG; 0: all is well */
  volatile int32_t code;     /* the errno */
  volatile int32_t after;    /* so many calls go well first */
  volatile int32_t times;    /* then so many fail */
  volatile int32_t failures; /* how many have */
} plan;

static plan *p;

__attribute__((constructor)) static void attach(void)
{
  const char *path = getenv("XO_HOOKS_TEST_DISK");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    abort();
  p = map;
  close(fd);
}

static int is_outbox(int fd)
{
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  if (len < 0)
    return 0;
  path[len] = '\0';
  return strstr(path, "/outbox.db") != NULL;
}

static int fails(int what, int fd)
{
  if (!p || !(p->what & what) || !is_outbox(fd))
    return 0;
  if (__atomic_sub_fetch(&p->after, 1, __ATOMIC_SEQ_CST) >= 0)
    return 0;
  if (__atomic_sub_fetch(&p->times, 1, __ATOMIC_SEQ_CST) < 0)
    return 0;
  __atomic_add_fetch(&p->failures, 1, __ATOMIC_SEQ_CST);
  errno = p->code;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static ssize_t put(ssize_t (*real)(int, const void *, size_t, off_t), int fd, const void *bytes, size_t size, off_t at)
{
  if (!fails(WRITES, fd))
    return real(fd, bytes, size, at);
  if (p->what & SHORT && size > 1)
    return real(fd, bytes, size / 2, at);
  return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
  return put(REAL(pwrite), fd, bytes, size, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at)
{
  return put(REAL(pwrite64), fd, bytes, size, at);
}

static void hang(int fd)
{
  while (p && p->what & HANG && is_outbox(fd))
    usleep(5000);
}

int fsync(int fd)
{
  hang(fd);
  return fails(SYNCS, fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
  hang(fd);
  return fails(SYNCS, fd) ? -1 : REAL(fdatasync)(fd);
}
