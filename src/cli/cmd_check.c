/* xo-hooks check: every mistake of a configuration at once. */
#include "base/err.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/config_file.h"

#include <getopt.h>

enum { OUTPUT_CAP_BYTES = 64 * 1024 * 1024 };

typedef struct check_options {
  bool json, quiet;
} check_options;

static void print_mistake(const char *path, const xh_mistake *m)
{
  const char *plain = xh_colour_code(stdout, XH_PLAIN);
  printf("%s: %s%s%s ", path, xh_colour_code(stdout, m->warning ? XH_YELLOW : XH_RED), m->warning ? "warning:" : "mistake:", plain);
  if (*m->pointer)
    printf("%s%s%s ", xh_colour_code(stdout, XH_BOLD), m->pointer, plain);
  printf("%s", m->message);
  if (m->found)
    printf(" (found %s)", m->found);
  putchar('\n');
}

static void print_json(const char *path, const xh_mistakes *mistakes, size_t hooks)
{
  xh_buf out;
  xh_buf_init(&out, OUTPUT_CAP_BYTES);
  xh_buf_z(&out, "{\"file\":");
  xh_buf_json_z(&out, path);
  xh_buf_printf(&out, ",\"ok\":%s,\"hooks\":%zu,\"mistakes\":[", mistakes->errors ? "false" : "true", hooks);
  for (size_t i = 0; i < mistakes->count; i++) {
    const xh_mistake *m = &mistakes->items[i];
    xh_buf_printf(&out, "%s{\"warning\":%s,\"pointer\":", i ? "," : "", m->warning ? "true" : "false");
    xh_buf_json_z(&out, m->pointer);
    xh_buf_z(&out, ",\"found\":");
    xh_buf_json_z(&out, m->found);
    xh_buf_z(&out, ",\"message\":");
    xh_buf_json_z(&out, m->message);
    xh_buf_char(&out, '}');
  }
  xh_buf_z(&out, "]}");
  if (xh_buf_error(&out) == 0)
    puts(out.ptr);
  xh_buf_done(&out);
}

static int check(const check_options *o, const char *path)
{
  xh_buf text;
  xh_hooks *hooks = NULL;
  xh_mistakes mistakes = {0};
  xh_buf_init(&text, XH_CONFIG_CAP_BYTES);
  int rc = xh_file_read(path, &text);
  if (rc) {
    xh_buf_done(&text);
    return xh_fail(&xh_cmd_check, XH_EXIT_USAGE, "%s can't be read: %s", path, xh_err_text(rc));
  }
  rc = xh_hooks_compile(xh_buf_span(&text), true, &hooks, &mistakes);
  xh_buf_done(&text);
  size_t count = rc == 0 ? xh_hooks_count(hooks) : 0;
  if (o->json)
    print_json(path, &mistakes, count);
  for (size_t i = 0; i < mistakes.count && !o->json; i++)
    print_mistake(path, &mistakes.items[i]);
  if (rc == 0 && !o->json && !o->quiet)
    printf("%s: %sok%s, %zu hook%s\n", path, xh_colour_code(stdout, XH_GREEN), xh_colour_code(stdout, XH_PLAIN), count,
           count == 1 ? "" : "s");
  xh_mistakes_done(&mistakes);
  xh_hooks_unref(hooks);
  return rc == 0 ? XH_EXIT_OK : rc == XH_ECONFIG ? XH_EXIT_FAILED : xh_fail(&xh_cmd_check, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(rc));
}

static int run(int argc, char **argv)
{
  static const struct option options[] = {
      {"json", no_argument, NULL, 'j'}, {"quiet", no_argument, NULL, 'q'}, {NULL, 0, NULL, 0}};
  check_options o = {.json = false};
  int option, worst = XH_EXIT_OK;
  optind = 1;
  while ((option = getopt_long(argc, argv, "jq", options, NULL)) != -1) {
    if (option == 'j')
      o.json = true;
    else if (option == 'q')
      o.quiet = true;
    else {
      fputs("Try 'xo-hooks check --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  }
  if (optind == argc)
    return xh_usage_error(&xh_cmd_check, "name a file, or - for standard input");
  for (int i = optind; i < argc; i++) {
    int status = check(&o, argv[i]);
    if (status > worst)
      worst = status;
  }
  return worst;
}

const xh_command xh_cmd_check = {
    .name = "check",
    .summary = "list every mistake of a configuration, with JSON pointers",
    .help = "Usage: xo-hooks check [OPTION]… FILE…\n"
            "\n"
            "Lists every mistake of hooks.json at once: where it is (JSON pointer), what was found, what is allowed, and what was probably\n"
            "meant. - is standard input. Warnings are no mistakes: the configuration loads.\n"
            "\n"
            "  -j, --json     one JSON object a file\n"
            "  -q, --quiet    nothing when all is well\n"
            "\n"
            "Examples:\n"
            "  xo-hooks check hooks.json\n"
            "  xo-hooks check --json - < hooks.json | jq .mistakes\n"
            "\n"
            "Exit status: 0 no mistakes; 1 mistakes; 2 wrong usage, or a file that can't be read.\n",
    .run = run,
};
