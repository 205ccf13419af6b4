#include "cli/config_file.h"

#include "base/err.h"
#include "base/file.h"

#include <stdio.h>

static void tell_mistake(const char *path, const xh_mistake *mistake, void (*tell)(bool warning, const char *line))
{
  xh_buf line;
  xh_buf_init(&line, 8192);
  xh_buf_printf(&line, "%s: %s%s%s", path, mistake->pointer, *mistake->pointer ? ": " : "", mistake->message);
  if (mistake->found)
    xh_buf_printf(&line, " (found %s)", mistake->found);
  tell(mistake->warning, xh_buf_error(&line) ? mistake->message : line.ptr);
  xh_buf_done(&line);
}

static void tell_more(const char *path, size_t more, void (*tell)(bool warning, const char *line))
{
  char line[4200];
  snprintf(line, sizeof line, "%.4000s: and %zu more (xo-hooks check lists them all)", path, more);
  tell(true, line);
}

int xh_config_load(const char *path, void (*tell)(bool warning, const char *line), xh_hooks **ret_hooks)
{
  xh_buf text;
  xh_hooks *hooks = NULL;
  xh_mistakes mistakes = {0};
  xh_buf_init(&text, XH_CONFIG_CAP_BYTES);
  int rc = xh_file_read(path, &text);
  if (rc) {
    char line[4300];
    snprintf(line, sizeof line, "%.4096s: can't be read: %s", path, xh_err_text(rc));
    tell(false, line);
  } else {
    rc = xh_hooks_compile(xh_buf_span(&text), 0, &hooks, &mistakes);
  }
  for (size_t i = 0; i < mistakes.count; i++)
    tell_mistake(path, &mistakes.items[i], tell);
  if (mistakes.errors + mistakes.warnings > mistakes.count)
    tell_more(path, mistakes.errors + mistakes.warnings - mistakes.count, tell);
  xh_mistakes_done(&mistakes);
  xh_buf_done(&text);
  if (rc == 0)
    *ret_hooks = hooks;
  return rc;
}
