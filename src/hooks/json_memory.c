#include "hooks/json_memory.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

static _Thread_local bool has_failed;

static void *allocate(size_t size)
{
  void *ptr = malloc(size);
  has_failed = has_failed || !ptr;
  return ptr;
}

static void watch(void)
{
  json_set_alloc_funcs(allocate, free);
}

void json_memory_begin(void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch);
  has_failed = false;
}

bool json_memory_failed(void)
{
  return has_failed;
}
