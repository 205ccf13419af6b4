/*
 * An HTTP server that answers 200 to everything as fast as a library can (libmicrohttpd, one epoll thread), so that what is measured is the
 * sender. Prints its port; GET /count gives the number of POSTs so far.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long posts;

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                  const char *data, size_t *size, void **state)
{
  static int begun;
  (void)version, (void)data, (void)url;
  if (!*state) {
    *state = &begun;
    return MHD_YES;
  }
  if (*size > 0) {
    *size = 0;
    return MHD_YES;
  }
  if (strcmp(method, "POST") == 0) {
    atomic_fetch_add(&posts, 1);
    return MHD_queue_response(connection, 200, arg);
  }
  char text[32];
  int len = snprintf(text, sizeof text, "%ld", atomic_load(&posts));
  struct MHD_Response *count = MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_COPY);
  enum MHD_Result result = MHD_queue_response(connection, 200, count);
  MHD_destroy_response(count);
  return result;
}

int main(int argc, char **argv)
{
  static char empty[1];
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
  struct MHD_Response *ok = MHD_create_response_from_buffer(0, empty, MHD_RESPMEM_PERSISTENT);
  struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL, on_request, ok,
                                               MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_TIMEOUT, 300u, MHD_OPTION_END);
  if (!daemon)
    return 1;
  printf("%u\n", (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
  fflush(stdout);
  while (getchar() != EOF)
    ;
  MHD_stop_daemon(daemon);
  return 0;
}
