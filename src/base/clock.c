#include "base/clock.h"

#include "base/err.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t FIRST_MS = -62167219200000; /* 0000-01-01 */
static const int64_t LAST_MS = 253402300799999;  /* 9999-12-31T23:59:59.999 */

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
  if (wall_ms < FIRST_MS)
    wall_ms = FIRST_MS;
  if (wall_ms > LAST_MS)
    wall_ms = LAST_MS;
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
  if (end != text + strspn(text, "0123456789.")) /* 0x10 and 1e3 are numbers to C only */
    return XH_EINVAL;
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

/* Exactly `count` digits at *p, which moves behind them. False, and *p anywhere, when there are fewer. */
static bool take_number(const char **p, int count, int *ret_number)
{
  int number = 0;
  for (; count > 0; count--, (*p)++) {
    if (!isdigit((unsigned char)**p))
      return false;
    number = number * 10 + (**p - '0');
  }
  *ret_number = number;
  return true;
}

static bool take_char(const char **p, char c)
{
  if (**p != c)
    return false;
  (*p)++;
  return true;
}

/* Reads "+hh:mm", "-hhmm", "Z" or nothing; the offset in seconds. */
static bool take_zone(const char **p, int *ret_offset_s)
{
  int h, m, sign = **p == '-' ? -1 : 1;
  *ret_offset_s = 0;
  if (**p == '\0' || take_char(p, 'Z') || take_char(p, 'z'))
    return true;
  if (!take_char(p, '+') && !take_char(p, '-'))
    return false;
  if (!take_number(p, 2, &h))
    return false;
  (void)take_char(p, ':');
  if (!take_number(p, 2, &m) || h > 23 || m > 59)
    return false;
  *ret_offset_s = sign * (h * 3600 + m * 60);
  return true;
}

/* Reads ".123": digits past the third are dropped. */
static bool take_fraction(const char **p, int *ret_ms)
{
  int ms = 0, digits = 0;
  *ret_ms = 0;
  if (!take_char(p, '.') && !take_char(p, ','))
    return true;
  for (; isdigit((unsigned char)**p); (*p)++, digits++)
    if (digits < 3)
      ms = ms * 10 + (**p - '0');
  for (int missing = digits; missing < 3; missing++)
    ms *= 10;
  *ret_ms = ms;
  return digits > 0;
}

static bool take_time_of_day(const char **p, struct tm *tm, int *ret_ms)
{
  if (!take_number(p, 2, &tm->tm_hour) || !take_char(p, ':') || !take_number(p, 2, &tm->tm_min) || tm->tm_hour > 23 || tm->tm_min > 59)
    return false;
  if (!take_char(p, ':'))
    return true;
  return take_number(p, 2, &tm->tm_sec) && tm->tm_sec < 61 && take_fraction(p, ret_ms);
}

static int parse_iso(const char *text, int64_t *ret_ms)
{
  struct tm tm = {0};
  int ms = 0, offset_s = 0;
  const char *p = text;
  if (!take_number(&p, 4, &tm.tm_year) || !take_char(&p, '-') || !take_number(&p, 2, &tm.tm_mon) || !take_char(&p, '-') ||
      !take_number(&p, 2, &tm.tm_mday))
    return XH_EINVAL;
  if ((take_char(&p, 'T') || take_char(&p, 't') || take_char(&p, ' ')) && !take_time_of_day(&p, &tm, &ms))
    return XH_EINVAL;
  if (!take_zone(&p, &offset_s) || *p != '\0')
    return XH_EINVAL;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  struct tm normal = tm;
  int64_t s = timegm(&normal);
  bool same_day = normal.tm_mon == tm.tm_mon && normal.tm_mday == tm.tm_mday;
  if (!same_day && tm.tm_sec < 60) /* 31 February */
    return XH_EINVAL;
  *ret_ms = (s - offset_s) * 1000 + ms;
  return 0;
}

/* Reads any of the forms, without judging the year. */
static int parse_time(const char *text, int64_t now_ms, int64_t *ret_ms)
{
  if (parse_iso(text, ret_ms) == 0)
    return 0;
  char *end;
  long long n = strtoll(text, &end, 10);
  if (isdigit((unsigned char)*text) && *end == '\0' && n > 1000000000000) {
    *ret_ms = n;
    return 0;
  }
  int64_t age_ms;
  if (*text == '\0' || isdigit((unsigned char)text[strlen(text) - 1]) || xh_duration_parse(text, &age_ms) != 0)
    return XH_EINVAL;
  *ret_ms = now_ms - age_ms;
  return 0;
}

int xh_time_parse(const char *text, int64_t now_ms, int64_t *ret_ms)
{
  int64_t ms;
  int rc = parse_time(text, now_ms, &ms);
  if (rc == 0 && (ms < FIRST_MS || ms > LAST_MS))
    rc = XH_EINVAL;
  if (rc == 0)
    *ret_ms = ms;
  return rc;
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
