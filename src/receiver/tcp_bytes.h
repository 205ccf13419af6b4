/* How much has come over a TCP connection, read or not. Linux tells; any thread. */
#ifndef XH_RECEIVER_TCP_BYTES_H
#define XH_RECEIVER_TCP_BYTES_H

#include <stdint.h>

/* 0 when that can't be told. */
uint64_t xh_tcp_bytes_received(int fd);

#endif
