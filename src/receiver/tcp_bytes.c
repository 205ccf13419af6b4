#include "receiver/tcp_bytes.h"

#include <linux/tcp.h> /* its tcp_info has more than libc's, which it can't be included beside */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

uint64_t xh_tcp_bytes_received(int fd)
{
  struct tcp_info info;
  socklen_t size = sizeof info;
  memset(&info, 0, sizeof info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}
