/*
 * Lines to a descriptor, written by a thread of its own: whoever reads them may be slow or stop without holding up anybody here. What waits to
 * be written is bounded; lines that find no room are dropped, and a line in their place says how many. The thread sleeps until there is
 * something to write.
 */
#ifndef XH_RECEIVER_PRINTER_H
#define XH_RECEIVER_PRINTER_H

#include "receiver/line.h"

enum { XH_PRINTER_ROOM_BYTES = 4 * 1024 * 1024 }; /* waiting, beside as much that is being written */

typedef struct xh_printer xh_printer;

/* `fd` stays the caller's. `style` is that of the line about dropped ones. Returns 0 or XH_ENOMEM. */
int xh_printer_new(int fd, xh_line_style style, xh_printer **ret_printer);

/* Takes one or more whole lines, in order. Never waits. Any thread. */
void xh_printer_line(xh_printer *printer, xh_str line);

/*
 * Writes what waits, for `limit_ms` at most, and frees the printer (NULL allowed). Returns false when the reader did not take all of it. The
 * thread then still hangs in its write: it is left alone, uses `fd` to the end of the program, and frees the printer if it ever comes back.
 */
bool xh_printer_close(xh_printer *printer, int64_t limit_ms);

#endif
