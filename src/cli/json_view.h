/* Reading answers (valid JSON text) to show them: members, texts safe for a terminal, times. */
#ifndef XH_CLI_JSON_VIEW_H
#define XH_CLI_JSON_VIEW_H

#include "base/json_scan.h"

#include <stdio.h>

xh_str view_member(xh_str object, const char *name); /* absent: NULL pointer */
bool view_is(xh_str object, const char *name);       /* is it true? */
int64_t view_number(xh_str object, const char *name); /* 0 when absent or no number */
bool view_equals(xh_str object, const char *name, const char *text);

/* Prints a string's text (as xh_buf_plain does), at most `most` bytes; other values as their JSON; null and absent as nothing. */
void view_put(FILE *out, xh_str value, size_t most);

/* "2026-11-23 08:15:30" in local time. */
void view_time(int64_t wall_ms, char *out, size_t size);

#endif
