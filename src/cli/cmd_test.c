/* xo-hooks test: one sample event to hooks, and what became of it. */
#include "base/err.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/json_view.h"
#include "cli/metadata_option.h"
#include "engine/sample.h"
#include "intake/client.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

enum { RESULT_CAP_BYTES = 16 * 1024 * 1024, ANSWER_TIMEOUT_MS = 30 * 60 * 1000, ANSWER_SHOWN_BYTES = 300 };

typedef struct test_options {
  const char *data, *socket, *config, *source;
  metadata_options metadata;
  bool json;
  char **hooks; /* places or names */
  int hook_count;
} test_options;

/* ---- showing ---- */

static void put_times(xh_str result)
{
  static const char *const names[][2] = {
      {"nameLookupMs", "name"}, {"connectMs", "connect"}, {"tlsMs", "TLS"}, {"firstByteMs", "first byte"}, {"totalMs", "total"}};
  const char *before = " (";
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    xh_str value = view_member(result, names[i][0]);
    if (!value.ptr)
      continue;
    printf("%s%s %.1f ms", before, names[i][1], strtod(value.ptr, NULL));
    before = ", ";
  }
  if (*before == ',')
    putchar(')');
}

/* Returns whether it was delivered. */
static bool show_one(xh_str result)
{
  bool ok = xh_json_typeof(view_member(result, "ok")) == XH_JSON_TRUE;
  const char *plain = xh_colour_code(stdout, XH_PLAIN);
  xh_str status = view_member(result, "status");
  printf("%s%s%s ", xh_colour_code(stdout, ok ? XH_GREEN : XH_RED), ok ? "ok    " : "FAILED", plain);
  view_put(stdout, view_member(result, "hook"), 200);
  fputs("\n       ", stdout);
  if (xh_json_typeof(status) == XH_JSON_NUMBER)
    printf("status %.*s", (int)status.len, status.ptr);
  else
    fputs("no answer", stdout);
  put_times(result);
  putchar('\n');
  if (!ok) {
    fputs("       ", stdout);
    view_put(stdout, view_member(result, "error"), 1000);
    putchar('\n');
  }
  if (view_member(result, "answer").len > 2) {
    printf("       %sanswer: ", xh_colour_code(stdout, XH_DIM));
    view_put(stdout, view_member(result, "answer"), ANSWER_SHOWN_BYTES);
    printf("%s\n", plain);
  }
  return ok;
}

static int show(const test_options *o, xh_str result)
{
  xh_json_iter it;
  xh_str one;
  size_t count = 0, failed = 0;
  if (!xh_json_iter_init(&it, view_member(result, "results")))
    return xh_fail(&xh_cmd_test, XH_EXIT_FAILED, "the answer is not understood");
  if (o->json)
    printf("%.*s\n", (int)result.len, result.ptr);
  while (xh_json_next(&it, NULL, &one)) {
    count++;
    failed += o->json ? xh_json_typeof(view_member(one, "ok")) != XH_JSON_TRUE : !show_one(one);
  }
  if (count == 0)
    return xh_fail(&xh_cmd_test, XH_EXIT_FAILED, "no enabled hook to test");
  return failed ? XH_EXIT_FAILED : XH_EXIT_OK;
}

/* ---- with a configuration file: on its own ---- */

typedef struct own_run {
  const test_options *options;
  xh_transport *transport;
  int status;
} own_run;

static void on_closed(void *arg)
{
  (void)arg;
}

static void on_done(void *arg, const xh_buf *result)
{
  own_run *run = arg;
  run->status = xh_buf_error(result) ? xh_fail(&xh_cmd_test, XH_EXIT_FAILED, "the answers are too large to show")
                                     : show(run->options, xh_buf_span(result));
  xh_transport_close(run->transport, on_closed, NULL);
}

static void print_mistake(bool warning, const char *line)
{
  fprintf(stderr, "%s%s\n", warning ? "warning: " : "", line);
}

/* The places of the hooks that were named, as a JSON array; an empty buffer for all enabled ones. */
static int chosen(const test_options *o, const xh_hooks *hooks, xh_buf *list)
{
  if (o->hook_count == 0)
    return XH_EXIT_OK;
  xh_buf_char(list, '[');
  for (int i = 0; i < o->hook_count; i++) {
    char *end;
    unsigned long place = strtoul(o->hooks[i], &end, 10);
    bool found = *o->hooks[i] && !*end && place < xh_hooks_count(hooks);
    for (size_t at = 0; at < xh_hooks_count(hooks) && !found; at++)
      if (xh_hooks_at(hooks, at)->name && strcmp(xh_hooks_at(hooks, at)->name, o->hooks[i]) == 0) {
        place = at;
        found = true;
      }
    if (!found)
      return xh_fail(&xh_cmd_test, XH_EXIT_USAGE, "no hook has the place or the name \"%s\"; places count from 0", o->hooks[i]);
    xh_buf_printf(list, "%s%lu", list->len > 1 ? "," : "", place);
  }
  xh_buf_char(list, ']');
  return XH_EXIT_OK;
}

static int test_file(const test_options *o)
{
  xh_hooks *hooks;
  xh_buf list;
  uv_loop_t loop;
  own_run run = {.options = o, .status = XH_EXIT_FAILED};
  xh_transport_options transport = {.allow_metadata = o->metadata.items, .allow_metadata_count = o->metadata.count};
  int rc = xh_config_load(o->config, print_mistake, &hooks);
  if (rc)
    return rc == XH_ECONFIG ? XH_EXIT_FAILED : XH_EXIT_USAGE;
  xh_buf_init(&list, 1 << 20);
  int status = chosen(o, hooks, &list);
  if (status == XH_EXIT_OK) {
    uv_loop_init(&loop);
    rc = xh_transport_new(&loop, &transport, &run.transport);
    xh_sample sample = {.transport = run.transport,
                        .hooks = hooks,
                        .list = list.len ? xh_buf_span(&list) : (xh_str){NULL, 0},
                        .source = XH_STR("local"),
                        .done = on_done,
                        .arg = &run};
    if (rc == 0)
      rc = xh_sample_send(&sample, NULL);
    status = rc ? xh_fail(&xh_cmd_test, XH_EXIT_FAILED, "%s", xh_err_text(rc)) : XH_EXIT_OK;
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (rc == 0)
      status = run.status;
  }
  xh_buf_done(&list);
  xh_hooks_unref(hooks);
  return status;
}

/* ---- through the running program ---- */

static int test_running(const test_options *o)
{
  char path[PATH_MAX];
  xh_client *client;
  xh_buf params, result;
  snprintf(path, sizeof path, "%s/xo-hooks.sock", o->data ? o->data : xh_default_data_folder());
  const char *socket = o->socket ? o->socket : path;
  int rc = xh_client_connect(socket, &client);
  if (rc)
    return xh_fail(&xh_cmd_test, XH_EXIT_UNAVAILABLE,
                   "nothing answers on %s (%s): start `xo-hooks serve`, or test a file with --config", socket, xh_err_text(rc));
  xh_buf_init(&params, 1 << 20);
  xh_buf_init(&result, RESULT_CAP_BYTES);
  xh_buf_z(&params, "{\"source\":");
  xh_buf_json_z(&params, o->source);
  for (int i = 0; i < o->hook_count; i++)
    xh_buf_printf(&params, "%s%d", i ? "," : ",\"hooks\":[", atoi(o->hooks[i]));
  xh_buf_z(&params, o->hook_count ? "]}" : "}");
  rc = xh_client_call(client, XH_STR("test"), xh_buf_span(&params), ANSWER_TIMEOUT_MS, &result);
  int status = rc == XH_EPROTOCOL ? xh_fail(&xh_cmd_test, XH_EXIT_FAILED, "%.*s", (int)result.len, result.ptr)
               : rc               ? xh_fail(&xh_cmd_test, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(rc))
                                  : show(o, xh_buf_span(&result));
  xh_buf_done(&params);
  xh_buf_done(&result);
  xh_client_close(client);
  return status;
}

static int parse(int argc, char **argv, test_options *o)
{
  enum { OPT_METADATA = 256 };
  static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                          {"socket", required_argument, NULL, 's'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"source", required_argument, NULL, 'S'},
                                          {"allow-metadata", required_argument, NULL, OPT_METADATA},
                                          {"json", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "d:s:c:S:j", options, NULL)) != -1)
    switch (option) {
    case 'd':
      o->data = optarg;
      break;
    case 's':
      o->socket = optarg;
      break;
    case 'c':
      o->config = optarg;
      break;
    case 'S':
      o->source = optarg;
      break;
    case 'j':
      o->json = true;
      break;
    case OPT_METADATA:
      if (metadata_take(&o->metadata, &xh_cmd_test, optarg) != XH_EXIT_OK)
        return XH_EXIT_USAGE;
      break;
    default:
      fputs("Try 'xo-hooks test --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  o->hooks = argv + optind;
  o->hook_count = argc - optind;
  for (int i = 0; i < o->hook_count && !o->config; i++)
    if (strspn(o->hooks[i], "0123456789") != strlen(o->hooks[i]) || !*o->hooks[i])
      return xh_usage_error(&xh_cmd_test, "%s: hooks of a running program are given by their place, from 0", o->hooks[i]);
  return XH_EXIT_OK;
}

static int run(int argc, char **argv)
{
  test_options o = {.source = "local"};
  int status = parse(argc, argv, &o);
  if (status)
    return status;
  return o.config ? test_file(&o) : test_running(&o);
}

const xh_command xh_cmd_test = {
    .name = "test",
    .summary = "send one sample event to hooks and show status, times and answer",
    .help = "Usage: xo-hooks test [OPTION]… [HOOK]…\n"
            "\n"
            "Sends a sample event (callId \"0\") to each enabled hook, or to those named, and shows what came back. Nothing is stored.\n"
            "HOOK is a place in the configuration, counted from 0; with --config also a name.\n"
            "\n"
            "  -c, --config FILE          test this file's hooks, without a running program\n"
            "  -d, --data DIR             ask the program that serves this folder\n"
            "  -s, --socket PATH          ask the program that listens there\n"
            "  -S, --source NAME          the source whose hooks are meant (local)\n"
            "      --allow-metadata ADDR  with --config: a cloud metadata address that may be called\n"
            "  -j, --json                 one JSON object\n"
            "\n"
            "Examples:\n"
            "  xo-hooks test --config hooks.json\n"
            "  xo-hooks test --config hooks.json \"Chat\"\n"
            "  xo-hooks test --source xo 0 2\n"
            "\n"
            "Exit status: 0 all answered well; 1 some did not; 2 wrong usage or unreadable file; 3 no running program.\n",
    .run = run,
};
