#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int max_level = XH_LOG_INFO;
static atomic_int without_time;
static atomic_ulong problems;
static void (*write_line)(void *arg, const char *line, size_t len);
static void *write_arg;

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
  if (write_line) {
    write_line(write_arg, line, len);
    return;
  }
  ssize_t ignored = write(STDERR_FILENO, line, len);
  (void)ignored;
}
