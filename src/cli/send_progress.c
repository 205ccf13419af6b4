/* What `send` shows on a terminal while it runs: a bar for files, whose size is known; counts without one. */
#include "base/clock.h"
#include "cli/send.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVERY_MS = 200, COLUMNS = 80, BAR_MIN = 8, BAR_MAX = 40 };

/* What is left of an open file or stands in a named one; -1 when nobody knows (a pipe, a terminal). */
static int64_t bytes_of(const char *name)
{
  struct stat st;
  bool standard = strcmp(name, "-") == 0;
  if ((standard ? fstat(STDIN_FILENO, &st) : stat(name, &st)) != 0 || !S_ISREG(st.st_mode))
    return -1;
  off_t at = standard ? lseek(STDIN_FILENO, 0, SEEK_CUR) : 0;
  return at >= 0 && at <= st.st_size ? st.st_size - at : -1;
}

void send_progress_begin(send_run *run)
{
  char *const *file = run->options->files;
  run->begun_ms = xh_mono_ms();
  run->total_bytes = *file ? 0 : bytes_of("-");
  for (; *file && run->total_bytes >= 0; file++) {
    int64_t bytes = bytes_of(*file);
    run->total_bytes = bytes < 0 ? -1 : run->total_bytes + bytes;
  }
}

static int columns(void)
{
  struct winsize size;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
}

/* "[#######-----]  58%  ", as wide as the rest of the line leaves it; on a narrow terminal the percentage alone. */
static void put_bar(const send_run *run, int room)
{
  double part = run->total_bytes ? (double)run->read_bytes / (double)run->total_bytes : 1;
  if (part > 1) /* the file has grown */
    part = 1;
  int width = room - (int)sizeof "[]  58%  " > BAR_MAX ? BAR_MAX : room - (int)sizeof "[]  58%  ";
  if (width >= BAR_MIN) {
    fputc('[', stderr);
    for (int i = 0; i < width; i++)
      fputc(i < (int)(part * width) ? '#' : '-', stderr);
    fputs("] ", stderr);
  }
  fprintf(stderr, "%3d%%  ", (int)(part * 100));
}

void send_progress(send_run *run, bool last)
{
  int64_t now_ms = xh_mono_ms(), taken_ms = now_ms - run->begun_ms;
  if (!run->progress || (!last && now_ms - run->shown_ms < EVERY_MS))
    return;
  run->shown_ms = now_ms;
  const send_counts *c = &run->counts;
  char text[256];
  int len = snprintf(text, sizeof text, "%lld events, %lld/s, %lld acknowledged, %lld refused", (long long)c->sent,
                     (long long)(taken_ms > 0 ? c->sent * 1000 / taken_ms : c->sent), (long long)c->accepted, (long long)c->refused);
  if (run->options->config)
    len += snprintf(text + len, sizeof text - (size_t)len, "; %lld delivered, %lld pending, %lld dead", (long long)c->delivered,
                    (long long)c->pending, (long long)c->dead);
  fputs("\r\033[K", stderr);
  if (run->total_bytes >= 0)
    put_bar(run, columns() - len);
  fprintf(stderr, "%s%s", text, last ? "\n" : "");
  fflush(stderr);
}
