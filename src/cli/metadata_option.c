#include "cli/metadata_option.h"

#include "delivery/transport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Its canonical text, however it is written; NULL when it is none. */
static const char *known(const char *text)
{
  struct sockaddr_in in = {.sin_family = AF_INET};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
  if (strcmp(text, "all") == 0)
    return "all";
  if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
    return xh_metadata_address((const struct sockaddr *)&in);
  if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
    return xh_metadata_address((const struct sockaddr *)&in6);
  return NULL;
}

int metadata_take(metadata_options *options, const xh_command *command, const char *argument)
{
  const char *address = known(argument);
  if (!address)
    return xh_usage_error(command, "--allow-metadata %s: must be \"all\" or the address of a cloud's metadata service, such as 169.254.169.254; "
                                   "other addresses may be called without it",
                          argument);
  if (options->count == METADATA_MAX)
    return xh_usage_error(command, "--allow-metadata: at most %d of them", METADATA_MAX);
  options->items[options->count++] = address;
  return XH_EXIT_OK;
}
