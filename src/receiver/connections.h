/*
 * The open connections with their deadlines: which to close because it was too slow, or because another one waits. Only pointers and times; the
 * server closes. One thread.
 */
#ifndef XH_RECEIVER_CONNECTIONS_H
#define XH_RECEIVER_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct xh_connection xh_connection;
struct xh_connection {
  xh_connection *previous, *next; /* those that changed their state longest ago come first */
  int fd;
  bool working; /* a request of it is being worked on: no deadline, never closed for another */
  bool closing;
  int64_t deadline_ms; /* monotonic */
};

typedef struct xh_connections {
  xh_connection *first, *last;
  size_t count;
} xh_connections;

void xh_connections_add(xh_connections *all, xh_connection *connection, int64_t deadline_ms);
void xh_connections_remove(xh_connections *all, xh_connection *connection);

/* Something was achieved: a new deadline, and the end of the queue. INT64_MAX marks it as worked on. */
void xh_connections_touch(xh_connections *all, xh_connection *connection, int64_t deadline_ms);

/* The next one past its deadline, or NULL; it is then `closing` and not found again. */
xh_connection *xh_connections_late(xh_connections *all, int64_t now_ms);

/* The one to give up for a newcomer: of those not worked on, the one without a change for the longest time. */
xh_connection *xh_connections_stalest(xh_connections *all);

#endif
