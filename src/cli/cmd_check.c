/* xo-hooks check: every mistake of a configuration at once. */
#include "base/err.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/config_file.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

typedef struct check_options {
  bool json, quiet, lenient;
  size_t most; /* mistakes to list, and warnings; 0: all */
} check_options;

/* ---- for people ---- */

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

static void print_more(const char *path, size_t more, const char *what)
{
  if (more)
    printf("%s: and %zu more %s%s\n", path, more, what, more == 1 ? "" : "s");
}

/* ---- as JSON ---- */

static void print_json_text(const char *text)
{
  xh_buf out;
  xh_buf_init(&out, XH_CONFIG_CAP_BYTES);
  xh_buf_json_z(&out, text);
  fputs(xh_buf_error(&out) ? "null" : out.ptr, stdout);
  xh_buf_done(&out);
}

static void print_json_mistake(const xh_mistake *m, bool is_first)
{
  printf("%s{\"warning\":%s,\"pointer\":", is_first ? "" : ",", m->warning ? "true" : "false");
  print_json_text(m->pointer);
  fputs(",\"found\":", stdout);
  print_json_text(m->found);
  fputs(",\"message\":", stdout);
  print_json_text(m->message);
  putchar('}');
}

/* ---- the command ---- */

static size_t listed(const check_options *o, size_t count)
{
  return o->most && count > o->most ? o->most : count;
}

static void print_list(const check_options *o, const char *path, const xh_mistakes *mistakes)
{
  size_t errors = listed(o, mistakes->errors), warnings = listed(o, mistakes->warnings), printed = 0;
  for (size_t i = 0; i < mistakes->count && errors + warnings > 0; i++) {
    const xh_mistake *m = &mistakes->items[i];
    size_t *left = m->warning ? &warnings : &errors;
    if (*left == 0)
      continue;
    --*left;
    if (o->json)
      print_json_mistake(m, printed++ == 0);
    else
      print_mistake(path, m);
  }
}

static void print_result(const check_options *o, const char *path, const xh_mistakes *mistakes, size_t hooks)
{
  size_t more = mistakes->errors - listed(o, mistakes->errors), more_warnings = mistakes->warnings - listed(o, mistakes->warnings);
  if (o->json) {
    fputs("{\"file\":", stdout);
    print_json_text(path);
    printf(",\"ok\":%s,\"hooks\":%zu,\"mistakes\":[", mistakes->errors ? "false" : "true", hooks);
  }
  print_list(o, path, mistakes);
  if (o->json) {
    printf("],\"more\":%zu,\"moreWarnings\":%zu}\n", more, more_warnings);
    return;
  }
  print_more(path, more, "mistake");
  print_more(path, more_warnings, "warning");
  if (!mistakes->errors && !o->quiet)
    printf("%s: %sok%s, %zu hook%s\n", path, xh_colour_code(stdout, XH_GREEN), xh_colour_code(stdout, XH_PLAIN), hooks, hooks == 1 ? "" : "s");
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
  bool keep_all = o->most == 0 || o->most > XH_MISTAKES_KEPT_MAX;
  rc = xh_hooks_compile(xh_buf_span(&text), (o->lenient ? 0u : XH_CHECK_STRICT) | (keep_all ? XH_CHECK_ALL : 0u), &hooks, &mistakes);
  xh_buf_done(&text);
  if (rc == 0 || rc == XH_ECONFIG)
    print_result(o, path, &mistakes, rc == 0 ? xh_hooks_count(hooks) : 0);
  xh_mistakes_done(&mistakes);
  xh_hooks_unref(hooks);
  return rc == 0 ? XH_EXIT_OK : rc == XH_ECONFIG ? XH_EXIT_FAILED : xh_fail(&xh_cmd_check, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(rc));
}

static bool take_most(check_options *o, const char *text)
{
  char *end;
  errno = 0;
  unsigned long most = strtoul(text, &end, 10);
  o->most = most;
  return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && most > 0;
}

static int run(int argc, char **argv)
{
  static const struct option options[] = {
      {"json", no_argument, NULL, 'j'},       {"lenient", no_argument, NULL, 'l'}, {"most", required_argument, NULL, 'm'},
      {"quiet", no_argument, NULL, 'q'}, {NULL, 0, NULL, 0}};
  check_options o = {.json = false};
  int option, worst = XH_EXIT_OK;
  optind = 1;
  while ((option = getopt_long(argc, argv, "jlm:q", options, NULL)) != -1) {
    if (option == 'j')
      o.json = true;
    else if (option == 'l')
      o.lenient = true;
    else if (option == 'q')
      o.quiet = true;
    else if (option == 'm') {
      if (!take_most(&o, optarg))
        return xh_usage_error(&xh_cmd_check, "--most %s: must be a number from 1", optarg);
    }
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
            "meant. - is standard input. Warnings are no mistakes: the configuration loads. A method name that is nearly one of XO's is a\n"
            "mistake here, though serve takes it: most of them are slips.\n"
            "\n"
            "  -j, --json     one JSON object a file\n"
            "  -l, --lenient  judge as serve does: a method name that is nearly one of XO's is a warning, because a newer XO may have it\n"
            "  -m, --most N   list the first N mistakes and the first N warnings, then how many more there are\n"
            "  -q, --quiet    nothing when all is well\n"
            "\n"
            "Examples:\n"
            "  xo-hooks check hooks.json\n"
            "  xo-hooks check --json - < hooks.json | jq .mistakes\n"
            "\n"
            "Exit status: 0 no mistakes; 1 mistakes; 2 wrong usage, or a file that can't be read.\n",
    .run = run,
};
