/*
 * Makes the n-th allocation of the calling thread fail: one file of a test executable whose name ends in _memory includes this, the linker
 * sends all allocations of the program's own code (and those of jansson, which asks there) here. What libraries allocate inside is not touched.
 */
#ifndef XH_TESTS_FAILING_MEMORY_H
#define XH_TESTS_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);

static _Thread_local long fail_in; /* 0: nothing fails; 1: the next one */
static _Thread_local bool has_failed;

static bool refused(void)
{
  if (fail_in == 0 || --fail_in > 0)
    return false;
  has_failed = true;
  return true;
}

void *__wrap_malloc(size_t size)
{
  return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
  return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
  return refused() ? NULL : __real_realloc(ptr, size);
}

char *__wrap_strdup(const char *text)
{
  return refused() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
  return refused() ? NULL : __real_strndup(text, len);
}

/* The n-th allocation from here on fails, once. */
static void memory_fails_in(long n)
{
  has_failed = false;
  fail_in = n;
}

/* All is well again. Did one fail since? When none did, `n` was beyond the last one. */
static bool memory_failed(void)
{
  fail_in = 0;
  return has_failed;
}

#endif
