/*
 * Checking a configuration: collects every mistake with its JSON pointer (RFC 6901) while readers walk the document. Internal to
 * src/hooks.
 */
#ifndef XH_HOOKS_CHECK_H
#define XH_HOOKS_CHECK_H

#include "hooks/hooks.h"

#include <jansson.h>

typedef struct checker {
  xh_mistakes *mistakes;
  size_t room;
  xh_buf path;    /* the pointer to what is being read */
  bool strict, all; /* xh_checks */
  bool secret;    /* what is being read must not be shown */
  bool no_memory;
} checker;

/* A property that an object may have; `read` gets its value unless that is null or "", which mean absent. */
typedef struct property {
  const char *name;
  void (*read)(checker *c, const json_t *value, void *into);
} property;

void checker_init(checker *c, xh_mistakes *mistakes, unsigned checks); /* bits of xh_checks */
void checker_done(checker *c);

/* One mistake at the present path; `found` NULL when something is missing. */
void check_fail(checker *c, const json_t *found, const char *format, ...) __attribute__((format(printf, 3, 4)));
void check_warn(checker *c, const json_t *found, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Goes one step down; what it returns takes the way back. */
size_t check_enter(checker *c, const char *key);
size_t check_enter_index(checker *c, size_t index);
void check_leave(checker *c, size_t mark);

/* Reads an object's properties by the table (ended by a NULL name); unknown ones are mistakes. */
void check_object(checker *c, const json_t *object, const property *properties, void *into);

/* Reads each element of an array of 1 to `most` elements. False (a mistake was noted) when it is none. */
bool check_array(checker *c, const json_t *array, size_t most, void (*each)(checker *c, const json_t *value, void *into), void *into);

/* Values of a type; a mistake and false (or NULL) otherwise. Texts are copies to free(). */
bool check_bool(checker *c, const json_t *value, bool *ret_value);
bool check_number(checker *c, const json_t *value, double least, double most, const char *unit, double *ret_number);
char *check_text(checker *c, const json_t *value, size_t most_bytes);
char *check_secret_text(checker *c, const json_t *value, size_t most_bytes);
bool check_choice(checker *c, const json_t *value, const char *const *choices, int *ret_index);

/* The entry of a NULL-terminated list that `text` is probably meant to be, or NULL. */
const char *check_nearest(const char *text, const char *const *list);

/* ---- readers of single topics ---- */

/* Checks the URL; makes the shown one. Returns false after noting a mistake. */
bool check_url(checker *c, const json_t *value, char **ret_url, char **ret_shown);
void read_method(checker *c, const json_t *value, void *hook);
void read_advanced(checker *c, const json_t *value, void *hook);
extern const property HOOK_PROPERTIES[];
extern const property ADVANCED_PROPERTIES[];

/* An empty hook with its defaults, one reference; NULL without memory. */
xh_hook *hook_new(void);

/* Sets config, digest and target_key. False without memory. */
bool hook_identify(xh_hook *hook, const json_t *object);

/* What a hook asks apart from the method: is it enabled, type, only, when. */
bool hook_wants(const xh_hook *hook, const xh_event *event, int *ret_rc); /* *ret_rc: XH_ENOMEM when it could not be told */

/* * (any bytes) and ? (one byte) in `pattern`. */
bool glob_fits(xh_str pattern, xh_str text);

#endif
