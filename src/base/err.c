#include "base/err.h"

#include <errno.h>

const char *xh_err_name(int code)
{
  switch (code) {
#define XH_ERR_NAME(name, number, text)                                                                      \
  case number:                                                                                               \
    return #name;
    XH_ERR_MAP(XH_ERR_NAME)
#undef XH_ERR_NAME
  default:
    return "EUNKNOWN";
  }
}

const char *xh_err_text(int code)
{
  switch (code) {
#define XH_ERR_TEXT(name, number, text)                                                                      \
  case number:                                                                                               \
    return text;
    XH_ERR_MAP(XH_ERR_TEXT)
#undef XH_ERR_TEXT
  default:
    return "unknown error";
  }
}

int xh_err_from_errno(int errnum)
{
  switch (errnum) {
  case ENOMEM:
    return XH_ENOMEM;
  case ENOSPC:
  case EDQUOT:
    return XH_EFULL;
  case ENOENT:
  case ENOTDIR:
    return XH_ENOENT;
  case EACCES:
  case EPERM:
    return XH_EDENIED;
  case EBUSY:
  case EADDRINUSE:
    return XH_EBUSY;
  case EINVAL:
    return XH_EINVAL;
  case EISDIR:
    return XH_EISDIR;
  case ETIMEDOUT:
    return XH_ETIMEDOUT;
  default:
    return XH_EIO;
  }
}
