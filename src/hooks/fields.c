/* The stock fields of a hook, and name and enabled. */
#include "hooks/check.h"

#include <stdlib.h>

enum { METHOD_PATTERN_BYTES_MAX = 128, NAME_BYTES_MAX = 200 };

static bool is_method_char(char ch)
{
  return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '.' || ch == '_' || ch == '-' ||
         ch == '*';
}

static bool fits_any_known(const char *pattern)
{
  for (const char *const *name = xh_hooks_methods(); *name; name++)
    if (xh_method_fits(xh_str_z(pattern), xh_str_z(*name)))
      return true;
  return false;
}

/* Plugins add methods of their own: an unknown name is no mistake unless it is nearly a known one. */
static void judge_method(checker *c, const json_t *value, const char *method)
{
  if (fits_any_known(method))
    return;
  const char *nearest = strchr(method, '*') ? NULL : check_nearest(method, xh_hooks_methods());
  if (nearest && c->strict)
    check_fail(c, value, "is not a method of XO; did you mean \"%s\"?", nearest);
  else if (nearest)
    check_warn(c, value, "is not a method of XO; did you mean \"%s\"?", nearest);
  else if (strchr(method, '*'))
    check_warn(c, value, "fits no method of XO that we know; namespaces are written like \"vm.*\"");
  else
    check_warn(c, value, "is not a method of XO that we know; it is called only if a plugin adds it");
}

void read_method(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  char *method = check_text(c, value, METHOD_PATTERN_BYTES_MAX);
  if (!method)
    return;
  for (const char *at = method; *at; at++)
    if (!is_method_char(*at)) {
      check_fail(c, value, "must be a method such as \"vm.start\", with * as wildcard (\"vm.*\", \"*\"): letters, digits, . _ - and * only");
      free(method);
      return;
    }
  judge_method(c, value, method);
  hook->method = method;
}

static void read_type(checker *c, const json_t *value, void *into)
{
  static const char *const choices[] = {"pre", "post", "pre/post", NULL};
  xh_hook *hook = into;
  int index;
  if (check_choice(c, value, choices, &index))
    hook->types = (unsigned)index + 1; /* XH_PRE, XH_POST, both */
}

static void read_url(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  check_url(c, value, &hook->url, &hook->url_shown);
}

static void read_format(checker *c, const json_t *value, void *into)
{
  static const char *const choices[] = {"json", "office365", "teams", "slack", "cloudevents", NULL};
  xh_hook *hook = into;
  int index;
  if (check_choice(c, value, choices, &index))
    hook->format = (xh_format)index;
}

static void read_wait(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  check_bool(c, value, &hook->wait_for_response);
}

static void read_name(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  hook->name = check_text(c, value, NAME_BYTES_MAX);
}

static void read_enabled(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  check_bool(c, value, &hook->enabled);
}

const property HOOK_PROPERTIES[] = {{"method", read_method},   {"type", read_type},       {"url", read_url},
                                    {"format", read_format},   {"waitForResponse", read_wait}, {"name", read_name},
                                    {"enabled", read_enabled}, {"advanced", read_advanced}, {NULL, NULL}};
