/*
 * Matching: the table gives the hooks that fit one by one, in their order, and wildcards mean what a plain reading of them says. Three lines: a method
 * pattern, an `advanced` object, an event.
 */
#include "fuzz.h"

#include "hooks/hooks.h"

#include <jansson.h>

/* Does the pattern fit? By a table of prefixes, as a textbook has it. */
static bool fits_plainly(xh_str pattern, xh_str text)
{
  bool *row = calloc(text.len + 1, sizeof *row);
  CHECK(row);
  row[0] = true;
  for (size_t i = 0; i < pattern.len; i++) {
    bool diagonal = row[0];
    if (pattern.ptr[i] != '*')
      row[0] = false;
    for (size_t j = 1; j <= text.len; j++) {
      bool above = row[j];
      if (pattern.ptr[i] == '*')
        row[j] = row[j] || row[j - 1];
      else
        row[j] = diagonal && (pattern.ptr[i] == '?' || pattern.ptr[i] == text.ptr[j - 1]);
      diagonal = above;
    }
  }
  bool fits = row[text.len];
  free(row);
  return fits;
}

typedef struct found {
  uint32_t places[64];
  size_t count;
} found;

static void on_found(xh_hook *hook, void *arg)
{
  found *f = arg;
  CHECK(f->count < 64);
  f->places[f->count++] = hook->index;
}

static void check_table(const xh_hooks *hooks, const xh_event *event)
{
  found table = {.count = 0}, one_by_one = {.count = 0};
  xh_hooks_match(hooks, event, on_found, &table);
  for (size_t i = 0; i < xh_hooks_count(hooks); i++)
    if (xh_hook_fits(xh_hooks_at(hooks, i), event))
      on_found(xh_hooks_at(hooks, i), &one_by_one);
  CHECK(table.count == one_by_one.count && memcmp(table.places, one_by_one.places, table.count * sizeof *table.places) == 0);
}

static void put_hook(xh_buf *config, xh_str method, const char *type, xh_str advanced)
{
  xh_buf_z(config, config->len > 10 ? ",{\"method\":" : "{\"method\":");
  xh_buf_json(config, method);
  xh_buf_printf(config, ",\"type\":\"%s\",\"url\":\"http://h/%zu\",\"format\":\"json\",\"advanced\":", type, config->len);
  xh_buf_str(config, advanced);
  xh_buf_char(config, '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  xh_str rest = {(const char *)data, size};
  xh_str pattern = fuzz_line(&rest), advanced = fuzz_line(&rest);
  char *copy = fuzz_copy(rest.ptr, rest.len);
  xh_event event;
  xh_hooks *hooks = NULL;
  xh_mistakes mistakes;
  if (pattern.len < 512 && rest.len < 4096)
    CHECK(xh_method_fits(pattern, (xh_str){copy, rest.len}) == fits_plainly(pattern, (xh_str){copy, rest.len}));
  if (xh_json_validate(advanced, NULL) == 0 && xh_event_parse((xh_str){copy, rest.len}, &event, NULL) == 0) {
    xh_buf config;
    xh_buf_init(&config, size * 4 + 4096);
    xh_buf_z(&config, "{\"hooks\":[");
    put_hook(&config, pattern, "pre/post", advanced);
    put_hook(&config, event.method, "post", advanced);
    put_hook(&config, XH_STR("*"), "pre", advanced);
    put_hook(&config, pattern, "post", XH_STR("{}"));
    put_hook(&config, XH_STR("*"), "pre/post", XH_STR("{\"only\":\"failure\"}"));
    xh_buf_z(&config, "]}");
    if (xh_hooks_compile(xh_buf_span(&config), 0, &hooks, &mistakes) == 0)
      check_table(hooks, &event);
    xh_hooks_unref(hooks);
    xh_mistakes_done(&mistakes);
    xh_buf_done(&config);
  }
  free(copy);
  return 0;
}
