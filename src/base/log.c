#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int max_level = XH_LOG_INFO;
static atomic_int without_time;
static atomic_ulong problems;
static void (*write_line)(void *arg, const char *line, size_t len);
static void *write_arg;

enum { PATIENCE_MS = 100, PATIENT_EVERY_MS = 10000 };

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER; /* what follows is under it */
static unsigned long dropped;
static int64_t patient_at_ms; /* monotonic; from then on it may be waited for a reader again */

void xh_log_setup(xh_log_level level, int plain)
{
  atomic_store(&max_level, (int)level);
  atomic_store(&without_time, plain);
}

void xh_log_to(void (*write)(void *arg, const char *line, size_t len), void *arg)
{
  write_line = write;
  write_arg = arg;
}

unsigned long xh_log_problems(void)
{
  return atomic_load(&problems);
}

/* ---- writing ---- */

/* Lines are shorter than PIPE_BUF: where there is room at all (poll(2)), a pipe takes one whole. */
static bool has_room(int wait_ms)
{
  struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
  return poll(&fd, 1, wait_ms) != 0; /* an error is left to write(2) */
}

/* A reader that is only late gets a moment, but not again and again. */
static bool may_write(void)
{
  if (has_room(0))
    return true;
  int64_t now_ms = xh_mono_ms();
  if (patient_at_ms && now_ms < patient_at_ms)
    return false;
  patient_at_ms = now_ms + PATIENT_EVERY_MS;
  return has_room(PATIENCE_MS);
}

static void put(const char *line, size_t len)
{
  char told[96];
  pthread_mutex_lock(&writing);
  bool room = may_write();
  if (room && dropped > 0) {
    int size = snprintf(told, sizeof told, "warn  %lu lines of this log were dropped: nobody read them\n", dropped);
    dropped = 0;
    ssize_t ignored = write(STDERR_FILENO, told, (size_t)size);
    (void)ignored;
    room = has_room(0);
  }
  if (!room)
    dropped++;
  else if (write(STDERR_FILENO, line, len) < 0 && errno == EAGAIN)
    dropped++; /* others have made it non-blocking */
  pthread_mutex_unlock(&writing);
}

void xh_log(xh_log_level level, const char *format, ...)
{
  static const char *const names[] = {"error", "warn ", "info ", "debug"};
  if (level <= XH_LOG_WARN)
    atomic_fetch_add(&problems, 1);
  if ((int)level > atomic_load(&max_level))
    return;
  char line[2048];
  char time[XH_ISO_SIZE] = "";
  if (!atomic_load(&without_time))
    xh_iso_time(xh_wall_ms(), time);
  int head = snprintf(line, sizeof line, "%s%s%s ", time, *time ? " " : "", names[level]);
  va_list args;
  va_start(args, format);
  int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
  va_end(args);
  size_t len = (size_t)head + (size_t)(body < 0 ? 0 : body);
  if (len > sizeof line - 2)
    len = sizeof line - 2;
  for (size_t i = (size_t)head, width; i < len; i += width ? width : 1) {
    width = xh_utf8_plain_width(line + i, len - i);
    if (width == 0)
      line[i] = '?';
  }
  line[len++] = '\n';
  if (write_line)
    write_line(write_arg, line, len);
  else
    put(line, len);
}
