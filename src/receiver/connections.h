/*
 * The open connections by what they are at, with their deadlines: which to close because it was too slow, because another one waits, or because
 * memory is short. Only pointers, sizes and times; the server closes. One thread.
 */
#ifndef XH_RECEIVER_CONNECTIONS_H
#define XH_RECEIVER_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum xh_stage {
  XH_AT_END,  /* it has its last answer; what it still sends is dropped for a moment */
  XH_AT_GONE, /* a request of it is being worked on, and nobody is there to take the answer */
  XH_AT_HEAD, /* without the whole head of a request: new, between two requests, or sending one */
  XH_AT_BODY, /* sends a body, or takes an answer */
  XH_AT_WORK, /* a request of it is being worked on: never closed for another */
  XH_AT_OVER, /* above the limit, with nobody to close for it: it is told so */
  XH_AT_CLOSE,
  XH_STAGES
} xh_stage;

struct MHD_Connection;
struct xh_request;

typedef struct xh_connection xh_connection;
struct xh_connection {
  xh_connection *previous, *next; /* in its stage: those that heard nothing for the longest time come first */
  struct MHD_Connection *mhd;
  struct xh_request *request; /* from its whole head to its end; else NULL */
  int fd;
  xh_stage stage;
  bool served;           /* a request of it was answered */
  uint64_t bytes_before; /* that had come when its last request was whole */
  bool began;            /* bytes have come since then, and no whole head */
  bool hung_up;          /* the client sends no more */
  int64_t deadline_ms;   /* monotonic; INT64_MAX for none */
  size_t body_bytes;     /* held of a body that is not complete */
};

typedef struct xh_connections {
  struct {
    xh_connection *first, *last;
    size_t count;
  } stages[XH_STAGES];
} xh_connections;

/* A new one, at its head. */
void xh_connections_add(xh_connections *all, xh_connection *connection, int64_t deadline_ms);
void xh_connections_remove(xh_connections *all, xh_connection *connection);

/* Something was achieved: to the end of this stage's queue, with a new deadline. XH_AT_WORK becomes XH_AT_GONE for one that hung up. */
void xh_connections_move(xh_connections *all, xh_connection *connection, xh_stage stage, int64_t deadline_ms);

/* Bytes came: to the end of its stage's queue; the deadline stays. */
void xh_connections_touch(xh_connections *all, xh_connection *connection);

/* The client sends no more. */
void xh_connections_hung_up(xh_connections *all, xh_connection *connection);

/*
 * Calls `late` for each one past its deadline, which must move it, and nothing else in the list. Returns the earliest deadline that is left,
 * INT64_MAX for none.
 */
int64_t xh_connections_sweep(xh_connections *all, int64_t now_ms, void *arg, void (*late)(void *arg, xh_connection *connection));

/* All but those that are leaving, or will be told to. */
size_t xh_connections_served(const xh_connections *all);

/* The one to give up for `newcomer`: one that is gone, else without a whole head, else in its body; of these, the first. NULL: all work. */
xh_connection *xh_connections_stalest(const xh_connections *all, const xh_connection *newcomer);

/* The one that holds the largest unfinished body, the longest without a byte if there are several; NULL for none. */
xh_connection *xh_connections_largest(const xh_connections *all);

#endif
