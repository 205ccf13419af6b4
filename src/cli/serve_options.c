#include "cli/serve_options.h"

#include "base/clock.h"
#include "base/file.h"
#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
  OPT_DATA = 'd',
  OPT_CONFIG = 'c',
  OPT_SOCKET = 's',
  OPT_VERBOSE = 'v',
  OPT_QUIET = 'q',
  OPT_STDIO = 256,
  OPT_ALLOW_UID,
  OPT_ALLOW_METADATA,
  OPT_LINE_CAP,
  OPT_MEMORY_CAP,
  OPT_KEEP_DELIVERED,
  OPT_KEEP_BYTES,
  OPT_KEEP_DEAD,
  OPT_NICE,
  OPT_PLAIN
};

static const struct option LONG[] = {{"data", required_argument, NULL, OPT_DATA},
                                     {"config", required_argument, NULL, OPT_CONFIG},
                                     {"socket", required_argument, NULL, OPT_SOCKET},
                                     {"stdio", no_argument, NULL, OPT_STDIO},
                                     {"allow-uid", required_argument, NULL, OPT_ALLOW_UID},
                                     {"allow-metadata", required_argument, NULL, OPT_ALLOW_METADATA},
                                     {"line-cap", required_argument, NULL, OPT_LINE_CAP},
                                     {"memory-cap", required_argument, NULL, OPT_MEMORY_CAP},
                                     {"keep-delivered", required_argument, NULL, OPT_KEEP_DELIVERED},
                                     {"keep-bytes", required_argument, NULL, OPT_KEEP_BYTES},
                                     {"keep-dead", required_argument, NULL, OPT_KEEP_DEAD},
                                     {"nice", required_argument, NULL, OPT_NICE},
                                     {"verbose", no_argument, NULL, OPT_VERBOSE},
                                     {"quiet", no_argument, NULL, OPT_QUIET},
                                     {"plain-log", no_argument, NULL, OPT_PLAIN},
                                     {NULL, 0, NULL, 0}};

static int size_of(const char *name, int64_t least, int64_t *ret_bytes)
{
  if (xh_size_parse(optarg, ret_bytes) == 0 && *ret_bytes >= least)
    return XH_EXIT_OK;
  return xh_usage_error(&xh_cmd_serve, "--%s %s: must be a size of at least %lld bytes, such as 64M", name, optarg, (long long)least);
}

static int duration_of(const char *name, int64_t *ret_ms)
{
  if (xh_duration_parse(optarg, ret_ms) == 0 && *ret_ms > 0)
    return XH_EXIT_OK;
  return xh_usage_error(&xh_cmd_serve, "--%s %s: must be a duration, such as 12h or 7d", name, optarg);
}

static int add_text(const char *name, const char **list, size_t *count)
{
  if (*count == XH_SERVE_LIST_MAX)
    return xh_usage_error(&xh_cmd_serve, "--%s: at most %d of them", name, XH_SERVE_LIST_MAX);
  list[(*count)++] = optarg;
  return XH_EXIT_OK;
}

static int add_uid(serve_options *o)
{
  char *end;
  errno = 0;
  unsigned long number = strtoul(optarg, &end, 10);
  const struct passwd *user = *end || end == optarg ? getpwnam(optarg) : NULL;
  if (o->uid_count == XH_SERVE_LIST_MAX)
    return xh_usage_error(&xh_cmd_serve, "--allow-uid: at most %d of them", XH_SERVE_LIST_MAX);
  if (!user && (*end || end == optarg || errno || number > UINT32_MAX - 1))
    return xh_usage_error(&xh_cmd_serve, "--allow-uid %s: neither a user's name nor a number", optarg);
  o->uids[o->uid_count++] = user ? user->pw_uid : (uid_t)number;
  return XH_EXIT_OK;
}

static int nice_of(serve_options *o)
{
  char *end;
  errno = 0;
  long number = strtol(optarg, &end, 10);
  if (*end || end == optarg || errno || number < 0 || number > 19)
    return xh_usage_error(&xh_cmd_serve, "--nice %s: must be a number from 0 (like other programs) to 19 (after all others)", optarg);
  o->nice = (int)number;
  return XH_EXIT_OK;
}

static int take(serve_options *o, int option)
{
  switch (option) {
  case OPT_DATA:
    o->data = optarg;
    return XH_EXIT_OK;
  case OPT_CONFIG:
    o->config = optarg;
    return XH_EXIT_OK;
  case OPT_SOCKET:
    return add_text("socket", o->sockets, &o->socket_count);
  case OPT_STDIO:
    o->stdio = true;
    return XH_EXIT_OK;
  case OPT_ALLOW_UID:
    return add_uid(o);
  case OPT_ALLOW_METADATA:
    return metadata_take(&o->metadata, &xh_cmd_serve, optarg);
  case OPT_LINE_CAP:
    return size_of("line-cap", 1024, &o->line_cap_bytes);
  case OPT_MEMORY_CAP:
    return size_of("memory-cap", 1024 * 1024, &o->memory_cap_bytes);
  case OPT_KEEP_DELIVERED:
    return duration_of("keep-delivered", &o->delivered_keep_ms);
  case OPT_KEEP_BYTES:
    return size_of("keep-bytes", 1024 * 1024, &o->delivered_keep_bytes);
  case OPT_KEEP_DEAD:
    return duration_of("keep-dead", &o->dead_keep_ms);
  case OPT_NICE:
    return nice_of(o);
  case OPT_VERBOSE:
    o->verbose = true;
    return XH_EXIT_OK;
  case OPT_QUIET:
    o->quiet = true;
    return XH_EXIT_OK;
  case OPT_PLAIN:
    o->plain = true;
    return XH_EXIT_OK;
  default: /* getopt has said what is wrong */
    fputs("Try 'xo-hooks serve --help'.\n", stderr);
    return XH_EXIT_USAGE;
  }
}

int serve_options_parse(int argc, char **argv, serve_options *ret_options)
{
  serve_options o = {0};
  int option, status = XH_EXIT_OK;
  optind = 1;
  while (status == XH_EXIT_OK && (option = getopt_long(argc, argv, "d:c:s:vq", LONG, NULL)) != -1)
    status = take(&o, option);
  if (status == XH_EXIT_OK && optind < argc)
    status = xh_usage_error(&xh_cmd_serve, "unexpected argument: %s", argv[optind]);
  if (status)
    return status;
  if (!o.data)
    o.data = xh_default_data_folder();
  *ret_options = o;
  return XH_EXIT_OK;
}
