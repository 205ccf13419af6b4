#include "receiver/printer.h"

#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { KEPT_BYTES = 256 * 1024 /* of memory, after a burst */ };

struct xh_printer {
  int fd;
  xh_line_style style;
  uv_thread_t thread;
  uv_mutex_t lock;
  uv_cond_t work, ended;
  bool torn; /* the thread's own: the last write ended within a line */
  /* under the lock */
  xh_buf waiting;
  uint64_t lost;    /* lines before those that wait, which could not be written; said before the next one */
  uint64_t dropped; /* lines after those that wait; until this is said, all that follow are dropped, too */
  bool closing, done;
  bool abandoned; /* by xh_printer_close: the thread frees the printer */
};

static void free_printer(xh_printer *printer)
{
  xh_buf_done(&printer->waiting);
  uv_cond_destroy(&printer->ended);
  uv_cond_destroy(&printer->work);
  uv_mutex_destroy(&printer->lock);
  free(printer);
}

/* Returns how many of the bytes were written: all of them, or fewer after an error. */
static size_t write_all(int fd, xh_str bytes)
{
  size_t at = 0;
  while (at < bytes.len) {
    ssize_t n = write(fd, bytes.ptr + at, bytes.len - at);
    if (n > 0)
      at += (size_t)n;
    else if (n < 0 && errno == EAGAIN) /* another program that has the descriptor made it non-blocking */
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
    else if (n == 0 || errno != EINTR)
      break;
  }
  return at;
}

static uint64_t count_lines(xh_str text)
{
  uint64_t count = 0;
  for (size_t i = 0; i < text.len; i++)
    count += text.ptr[i] == '\n';
  return count;
}

/* Returns how many lines could not be written. */
static uint64_t write_lines(xh_printer *printer, xh_str lines)
{
  if (printer->torn && write_all(printer->fd, XH_STR("\n")) == 1)
    printer->torn = false;
  size_t written = printer->torn ? 0 : write_all(printer->fd, lines);
  if (written > 0)
    printer->torn = lines.ptr[written - 1] != '\n';
  return count_lines((xh_str){lines.ptr + written, lines.len - written});
}

static bool say_dropped(xh_printer *printer, uint64_t count)
{
  xh_buf line;
  xh_buf_init(&line, 1024);
  if (count > 0)
    xh_line_dropped(printer->style, count, xh_wall_ms(), &line);
  bool said = count == 0 || (xh_buf_error(&line) == 0 && write_lines(printer, xh_buf_span(&line)) == 0);
  xh_buf_done(&line);
  return said;
}

/* Is there something to write? Under the lock. */
static bool has_work(const xh_printer *printer)
{
  return printer->waiting.len > 0 || printer->dropped > 0;
}

/* Writes all that waits; `spare` takes the lines that come meanwhile, and is empty again afterwards. Under the lock, which is free
 * while it writes. */
static void write_waiting(xh_printer *printer, xh_buf *spare)
{
  xh_buf taken = printer->waiting;
  uint64_t before = printer->lost, after = printer->dropped, lost = 0;
  printer->waiting = *spare;
  printer->lost = printer->dropped = 0;
  uv_mutex_unlock(&printer->lock);
  if (!say_dropped(printer, before))
    lost = before + count_lines(xh_buf_span(&taken));
  else
    lost = write_lines(printer, xh_buf_span(&taken));
  if (lost > 0 || !say_dropped(printer, after))
    lost += after;
  xh_buf_clear(&taken);
  if (taken.room > KEPT_BYTES)
    xh_buf_done(&taken);
  *spare = taken;
  uv_mutex_lock(&printer->lock);
  printer->lost = lost;
}

static void work(void *arg)
{
  xh_printer *printer = arg;
  xh_buf spare;
  xh_buf_init(&spare, XH_PRINTER_ROOM_BYTES);
  uv_mutex_lock(&printer->lock);
  for (;;) {
    while (!has_work(printer) && !printer->closing)
      uv_cond_wait(&printer->work, &printer->lock);
    if (!has_work(printer))
      break;
    write_waiting(printer, &spare);
  }
  printer->done = true;
  bool abandoned = printer->abandoned;
  uv_cond_signal(&printer->ended);
  uv_mutex_unlock(&printer->lock);
  xh_buf_done(&spare);
  if (abandoned)
    free_printer(printer);
}

static int make_locks(xh_printer *printer)
{
  if (uv_mutex_init(&printer->lock) != 0)
    return XH_ENOMEM;
  if (uv_cond_init(&printer->work) == 0) {
    if (uv_cond_init(&printer->ended) == 0)
      return 0;
    uv_cond_destroy(&printer->work);
  }
  uv_mutex_destroy(&printer->lock);
  return XH_ENOMEM;
}

int xh_printer_new(int fd, xh_line_style style, xh_printer **ret_printer)
{
  xh_printer *printer = calloc(1, sizeof *printer);
  if (!printer || make_locks(printer) != 0) {
    free(printer);
    return XH_ENOMEM;
  }
  printer->fd = fd;
  printer->style = style;
  xh_buf_init(&printer->waiting, XH_PRINTER_ROOM_BYTES);
  if (uv_thread_create(&printer->thread, work, printer) != 0) {
    free_printer(printer);
    return XH_ENOMEM;
  }
  *ret_printer = printer;
  return 0;
}

void xh_printer_line(xh_printer *printer, xh_str line)
{
  uv_mutex_lock(&printer->lock);
  if (printer->dropped > 0 || xh_buf_str(&printer->waiting, line) != 0) {
    printer->dropped += count_lines(line);
    printer->waiting.error = 0; /* those that wait are whole */
  }
  uv_cond_signal(&printer->work);
  uv_mutex_unlock(&printer->lock);
}

bool xh_printer_close(xh_printer *printer, int64_t limit_ms)
{
  if (!printer)
    return true;
  int64_t end_ms = xh_mono_ms() + limit_ms, left_ms;
  uv_mutex_lock(&printer->lock);
  printer->closing = true;
  uv_cond_signal(&printer->work);
  while (!printer->done && (left_ms = end_ms - xh_mono_ms()) > 0)
    uv_cond_timedwait(&printer->ended, &printer->lock, (uint64_t)left_ms * 1000000);
  printer->abandoned = !printer->done;
  bool stuck = printer->abandoned, all = printer->lost == 0;
  uv_thread_t thread = printer->thread;
  uv_mutex_unlock(&printer->lock);
  if (stuck) {
    pthread_detach(thread);
    return false;
  }
  uv_thread_join(&thread);
  free_printer(printer);
  return all;
}
