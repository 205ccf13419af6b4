/* Time: wall clock for what people read and what is stored, monotonic clock for intervals. Any thread. */
#ifndef XH_BASE_CLOCK_H
#define XH_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970-01-01T00:00:00Z. Jumps when the clock is set. */
int64_t xh_wall_ms(void);

enum { XH_CLOCK_JUMP_MS = 2000 }; /* a difference from there on is a clock that was set; below, one that is being trimmed */

/* Milliseconds and microseconds since some start; never jump. */
int64_t xh_mono_ms(void);
int64_t xh_mono_us(void);

enum { XH_ISO_SIZE = 32 };

/* "2026-11-23T08:15:30.123Z" as Date.prototype.toISOString writes it; years outside 0 to 9999 are clamped. */
void xh_iso_time(int64_t wall_ms, char out[XH_ISO_SIZE]);

/* Reads ISO 8601 ("2026-11-23", "2026-11-23T08:15", with seconds, fraction, Z or +hh:mm; UTC without a zone),
 * epoch milliseconds, or an age such as "90s", "15m", "2h", "7d" before `now_ms`. Returns 0, or XH_EINVAL for anything else, for a
 * day that does not exist and for years outside 0 to 9999. */
int xh_time_parse(const char *text, int64_t now_ms, int64_t *ret_ms);

/* Reads "500ms", "10s", "5m", "2h", "7d" or a bare number of seconds. Returns 0 or XH_EINVAL. */
int xh_duration_parse(const char *text, int64_t *ret_ms);

/* "12 ms", "3.4 s", "2 min 5 s", "3 h 12 min", "4 d 2 h". */
void xh_duration_text(int64_t ms, char *out, size_t size);

#endif
