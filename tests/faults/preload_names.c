/*
 * A name server that doesn't answer: looking up a name that ends in ".silent" takes a minute.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
  const char *dot = name ? strrchr(name, '.') : NULL;
  if (dot && strcmp(dot, ".silent") == 0) {
    sleep(60);
    return EAI_AGAIN;
  }
  look_up *real = (look_up *)dlsym(RTLD_NEXT, "getaddrinfo");
  return real ? real(name, service, hints, ret_list) : EAI_SYSTEM;
}
