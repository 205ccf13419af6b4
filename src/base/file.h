/* Small files read whole; sizes as people write them. Any thread. */
#ifndef XH_BASE_FILE_H
#define XH_BASE_FILE_H

#include "base/buf.h"

/* Appends the file's bytes to `out` (whose cap limits it); "-" is standard input. Returns 0 or the code that fits errno, XH_ECAP, XH_ENOMEM. */
int xh_file_read(const char *path, xh_buf *out);

/* Reads "4096", "64K", "64M", "1G" (powers of 1024; "KiB" and "kB" mean the same). Returns 0 or XH_EINVAL. */
int xh_size_parse(const char *text, int64_t *ret_bytes);

#endif
