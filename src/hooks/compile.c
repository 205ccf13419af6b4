/* A configuration → a table of hooks, and the look-up in it. */
#include "hooks/hooks.h"

#include "base/err.h"
#include "base/map.h"
#include "hooks/check.h"
#include "hooks/json_memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { HOOKS_MAX = 100000 };

/* Hooks with the same method pattern, by their places, ascending. */
typedef struct group {
  char *pattern;
  uint32_t *places;
  size_t count, room;
} group;

struct xh_hooks {
  atomic_int references;
  xh_hook **items;
  size_t count, room;
  xh_map exact;   /* method → group */
  group **groups; /* of wildcards */
  size_t group_count;
  xh_map wild; /* pattern → group, the same ones */
};

/* ---- life ---- */

static void free_group(void *value)
{
  group *g = value;
  free(g->pattern);
  free(g->places);
  free(g);
}

xh_hooks *xh_hooks_ref(xh_hooks *hooks)
{
  atomic_fetch_add_explicit(&hooks->references, 1, memory_order_relaxed);
  return hooks;
}

void xh_hooks_unref(xh_hooks *hooks)
{
  if (!hooks || atomic_fetch_sub_explicit(&hooks->references, 1, memory_order_acq_rel) != 1)
    return;
  for (size_t i = 0; i < hooks->count; i++)
    xh_hook_unref(hooks->items[i]);
  xh_map_done(&hooks->exact, free_group);
  xh_map_done(&hooks->wild, free_group);
  free(hooks->groups);
  free(hooks->items);
  free(hooks);
}

size_t xh_hooks_count(const xh_hooks *hooks)
{
  return hooks->count;
}

xh_hook *xh_hooks_at(const xh_hooks *hooks, size_t index)
{
  return hooks->items[index];
}

/* ---- building ---- */

static group *group_of(xh_hooks *hooks, const char *pattern)
{
  bool wildcard = strchr(pattern, '*') != NULL;
  xh_map *map = wildcard ? &hooks->wild : &hooks->exact;
  group *g = xh_map_get(map, xh_str_z(pattern));
  if (g)
    return g;
  g = calloc(1, sizeof *g);
  if (!g || !(g->pattern = strdup(pattern)) || xh_map_set(map, xh_str_z(pattern), g) != 0) {
    if (g)
      free_group(g);
    return NULL;
  }
  if (!wildcard)
    return g;
  group **groups = realloc(hooks->groups, (hooks->group_count + 1) * sizeof(*groups));
  if (!groups)
    return NULL; /* the map frees it */
  hooks->groups = groups;
  groups[hooks->group_count++] = g;
  return g;
}

static bool add_place(group *g, uint32_t place)
{
  if (g->count == g->room) {
    size_t room = g->room ? g->room * 2 : 4;
    uint32_t *places = realloc(g->places, room * sizeof *places);
    if (!places)
      return false;
    g->places = places;
    g->room = room;
  }
  g->places[g->count++] = place;
  return true;
}

/* Takes the hook. */
static bool add_hook(xh_hooks *hooks, xh_hook *hook)
{
  if (hooks->count == hooks->room) {
    size_t room = hooks->room ? hooks->room * 2 : 16;
    xh_hook **items = realloc(hooks->items, room * sizeof(*items));
    if (!items) {
      xh_hook_unref(hook);
      return false;
    }
    hooks->items = items;
    hooks->room = room;
  }
  hook->index = (uint32_t)hooks->count;
  hooks->items[hooks->count++] = hook;
  group *g = group_of(hooks, hook->method);
  return g && add_place(g, hook->index);
}

/* ---- one hook ---- */

static void need(checker *c, const void *there, const char *name, const char *example)
{
  if (!there)
    check_fail(c, NULL, "needs a \"%s\", such as %s", name, example);
}

/* Has a value been given under that name, right or wrong? Then its reader has said what there is to say. */
static bool given(const json_t *object, const char *name)
{
  const json_t *value = json_object_get(object, name);
  return value && !json_is_null(value) && !(json_is_string(value) && json_string_length(value) == 0);
}

static void check_whole(checker *c, const xh_hook *hook, const json_t *object)
{
  if (!given(object, "method"))
    need(c, NULL, "method", "\"vm.start\"");
  if (!given(object, "type"))
    need(c, NULL, "type", "\"post\"");
  if (!given(object, "url"))
    need(c, NULL, "url", "\"https://host/path\"");
  if (!given(object, "format"))
    need(c, NULL, "format", "\"json\"");
  if (hook->types == XH_POST && hook->wait_for_response && c->strict)
    check_warn(c, NULL, "waits for the response of a post request, which XO never does: waitForResponse works for pre requests");
  if (hook->types == XH_PRE && hook->only != XH_ONLY_ALL)
    check_warn(c, NULL, "has \"only\", which has no effect on pre requests: the call has not ended yet");
}

/* What is kept of the hook's object: without nulls and empty texts, which mean nothing. */
static json_t *without_absent(const json_t *value)
{
  union {
    const json_t *given;
    json_t *walked;
  } both = {.given = value};
  if (!json_is_object(value))
    return json_incref(both.walked); /* nobody changes it, and jansson's copies are silently short without memory */
  json_t *copy = json_object();
  const char *key;
  json_t *member;
  json_object_foreach (both.walked, key, member) {
    if (json_is_null(member) || (json_is_string(member) && json_string_length(member) == 0))
      continue;
    if (json_object_set_new(copy, key, without_absent(member)) != 0) {
      json_decref(copy);
      return NULL;
    }
  }
  return copy;
}

/* The compiled hook, or NULL: mistakes were noted, or memory is out. */
static xh_hook *compile_one(checker *c, const json_t *object)
{
  size_t errors = c->mistakes->errors;
  xh_hook *hook = hook_new();
  if (!hook) {
    c->no_memory = true;
    return NULL;
  }
  check_object(c, object, HOOK_PROPERTIES, hook);
  if (json_is_object(object))
    check_whole(c, hook, object);
  if (!hook->schedule_ms && c->mistakes->errors == errors) {
    size_t count = sizeof XH_SCHEDULE_DEFAULT_MS / sizeof *XH_SCHEDULE_DEFAULT_MS;
    hook->schedule_ms = malloc(sizeof XH_SCHEDULE_DEFAULT_MS);
    if (hook->schedule_ms)
      memcpy(hook->schedule_ms, XH_SCHEDULE_DEFAULT_MS, sizeof XH_SCHEDULE_DEFAULT_MS);
    hook->schedule_count = hook->schedule_ms ? count : 0;
  }
  json_t *kept = c->mistakes->errors == errors ? without_absent(object) : NULL;
  bool good = kept && hook->schedule_ms && hook->method && hook->url && hook_identify(hook, kept);
  json_decref(kept);
  if (good)
    return hook;
  c->no_memory |= c->mistakes->errors == errors;
  xh_hook_unref(hook);
  return NULL;
}

int xh_hook_compile(xh_str config, xh_hook **ret_hook)
{
  xh_mistakes mistakes = {0};
  checker c;
  json_memory_begin();
  json_t *object = json_loadb(config.ptr, config.len, JSON_REJECT_DUPLICATES, NULL);
  if (!object)
    return json_memory_failed() ? XH_ENOMEM : XH_ECONFIG;
  checker_init(&c, &mistakes, 0);
  xh_hook *hook = compile_one(&c, object);
  int rc = c.no_memory || json_memory_failed() ? XH_ENOMEM : hook ? 0 : XH_ECONFIG;
  checker_done(&c);
  xh_mistakes_done(&mistakes);
  json_decref(object);
  if (rc == 0)
    *ret_hook = hook;
  else
    xh_hook_unref(hook);
  return rc;
}

/* ---- the document ---- */

static void compile_entry(checker *c, const json_t *value, void *into)
{
  xh_hooks *hooks = into;
  xh_hook *hook = compile_one(c, value);
  if (hook && !add_hook(hooks, hook))
    c->no_memory = true;
}

static void read_hooks(checker *c, const json_t *value, void *into)
{
  check_array(c, value, HOOKS_MAX, compile_entry, into);
}

static const property DOCUMENT_PROPERTIES[] = {{"hooks", read_hooks}, {NULL, NULL}};

/* The same hook twice sends everything twice: hardly meant. */
static void warn_repeated(checker *c, const xh_hooks *hooks)
{
  xh_map seen;
  xh_map_init(&seen);
  size_t mark = check_enter(c, "hooks");
  for (size_t i = 0; i < hooks->count; i++) {
    xh_hook *hook = hooks->items[i];
    const xh_hook *first = xh_map_get(&seen, xh_str_z(hook->digest));
    if (!first) {
      if (xh_map_set(&seen, xh_str_z(hook->digest), hook) != 0)
        break;
      continue;
    }
    size_t at = check_enter_index(c, i);
    check_warn(c, NULL, "is the same as /hooks/%u: each of its events is sent twice", (unsigned)first->index);
    check_leave(c, at);
  }
  check_leave(c, mark);
  xh_map_done(&seen, NULL);
}

static json_t *parse(checker *c, xh_str config)
{
  json_error_t error;
  const char *nul = config.len ? memchr(config.ptr, '\0', config.len) : NULL;
  if (nul) { /* jansson takes one for the end of the text, and what follows would be ignored */
    check_fail(c, NULL, "holds a NUL byte, at byte %zu; it must be JSON text in UTF-8", (size_t)(nul - config.ptr) + 1);
    return NULL;
  }
  json_t *document = json_loadb(config.ptr, config.len, JSON_REJECT_DUPLICATES, &error);
  if (document)
    return document;
  if (json_memory_failed())
    c->no_memory = true;
  else if (config.len == 0)
    check_fail(c, NULL, "the configuration is empty; the smallest one is {\"hooks\":[]}");
  else
    check_fail(c, NULL, "not valid JSON at line %d, column %d: %s", error.line, error.column, error.text);
  return NULL;
}

/* Elsewhere an empty value stands for an absent one; here it would remove all hooks. */
static bool is_nothing(const json_t *value)
{
  return !value || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

int xh_hooks_compile(xh_str config, unsigned checks, xh_hooks **ret_hooks, xh_mistakes *ret_mistakes)
{
  checker c;
  *ret_mistakes = (xh_mistakes){0};
  xh_hooks *hooks = calloc(1, sizeof *hooks);
  if (!hooks)
    return XH_ENOMEM;
  atomic_init(&hooks->references, 1);
  checker_init(&c, ret_mistakes, checks);
  json_memory_begin();
  json_t *document = parse(&c, config);
  if (document) {
    check_object(&c, document, DOCUMENT_PROPERTIES, hooks);
    if (json_is_object(document) && is_nothing(json_object_get(document, "hooks")))
      check_fail(&c, NULL, "needs \"hooks\", a list of hooks; {\"hooks\":[]} is one without any");
    if (ret_mistakes->errors == 0)
      warn_repeated(&c, hooks);
  }
  json_decref(document);
  checker_done(&c);
  int rc = c.no_memory || json_memory_failed() ? XH_ENOMEM : ret_mistakes->errors ? XH_ECONFIG : 0;
  if (rc)
    xh_hooks_unref(hooks);
  else
    *ret_hooks = hooks;
  return rc;
}

/* ---- look-up ---- */

enum { MERGED_MAX = 32 };

/* Walks the groups' places in ascending order: the order of the configuration. */
static int merge(const xh_hooks *hooks, const group **groups, size_t count, const xh_event *event, xh_match_cb found, void *arg)
{
  int rc = 0;
  size_t at[MERGED_MAX] = {0};
  for (;;) {
    size_t best = count;
    for (size_t i = 0; i < count; i++)
      if (at[i] < groups[i]->count && (best == count || groups[i]->places[at[i]] < groups[best]->places[at[best]]))
        best = i;
    if (best == count)
      return rc;
    xh_hook *hook = hooks->items[groups[best]->places[at[best]++]];
    if (hook_wants(hook, event, &rc))
      found(hook, arg);
  }
}

int xh_hooks_match(const xh_hooks *hooks, const xh_event *event, xh_match_cb found, void *arg)
{
  const group *groups[MERGED_MAX];
  size_t count = 0;
  group *exact = xh_map_get(&hooks->exact, event->method);
  if (exact)
    groups[count++] = exact;
  for (size_t i = 0; i < hooks->group_count; i++) {
    if (!xh_method_fits(xh_str_z(hooks->groups[i]->pattern), event->method))
      continue;
    if (count == MERGED_MAX) { /* so many different wildcards fit one method: all hooks in turn */
      int rc = 0;
      for (size_t at = 0; at < hooks->count; at++)
        if (xh_method_fits(xh_str_z(hooks->items[at]->method), event->method) && hook_wants(hooks->items[at], event, &rc))
          found(hooks->items[at], arg);
      return rc;
    }
    groups[count++] = hooks->groups[i];
  }
  return merge(hooks, groups, count, event, found, arg);
}
