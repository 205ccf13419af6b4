/*
 * The wall clock, set: the milliseconds in the file that XO_HOOKS_TEST_CLOCK names (8 bytes, host order) are added to what the program reads.
 * The monotonic clock goes on untouched, as when an administrator or NTP sets the time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offset_ms;

__attribute__((constructor)) static void attach(void)
{
  const char *path = getenv("XO_HOOKS_TEST_CLOCK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset_ms, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    abort(); /* a test that would test nothing */
  offset_ms = map;
  close(fd);
}

int clock_gettime(clockid_t which, struct timespec *t)
{
  if (syscall(SYS_clock_gettime, which, t) != 0)
    return -1;
  if ((which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE) && offset_ms) {
    t->tv_sec += *offset_ms / 1000;
    t->tv_nsec += *offset_ms % 1000 * 1000000;
    if (t->tv_nsec >= 1000000000) {
      t->tv_sec++;
      t->tv_nsec -= 1000000000;
    } else if (t->tv_nsec < 0) {
      t->tv_sec--;
      t->tv_nsec += 1000000000;
    }
  }
  return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *t)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t)
    *t = now.tv_sec;
  return now.tv_sec;
}
