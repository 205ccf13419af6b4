/*
 * The addresses at which cloud providers give credentials to whoever asks from inside. A web hook has no business there, and
 * whoever may set a URL must not get at them (server-side request forgery).
 */
#include "delivery/transport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const char *const metadata_v4[] = {
    "169.254.169.254", /* AWS, Azure, Google, OpenStack, DigitalOcean, Oracle */
    "169.254.170.2",   /* AWS ECS task roles */
    "169.254.170.23",  /* AWS EKS pod identity */
    "100.100.100.200", /* Alibaba */
    "168.63.129.16",   /* Azure's host agent */
    "192.0.0.192",     /* Oracle */
};
static const char *const metadata_v6[] = {
    "fd00:ec2::254", /* AWS */
    "fd00:ec2::23",  /* AWS EKS */
    "fd20:ce::254",  /* Google */
};

static const char *find_v4(const void *address)
{
  for (size_t i = 0; i < sizeof metadata_v4 / sizeof *metadata_v4; i++) {
    struct in_addr one;
    if (inet_pton(AF_INET, metadata_v4[i], &one) == 1 && memcmp(&one, address, sizeof one) == 0)
      return metadata_v4[i];
  }
  return NULL;
}

static const char *find_v6(const struct in6_addr *address)
{
  static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b}; /* 64:ff9b::/96, RFC 6052 */
  if (IN6_IS_ADDR_V4MAPPED(address) || memcmp(address, nat64, sizeof nat64) == 0)
    return find_v4(address->s6_addr + 12);
  for (size_t i = 0; i < sizeof metadata_v6 / sizeof *metadata_v6; i++) {
    struct in6_addr one;
    if (inet_pton(AF_INET6, metadata_v6[i], &one) == 1 && memcmp(&one, address, sizeof one) == 0)
      return metadata_v6[i];
  }
  return NULL;
}

const char *xh_metadata_address(const struct sockaddr *address)
{
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return find_v4(&in.sin_addr);
  }
  if (address->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    return find_v6(&in6.sin6_addr);
  }
  return NULL;
}
