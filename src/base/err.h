/*
 * Error codes: one table gives code, name and text; the program, its documents and its tests use it.
 * Functions return 0 or one of these negative numbers. Safe from every thread.
 */
#ifndef XH_BASE_ERR_H
#define XH_BASE_ERR_H

#define XH_ERR_MAP(X)                                                                                        \
  X(ENOMEM, -1, "out of memory")                                                                             \
  X(EINVAL, -2, "invalid argument")                                                                          \
  X(ECAP, -3, "larger than its cap")                                                                         \
  X(EJSON, -4, "not valid JSON")                                                                             \
  X(EDEPTH, -5, "JSON nested too deeply")                                                                    \
  X(EUTF8, -6, "not valid UTF-8")                                                                            \
  X(EEVENT, -7, "not an event")                                                                              \
  X(ECONFIG, -8, "mistakes in the configuration")                                                            \
  X(EIO, -9, "input/output error")                                                                           \
  X(EFULL, -10, "no space left")                                                                             \
  X(ECORRUPT, -11, "the file is damaged")                                                                    \
  X(EBUSY, -12, "in use by another process")                                                                 \
  X(ENOENT, -13, "not found")                                                                                \
  X(EVERSION, -14, "written by a newer version")                                                             \
  X(ETIMEDOUT, -15, "timed out")                                                                             \
  X(EDENIED, -16, "not permitted")                                                                           \
  X(ESIGNATURE, -17, "the signature does not match")                                                         \
  X(ESTALE, -18, "the timestamp is outside the tolerance")                                                   \
  X(EPROTOCOL, -19, "breaks the protocol")                                                                   \
  X(ECLOSED, -20, "closed")                                                                                  \
  X(ETRUNCATED, -21, "ends in the middle")                                                                   \
  X(EMISSING, -22, "lacks a required property")                                                              \
  X(ENUL, -23, "holds a NUL byte")                                                                           \
  X(EISDIR, -24, "it is a folder")                                                                           \
  X(ENOTDIR, -25, "not a folder")                                                                            \
  X(EOLDER, -26, "written by an older version; `xo-hooks serve` brings it up to date when it starts")

enum xh_err {
#define XH_ERR_CODE(name, code, text) XH_##name = (code),
  XH_ERR_MAP(XH_ERR_CODE)
#undef XH_ERR_CODE
};

/* "EJSON" for XH_EJSON; "EUNKNOWN" for a number that is not in the table. Static storage. */
const char *xh_err_name(int code);

/* "not valid JSON" for XH_EJSON. Static storage. */
const char *xh_err_text(int code);

/* The code that fits a value of errno (positive): ENOSPC and EDQUOT are XH_EFULL, the unknown XH_EIO. */
int xh_err_from_errno(int errnum);

#endif
