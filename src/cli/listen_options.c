#include "cli/listen_options.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "cli/command.h"
#include "receiver/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum option_id {
  OPT_PORT = 'p',
  OPT_BIND = 'b',
  OPT_SCRIPTS = 's',
  OPT_VERBOSE = 'v',
  OPT_QUIET = 'q',
  OPT_JSON = 'j',
  OPT_PATH = 256,
  OPT_SECRET,
  OPT_PREVIOUS_SECRET,
  OPT_SECRET_FILE,
  OPT_TOLERANCE,
  OPT_TOKEN,
  OPT_TOKEN_FILE,
  OPT_CERT,
  OPT_KEY,
  OPT_BODY_CAP,
  OPT_CONNECTIONS,
  OPT_HEAD_TIMEOUT,
  OPT_IDLE_TIMEOUT,
  OPT_BODY_TIMEOUT,
  OPT_MEMORY_CAP,
  OPT_NO_SCRIPTS,
  OPT_WORKDIR,
  OPT_PASS_ENV,
  OPT_RUNNING,
  OPT_SCRIPT_LIMIT,
  OPT_SERIAL,
  OPT_WAIT,
  OPT_WAIT_TIMEOUT,
  OPT_SPOOL,
  OPT_RETRY,
  OPT_RETRY_WAIT,
  OPT_FORWARD,
  OPT_FORWARD_TIMEOUT,
  OPT_CA_FILE,
  OPT_END_SCRIPTS,
  OPT_TEXT,
  OPT_END
};

static const struct option LONG[] = {{"port", required_argument, NULL, OPT_PORT},
                                     {"bind", required_argument, NULL, OPT_BIND},
                                     {"scripts", required_argument, NULL, OPT_SCRIPTS},
                                     {"no-scripts", no_argument, NULL, OPT_NO_SCRIPTS},
                                     {"path", required_argument, NULL, OPT_PATH},
                                     {"secret", required_argument, NULL, OPT_SECRET},
                                     {"previous-secret", required_argument, NULL, OPT_PREVIOUS_SECRET},
                                     {"secret-file", required_argument, NULL, OPT_SECRET_FILE},
                                     {"tolerance", required_argument, NULL, OPT_TOLERANCE},
                                     {"token", required_argument, NULL, OPT_TOKEN},
                                     {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
                                     {"cert", required_argument, NULL, OPT_CERT},
                                     {"key", required_argument, NULL, OPT_KEY},
                                     {"body-cap", required_argument, NULL, OPT_BODY_CAP},
                                     {"connections", required_argument, NULL, OPT_CONNECTIONS},
                                     {"header-timeout", required_argument, NULL, OPT_HEAD_TIMEOUT},
                                     {"idle-timeout", required_argument, NULL, OPT_IDLE_TIMEOUT},
                                     {"body-timeout", required_argument, NULL, OPT_BODY_TIMEOUT},
                                     {"memory-cap", required_argument, NULL, OPT_MEMORY_CAP},
                                     {"workdir", required_argument, NULL, OPT_WORKDIR},
                                     {"pass-env", required_argument, NULL, OPT_PASS_ENV},
                                     {"jobs", required_argument, NULL, OPT_RUNNING},
                                     {"script-timeout", required_argument, NULL, OPT_SCRIPT_LIMIT},
                                     {"serial", no_argument, NULL, OPT_SERIAL},
                                     {"wait", no_argument, NULL, OPT_WAIT},
                                     {"wait-timeout", required_argument, NULL, OPT_WAIT_TIMEOUT},
                                     {"spool", required_argument, NULL, OPT_SPOOL},
                                     {"retry", required_argument, NULL, OPT_RETRY},
                                     {"retry-wait", required_argument, NULL, OPT_RETRY_WAIT},
                                     {"forward", required_argument, NULL, OPT_FORWARD},
                                     {"forward-timeout", required_argument, NULL, OPT_FORWARD_TIMEOUT},
                                     {"ca-file", required_argument, NULL, OPT_CA_FILE},
                                     {"end-scripts", no_argument, NULL, OPT_END_SCRIPTS},
                                     {"json", no_argument, NULL, OPT_JSON},
                                     {"text", no_argument, NULL, OPT_TEXT},
                                     {"verbose", no_argument, NULL, OPT_VERBOSE},
                                     {"quiet", no_argument, NULL, OPT_QUIET},
                                     {NULL, 0, NULL, 0}};

static const char *name_of(int option)
{
  for (size_t i = 0; LONG[i].name; i++)
    if (LONG[i].val == option)
      return LONG[i].name;
  return "?";
}

static int wrong(int option, const char *expected)
{
  return xh_usage_error(&xh_cmd_listen, "--%s %s: must be %s", name_of(option), optarg, expected);
}

static int number(int option, int64_t least, int64_t most, int64_t *ret_number)
{
  char *end;
  errno = 0;
  long long value = strtoll(optarg, &end, 10);
  if (errno || *end || end == optarg || value < least || value > most)
    return xh_usage_error(&xh_cmd_listen, "--%s %s: must be a number from %lld to %lld", name_of(option), optarg, (long long)least,
                          (long long)most);
  *ret_number = value;
  return XH_EXIT_OK;
}

static int duration(int option, int64_t *ret_ms)
{
  if (xh_duration_parse(optarg, ret_ms) == 0 && *ret_ms >= 0)
    return XH_EXIT_OK;
  return wrong(option, "a duration, such as 500ms, 10s or 5m");
}

/* Of a limit that would let nothing through when it is 0. */
static int time_limit(int option, int64_t least_ms, int64_t *ret_ms)
{
  int status = duration(option, ret_ms);
  if (status || *ret_ms >= least_ms)
    return status;
  return wrong(option, least_ms >= 1000 ? "a duration of at least 1s" : "a duration of more than 0");
}

static int size(int option, size_t *ret_bytes)
{
  int64_t bytes;
  if (xh_size_parse(optarg, &bytes) != 0 || bytes < 1024)
    return wrong(option, "a size of at least 1K, such as 16M");
  *ret_bytes = (size_t)bytes;
  return XH_EXIT_OK;
}

static char *own(listen_options *o, char *text)
{
  if (text && o->owned_count < sizeof o->owned / sizeof *o->owned)
    o->owned[o->owned_count++] = text;
  return text;
}

/* The file's text without the newline at its end. */
static char *read_text(listen_options *o, int option)
{
  xh_buf text;
  xh_buf_init(&text, 1 << 20);
  int rc = xh_file_read(optarg, &text);
  while (rc == 0 && text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r') && option != OPT_CERT &&
         option != OPT_KEY)
    text.ptr[--text.len] = '\0';
  if (rc) {
    xh_buf_done(&text);
    xh_fail(&xh_cmd_listen, XH_EXIT_USAGE, "--%s %s: %s", name_of(option), optarg, xh_err_text(rc));
    return NULL;
  }
  return own(o, xh_buf_steal(&text, NULL));
}

/* Is it a file that can be read? It is read later, by libcurl. */
static int readable(int option)
{
  char byte;
  int fd = open(optarg, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, &byte, 1);
  int error = errno;
  if (fd >= 0)
    close(fd);
  if (got > 0)
    return XH_EXIT_OK;
  return xh_fail(&xh_cmd_listen, XH_EXIT_USAGE, "--%s %s: %s", name_of(option), optarg, got == 0 ? "the file is empty" : strerror(error));
}

static int add_secret(listen_options *o, size_t place, const char *text)
{
  if (xh_secret_parse(xh_str_z(text), &o->secrets[place]) != 0)
    return xh_usage_error(&xh_cmd_listen, "the secret can't be used: plain text of at most %d bytes, or \"whsec_\" followed by base64",
                          XH_SECRET_BYTES_MAX);
  return XH_EXIT_OK;
}

/* One secret a line, the present one first. Lines may end as on Windows; empty ones don't count. */
static int add_secret_file(listen_options *o)
{
  char *rest = read_text(o, OPT_SECRET_FILE);
  if (!rest)
    return XH_EXIT_USAGE;
  size_t count = 0;
  for (char *line; (line = strsep(&rest, "\r\n")) != NULL;) {
    if (!*line)
      continue;
    if (count == 2)
      return wrong(OPT_SECRET_FILE, "a file with one secret, or with two lines: the present one and the one before it");
    int status = add_secret(o, count++, line);
    if (status)
      return status;
  }
  return count ? XH_EXIT_OK : wrong(OPT_SECRET_FILE, "a file with a secret: it is empty");
}

/* An empty one would let everybody in. */
static int add_token(listen_options *o, int option, const char *token)
{
  if (!token)
    return XH_EXIT_USAGE;
  if (!*token || strpbrk(token, " \t\r\n"))
    return xh_usage_error(&xh_cmd_listen, "--%s: the token must be one word, and not empty", name_of(option));
  o->receiver.server.gate.token = xh_str_z(token);
  return XH_EXIT_OK;
}

/* Absolute, because scripts may run in another folder, and not resolved: a symbolic link may be changed while we run. */
static char *absolute(listen_options *o, const char *path)
{
  char *whole = NULL, *here = *path == '/' ? NULL : getcwd(NULL, 0);
  if (*path != '/' && (!here || asprintf(&whole, "%s/%s", here, path) < 0))
    whole = NULL;
  free(here);
  return own(o, *path == '/' ? strdup(path) : whole);
}

static int folder(listen_options *o, int option, const char *path, const char **ret_path)
{
  struct stat st;
  if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
    return xh_fail(&xh_cmd_listen, XH_EXIT_USAGE, "--%s %s: there is no such folder", name_of(option), path);
  *ret_path = absolute(o, path);
  return *ret_path ? XH_EXIT_OK : xh_fail(&xh_cmd_listen, XH_EXIT_UNAVAILABLE, "out of memory");
}

/* It is made when it is not there. */
static int spool_folder(listen_options *o)
{
  struct stat st;
  if (stat(optarg, &st) == 0 && !S_ISDIR(st.st_mode))
    return xh_fail(&xh_cmd_listen, XH_EXIT_UNAVAILABLE, "the spool %s can't be opened: it is not a folder", optarg);
  o->receiver.spool = optarg;
  return XH_EXIT_OK;
}

static int add_pass_env(listen_options *o)
{
  xh_receiver_options *r = &o->receiver;
  if (!*optarg || strchr(optarg, '='))
    return wrong(OPT_PASS_ENV, "the name of a variable, without a value: its value is the receiver's own");
  if (strncmp(optarg, "XO_", 3) == 0)
    return wrong(OPT_PASS_ENV, "another name: variables XO_… tell a script what the event is");
  if (r->pass_env_count == LISTEN_LIST_MAX)
    return wrong(OPT_PASS_ENV, "given at most 64 times");
  o->pass_env[r->pass_env_count++] = optarg;
  return XH_EXIT_OK;
}

static int take_limits(listen_options *o, int option)
{
  xh_server_options *server = &o->receiver.server;
  int64_t value = 0;
  int status;
  switch (option) {
  case OPT_BODY_CAP:
    return size(option, &server->gate.body_cap_bytes);
  case OPT_MEMORY_CAP:
    return size(option, &server->memory_cap_bytes);
  case OPT_CONNECTIONS:
    status = number(option, 1, 100000, &value);
    server->connection_max = (size_t)value;
    return status;
  case OPT_HEAD_TIMEOUT:
    return time_limit(option, 1, &server->head_timeout_ms);
  case OPT_IDLE_TIMEOUT:
    return time_limit(option, 1, &server->idle_timeout_ms);
  case OPT_BODY_TIMEOUT:
    return time_limit(option, 1, &server->body_timeout_ms);
  case OPT_WAIT_TIMEOUT:
    return duration(option, &server->wait_timeout_ms);
  case OPT_RUNNING:
    status = number(option, 1, 1000, &value);
    o->receiver.running_max = (size_t)value;
    return status;
  case OPT_SCRIPT_LIMIT:
    return duration(option, &o->receiver.script_limit_ms);
  case OPT_RETRY:
    status = number(option, 0, 1000, &value);
    o->receiver.retry_max = (int)value;
    return status;
  case OPT_RETRY_WAIT:
    return duration(option, &o->receiver.retry_wait_ms);
  case OPT_FORWARD_TIMEOUT:
    return time_limit(option, 1, &o->receiver.forward_timeout_ms);
  case OPT_TOLERANCE:
    status = time_limit(option, 1000, &value);
    server->gate.tolerance_s = value / 1000;
    return status;
  default:
    return -1;
  }
}

static int take_gate(listen_options *o, int option)
{
  xh_server_options *server = &o->receiver.server;
  switch (option) {
  case OPT_PATH:
    if (*optarg != '/')
      return wrong(option, "a path that begins with /");
    server->gate.path = xh_str_z(optarg);
    return XH_EXIT_OK;
  case OPT_SECRET:
    return add_secret(o, 0, optarg);
  case OPT_PREVIOUS_SECRET:
    return add_secret(o, 1, optarg);
  case OPT_SECRET_FILE:
    return add_secret_file(o);
  case OPT_TOKEN:
    return add_token(o, option, optarg);
  case OPT_TOKEN_FILE:
    return add_token(o, option, read_text(o, option));
  case OPT_CERT:
    server->certificate_pem = read_text(o, option);
    return server->certificate_pem ? XH_EXIT_OK : XH_EXIT_USAGE;
  case OPT_KEY:
    server->key_pem = read_text(o, option);
    return server->key_pem ? XH_EXIT_OK : XH_EXIT_USAGE;
  default:
    return -1;
  }
}

static int take_rest(listen_options *o, int option)
{
  xh_receiver_options *r = &o->receiver;
  int64_t value = 0;
  char shown[256];
  int status = XH_EXIT_OK;
  switch (option) {
  case OPT_PORT:
    status = number(option, 0, 65535, &value);
    r->server.port = (int)value;
    break;
  case OPT_BIND:
    r->server.bind = optarg;
    break;
  case OPT_SCRIPTS:
    status = folder(o, option, optarg, &r->scripts);
    break;
  case OPT_NO_SCRIPTS:
    r->scripts = "";
    break;
  case OPT_WORKDIR:
    status = folder(o, option, optarg, &r->workdir);
    break;
  case OPT_PASS_ENV:
    status = add_pass_env(o);
    break;
  case OPT_FORWARD:
    if (r->forward_count == XH_FORWARDS_MAX)
      return wrong(option, "given at most 16 times");
    if (!xh_forward_url_ok(optarg, shown, sizeof shown))
      return wrong(option, "an http or https URL");
    o->forwards[r->forward_count++] = optarg;
    break;
  case OPT_SPOOL:
    status = spool_folder(o);
    break;
  case OPT_CA_FILE:
    r->ca_file = optarg;
    status = readable(option);
    break;
  case OPT_SERIAL:
    r->serial = true;
    break;
  case OPT_WAIT:
    r->wait = true;
    break;
  case OPT_END_SCRIPTS:
    o->end_scripts = true;
    break;
  case OPT_JSON:
    o->json = true;
    break;
  case OPT_TEXT:
    o->text = true;
    break;
  case OPT_VERBOSE:
    r->verbose = true;
    break;
  case OPT_QUIET:
    o->quiet = true;
    break;
  default: /* getopt has said what is wrong */
    fputs("Try 'xo-hooks listen --help'.\n", stderr);
    status = XH_EXIT_USAGE;
  }
  return status;
}

/* Options that say nothing alone, or nothing together: whoever gives them expects something that does not happen. */
static int check_together(const bool *given)
{
  static const struct {
    int option, needed;
  } needs[] = {{OPT_RETRY, OPT_SPOOL}, {OPT_RETRY_WAIT, OPT_SPOOL}, {OPT_FORWARD_TIMEOUT, OPT_FORWARD}, {OPT_CA_FILE, OPT_FORWARD},
               {OPT_WAIT_TIMEOUT, OPT_WAIT}};
  static const int of_scripts[] = {OPT_SCRIPTS, OPT_WORKDIR, OPT_PASS_ENV, OPT_RUNNING, OPT_SCRIPT_LIMIT, OPT_SERIAL};
  for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
    if (given[needs[i].option] && !given[needs[i].needed])
      return xh_usage_error(&xh_cmd_listen, "--%s needs --%s", name_of(needs[i].option), name_of(needs[i].needed));
  for (size_t i = 0; given[OPT_NO_SCRIPTS] && i < sizeof of_scripts / sizeof *of_scripts; i++)
    if (given[of_scripts[i]])
      return xh_usage_error(&xh_cmd_listen, "--%s and --no-scripts contradict each other", name_of(of_scripts[i]));
  if (given[OPT_JSON] && given[OPT_TEXT])
    return xh_usage_error(&xh_cmd_listen, "--json and --text contradict each other");
  return XH_EXIT_OK;
}

static int finish(listen_options *o)
{
  xh_receiver_options *r = &o->receiver;
  if (!r->server.certificate_pem != !r->server.key_pem)
    return xh_usage_error(&xh_cmd_listen, "--cert and --key belong together");
  if (o->secrets[1].len > 0 && o->secrets[0].len == 0)
    return xh_usage_error(&xh_cmd_listen, "--previous-secret needs --secret");
  r->server.gate.secrets = o->secrets;
  r->server.gate.secret_count = o->secrets[0].len == 0 ? 0 : o->secrets[1].len > 0 ? 2 : 1;
  r->pass_env = o->pass_env;
  r->forwards = o->forwards;
  if (r->scripts && !*r->scripts) {
    r->scripts = NULL;
  } else if (!r->scripts) { /* it may be made later */
    r->scripts_optional = access("hook-scripts", F_OK) != 0;
    r->scripts = absolute(o, "hook-scripts");
    if (!r->scripts)
      return xh_fail(&xh_cmd_listen, XH_EXIT_UNAVAILABLE, "out of memory");
  }
  return XH_EXIT_OK;
}

int listen_options_parse(int argc, char **argv, listen_options *o)
{
  int option, status = XH_EXIT_OK;
  bool given[OPT_END] = {false};
  *o = (listen_options){.receiver = {.server = {.bind = "127.0.0.1",
                                                .port = 3000,
                                                .gate = {.tolerance_s = 300, .body_cap_bytes = 64 << 20},
                                                .connection_max = 1000,
                                                .head_timeout_ms = 10000,
                                                .idle_timeout_ms = 75000,
                                                .body_timeout_ms = 30000,
                                                .wait_timeout_ms = 120000,
                                                .memory_cap_bytes = 256 << 20},
                                     .running_max = 4,
                                     .script_limit_ms = 60000,
                                     .retry_max = 5,
                                     .retry_wait_ms = 5000,
                                     .forward_timeout_ms = 10000}};
  optind = 1;
  while (status == XH_EXIT_OK && (option = getopt_long(argc, argv, "p:b:s:vqj", LONG, NULL)) != -1) {
    given[option] = true;
    status = take_limits(o, option);
    if (status < 0)
      status = take_gate(o, option);
    if (status < 0)
      status = take_rest(o, option);
  }
  if (status == XH_EXIT_OK && optind < argc)
    status = xh_usage_error(&xh_cmd_listen, "unexpected argument: %s", argv[optind]);
  if (status == XH_EXIT_OK)
    status = check_together(given);
  return status ? status : finish(o);
}

void listen_options_done(listen_options *o)
{
  for (size_t i = 0; i < o->owned_count; i++)
    free(o->owned[i]);
  o->owned_count = 0;
}
