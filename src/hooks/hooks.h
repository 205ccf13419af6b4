/*
 * hooks.json → a table of compiled hooks, and the look-up (table, event) → hooks.
 *
 * Compiling allocates and is for any one thread; a finished table is immutable and may be read by all threads.
 */
#ifndef XH_HOOKS_HOOKS_H
#define XH_HOOKS_HOOKS_H

#include "base/buf.h"
#include "hooks/hook.h"

typedef struct xh_hooks xh_hooks;

/* One mistake in a configuration. */
typedef struct xh_mistake {
  char *pointer; /* RFC 6901, "/hooks/3/url"; "" is the whole document */
  char *found;   /* what stands there, shortened, secrets masked; NULL when something is missing */
  char *message; /* what is wrong, what is allowed, what to do: one sentence a person understands */
  bool warning;  /* the configuration loads all the same */
} xh_mistake;

typedef struct xh_mistakes {
  xh_mistake *items; /* in the order of the document */
  size_t count;
  size_t errors, warnings; /* how many there are, kept or not */
} xh_mistakes;

void xh_mistakes_done(xh_mistakes *mistakes);

typedef enum xh_checks {
  XH_CHECK_STRICT = 1, /* a method that is nearly one of XO's is an error; else a warning, because a newer XO may have it */
  XH_CHECK_ALL = 2,    /* every mistake is kept; else the first XH_MISTAKES_KEPT_MAX errors and as many warnings */
} xh_checks;

enum { XH_MISTAKES_KEPT_MAX = 1000 };

/*
 * Compiles a configuration object, `{"hooks":[…]}` as JSON text. Every mistake is collected, not just the first one. `checks`: bits of
 * xh_checks, 0 for a running program.
 * Returns 0 with the table (release with xh_hooks_unref), or XH_ECONFIG, XH_ENOMEM. `ret_mistakes` is filled in both
 * cases (warnings) and must be given to xh_mistakes_done. Line and column of a JSON syntax error are in its message.
 */
int xh_hooks_compile(xh_str config, unsigned checks, xh_hooks **ret_hooks, xh_mistakes *ret_mistakes);

/* Compiles one hook object as stored in the outbox (xh_hook.config). Returns 0, XH_ECONFIG or XH_ENOMEM. */
int xh_hook_compile(xh_str config, xh_hook **ret_hook);

xh_hooks *xh_hooks_ref(xh_hooks *hooks);
void xh_hooks_unref(xh_hooks *hooks);

size_t xh_hooks_count(const xh_hooks *hooks);
xh_hook *xh_hooks_at(const xh_hooks *hooks, size_t index); /* borrowed */

/*
 * Calls `found` for each enabled hook whose method pattern, type, `only` and `when` fit the event, in the order of the
 * configuration. Cost grows with the hooks that fit (and the wildcards), not with all of them. Pure. Returns 0, or XH_ENOMEM when it
 * could not be told of all hooks whether they fit.
 */
typedef void (*xh_match_cb)(xh_hook *hook, void *arg);
int xh_hooks_match(const xh_hooks *hooks, const xh_event *event, xh_match_cb found, void *arg);

/* Does one hook fit the event? What xh_hooks_match asks, without the table. */
bool xh_hook_fits(const xh_hook *hook, const xh_event *event);

/* Does `pattern` ("vm.start", "vm.*", "*") fit `method`? A * stands for any characters, dots too. */
bool xh_method_fits(xh_str pattern, xh_str method);

/* A URL, as it is typed in a configuration, as lists show it (xh_hook.url_shown). To free(); NULL when it is no URL or without memory. */
char *xh_url_shown(const char *typed);

/* The URL of a hook or a proxy with `hole` wherever something is hidden: credentials, the query, the rest of a long path segment. To
 * free(); NULL without memory. */
char *xh_url_with_holes(const char *url, const char *hole);

/* The JSON Schema (draft-07) of the configuration, one terminated text in static storage: for editors and for XO's form. */
const char *xh_hooks_schema(void);

/* The names of XO's API methods that we know, NULL-terminated, sorted. */
const char *const *xh_hooks_methods(void);

#endif
