/* A delivery's request as a command for a POSIX shell. */
#ifndef XH_CLI_CURL_COMMAND_H
#define XH_CLI_CURL_COMMAND_H

#include "base/str.h"

#include <stdio.h>

/*
 * Prints the command that sends what the delivery sends (the answer of the call `delivery`), byte for byte. What is secret is "(hidden)" in
 * it, and a comment above says what to fill in. Whatever the names and the body hold, a shell runs nothing but curl, printf and date, and a
 * terminal that shows it is safe.
 */
void curl_command_put(FILE *out, xh_str delivery);

#endif
