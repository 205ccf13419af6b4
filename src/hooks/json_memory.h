/*
 * Was there memory enough for all that jansson did? It ignores some failed allocations: a text that grows while it is parsed loses a
 * character, and a URL or a secret would be another one. Any thread, each for itself.
 */
#ifndef XH_HOOKS_JSON_MEMORY_H
#define XH_HOOKS_JSON_MEMORY_H

#include <stdbool.h>

void json_memory_begin(void);
bool json_memory_failed(void); /* since json_memory_begin */

#endif
