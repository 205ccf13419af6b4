#include "base/clock.h"

#include "base/err.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t which, int64_t units_per_s)
{
  struct timespec t;
  clock_gettime(which, &t);
  return (int64_t)t.tv_sec * units_per_s + t.tv_nsec / (1000000000 / units_per_s);
}

int64_t xh_wall_ms(void)
{
  return read_clock(CLOCK_REALTIME, 1000);
}

int64_t xh_mono_ms(void)
{
  return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t xh_mono_us(void)
{
  return read_clock(CLOCK_MONOTONIC, 1000000);
}

void xh_iso_time(int64_t wall_ms, char out[XH_ISO_SIZE])
{
  const int64_t first_ms = -62167219200000; /* 0000-01-01 */
  const int64_t last_ms = 253402300799999;  /* 9999-12-31T23:59:59.999 */
  if (wall_ms < first_ms)
    wall_ms = first_ms;
  if (wall_ms > last_ms)
    wall_ms = last_ms;
  int64_t s = wall_ms / 1000;
  int ms = (int)(wall_ms % 1000);
  if (ms < 0) {
    ms += 1000;
    s--;
  }
  time_t t = (time_t)s;
  struct tm tm;
  gmtime_r(&t, &tm);
  snprintf(out, XH_ISO_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000,
           (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100, ms);
}

int xh_duration_parse(const char *text, int64_t *ret_ms)
{
  static const struct {
    const char *unit;
    double ms;
  } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"min", 6e4}, {"h", 36e5}, {"d", 864e5}};
  if (!isdigit((unsigned char)text[0]))
    return XH_EINVAL;
  char *end;
  double n = strtod(text, &end);
  while (*end == ' ')
    end++;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (strcmp(end, units[i].unit) != 0)
      continue;
    double ms = n * units[i].ms;
    if (!isfinite(ms) || ms > 1e14)
      return XH_EINVAL;
    *ret_ms = (int64_t)ms;
    return 0;
  }
  return XH_EINVAL;
}

/* Reads "+hh:mm", "-hhmm", "Z" or nothing; the offset in seconds. */
static int parse_zone(const char *p, long *ret_offset_s)
{
  *ret_offset_s = 0;
  if (*p == '\0' || strcmp(p, "Z") == 0 || strcmp(p, "z") == 0)
    return 0;
  unsigned h, m;
  int used = 0;
  char sign = *p;
  if (sign != '+' && sign != '-')
    return XH_EINVAL;
  if (sscanf(p + 1, "%2u:%2u%n", &h, &m, &used) != 2 && sscanf(p + 1, "%2u%2u%n", &h, &m, &used) != 2)
    return XH_EINVAL;
  if (p[1 + used] != '\0' || h > 23 || m > 59)
    return XH_EINVAL;
  *ret_offset_s = (sign == '-' ? -1L : 1L) * (long)(h * 3600 + m * 60);
  return 0;
}

static int parse_iso(const char *text, int64_t *ret_ms)
{
  struct tm tm = {0};
  int used = 0;
  if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3)
    return XH_EINVAL;
  const char *p = text + used;
  double seconds = 0;
  if (*p == 'T' || *p == ' ') {
    p++;
    if (sscanf(p, "%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &used) != 2)
      return XH_EINVAL;
    p += used;
    if (*p == ':') {
      char *end;
      seconds = strtod(p + 1, &end);
      if (end == p + 1)
        return XH_EINVAL;
      p = end;
    }
  }
  long offset_s;
  if (parse_zone(p, &offset_s) != 0 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
      tm.tm_hour > 24 || tm.tm_min > 59 || !(seconds >= 0 && seconds < 61))
    return XH_EINVAL;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  *ret_ms = ((int64_t)timegm(&tm) - offset_s) * 1000 + (int64_t)(seconds * 1000 + 0.5);
  return 0;
}

int xh_time_parse(const char *text, int64_t now_ms, int64_t *ret_ms)
{
  if (parse_iso(text, ret_ms) == 0)
    return 0;
  char *end;
  long long n = strtoll(text, &end, 10);
  if (end != text && *end == '\0' && n > 1000000000000) {
    *ret_ms = n;
    return 0;
  }
  int64_t age_ms;
  if (isdigit((unsigned char)text[strlen(text) ? strlen(text) - 1 : 0]) || xh_duration_parse(text, &age_ms) != 0)
    return XH_EINVAL;
  *ret_ms = now_ms - age_ms;
  return 0;
}

void xh_duration_text(int64_t ms, char *out, size_t size)
{
  long long s = ms / 1000;
  if (ms < 1000)
    snprintf(out, size, "%lld ms", (long long)ms);
  else if (s < 60)
    snprintf(out, size, "%.1f s", (double)(ms / 100) / 10);
  else if (s < 3600)
    snprintf(out, size, "%lld min %lld s", s / 60, s % 60);
  else if (s < 86400)
    snprintf(out, size, "%lld h %lld min", s / 3600, s / 60 % 60);
  else
    snprintf(out, size, "%lld d %lld h", s / 86400, s / 3600 % 24);
}
