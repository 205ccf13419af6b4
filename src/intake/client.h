/*
 * A blocking client of the source protocol: what the commands (send, retry, stats, log …) use to talk to a running
 * `xo-hooks serve`. One thread at a time.
 */
#ifndef XH_INTAKE_CLIENT_H
#define XH_INTAKE_CLIENT_H

#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>

typedef struct xh_client xh_client;

/* Connects to the socket. XH_ENOENT when nothing listens there. */
int xh_client_connect(const char *socket_path, xh_client **ret_client);
void xh_client_close(xh_client *client); /* NULL allowed */

/*
 * Asks `call` with `params` (JSON text) and waits for the answer up to `timeout_ms`. `result` (initialised, cleared here) gets the JSON text of
 * `result`, or with XH_EPROTOCOL the message of the daemon's error. XH_ETIMEDOUT, XH_ECLOSED, XH_ECAP.
 */
int xh_client_call(xh_client *client, xh_str call, xh_str params, int64_t timeout_ms, xh_buf *result);

/* Sends one line (newline added). */
int xh_client_line(xh_client *client, xh_str line);

/* Reads the next line into `line` (cleared first), without the newline. XH_ETIMEDOUT after `timeout_ms` (0: only what is here). */
int xh_client_read(xh_client *client, int64_t timeout_ms, xh_buf *line);

#endif
