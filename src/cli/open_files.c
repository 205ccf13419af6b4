#include "cli/open_files.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

void open_files_fill_standard(void)
{
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) /* the lowest number that is free */
      abort();
}

void open_files_allow(size_t wanted, const char *what_for)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
    xh_log(XH_LOG_WARN, "only %llu open files are allowed (ulimit -n): too few for %s", (unsigned long long)limit.rlim_cur, what_for);
}
