#include "base/file.h"

#include "base/err.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { CHUNK_BYTES = 65536 };

/* One read into the buffer: bytes read, 0 at the end, or a negative code. */
static ssize_t read_some(int fd, xh_buf *out)
{
  char beyond;
  size_t left = out->cap_bytes - out->len;
  size_t want = left < CHUNK_BYTES ? left : CHUNK_BYTES;
  char *room = want > 0 ? xh_buf_reserve(out, want) : &beyond; /* at the cap, one byte tells whether there is more */
  if (!room)
    return xh_buf_error(out);
  ssize_t got;
  do
    got = read(fd, room, want > 0 ? want : 1);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return xh_err_from_errno(errno);
  if (got > 0 && want == 0)
    return XH_ECAP;
  out->len += (size_t)got;
  if (out->ptr)
    out->ptr[out->len] = '\0';
  return got;
}

int xh_file_read(const char *path, xh_buf *out)
{
  int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return xh_err_from_errno(errno);
  ssize_t got;
  while ((got = read_some(fd, out)) > 0)
    ;
  close(fd);
  return (int)got;
}

int xh_size_parse(const char *text, int64_t *ret_bytes)
{
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (errno || end == text || number < 0 || !isdigit((unsigned char)*text))
    return XH_EINVAL;
  static const char units[] = "kmgt";
  int64_t factor = 1;
  const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
  if (unit) {
    factor = (int64_t)1 << (10 * (unit - units + 1));
    end++;
  }
  if (strcasecmp(end, "iB") == 0 || strcasecmp(end, "B") == 0)
    end += strlen(end);
  if (*end || number > INT64_MAX / factor)
    return XH_EINVAL;
  *ret_bytes = number * factor;
  return 0;
}
