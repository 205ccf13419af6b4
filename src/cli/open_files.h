/* The limit of open files, before anything is opened. */
#ifndef XH_CLI_OPEN_FILES_H
#define XH_CLI_OPEN_FILES_H

#include <stddef.h>

/* Opens /dev/null in the place of a standard input, output or error that is closed: the next file would take its number, and be read or
 * written in its stead. */
void open_files_fill_standard(void);

/* Raises the soft limit (1024 on Debian) to `wanted`, as far as the hard one allows; less than that is logged, with what it is too few for. */
void open_files_allow(size_t wanted, const char *what_for);

#endif
