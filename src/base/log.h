/*
 * The program's own log: one line a message on standard error, written with a single write(2), so that lines of
 * several threads do not mix. Any thread. Never give it a secret: no header values, no bodies, no passphrases.
 *
 * It never holds up the program: when nobody reads (a full pipe), lines are dropped, counted, and their number is told when there is room again.
 */
#ifndef XH_BASE_LOG_H
#define XH_BASE_LOG_H

#include <stddef.h>

typedef enum xh_log_level { XH_LOG_ERROR, XH_LOG_WARN, XH_LOG_INFO, XH_LOG_DEBUG } xh_log_level;

/* Messages above `level` are dropped. With `plain`, lines carry no time (journald and a parent add their own). */
void xh_log_setup(xh_log_level level, int plain);

/* From now on whole lines go to `write` (any thread calls it), which shares standard error with others and keeps lines whole; NULL: there again.
 * Not while other threads log. */
void xh_log_to(void (*write)(void *arg, const char *line, size_t len), void *arg);

/* "TIME warn  text". Control characters in the text become '?', so that a target's answer can't forge lines. */
void xh_log(xh_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lines at XH_LOG_WARN and XH_LOG_ERROR since the start. */
unsigned long xh_log_problems(void);

#endif
