#include "hooks/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_CAP_BYTES = 4096, MESSAGE_SIZE = 1024, FOUND_BYTES_MAX = 80 };

void xh_mistakes_done(xh_mistakes *mistakes)
{
  for (size_t i = 0; i < mistakes->count; i++) {
    free(mistakes->items[i].pointer);
    free(mistakes->items[i].found);
    free(mistakes->items[i].message);
  }
  free(mistakes->items);
  *mistakes = (xh_mistakes){0};
}

void checker_init(checker *c, xh_mistakes *mistakes, unsigned checks)
{
  *c = (checker){.mistakes = mistakes, .strict = (checks & XH_CHECK_STRICT) != 0, .all = (checks & XH_CHECK_ALL) != 0};
  xh_buf_init(&c->path, PATH_CAP_BYTES);
}

void checker_done(checker *c)
{
  xh_buf_done(&c->path);
}

/* ---- mistakes ---- */

/* Cuts a text that is too long for people, at a character's beginning; takes it, returns it or NULL without memory. */
static char *shortened(char *text)
{
  static const char more[] = "…";
  size_t len = strlen(text);
  if (len <= FOUND_BYTES_MAX)
    return text;
  len = FOUND_BYTES_MAX;
  while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
    len--;
  char *longer = realloc(text, len + sizeof more); /* the mark may need more room than what it replaces */
  if (!longer) {
    free(text);
    return NULL;
  }
  memcpy(longer + len, more, sizeof more);
  return longer;
}

/*
 * "https://name:password@host" → "https://…@host": what is wrong with a URL can be said without its credentials. They end with the last @, as
 * libcurl reads it, and begin behind :// or, in a URL that lacks it, at the beginning. A plain mail address has no colon and stays.
 */
static void hide_credentials(char *text)
{
  char *to = strrchr(text, '@'), *scheme = strstr(text, "://");
  if (!to)
    return;
  char *from = scheme && scheme < to ? scheme + 3 : text + (*text == '"');
  if (!memchr(from, ':', (size_t)(to - from)))
    return;
  size_t gap = (size_t)(to - from);
  size_t stars = gap < 3 ? gap : 3;
  memset(from, '*', stars);
  memmove(from + stars, to, strlen(to) + 1);
}

static char *found_text(const checker *c, const json_t *found)
{
  if (!found)
    return NULL;
  if (c->secret)
    return strdup("(hidden)");
  if (json_is_object(found))
    return strdup("an object");
  if (json_is_array(found))
    return strdup(json_array_size(found) ? "a list" : "an empty list");
  char *text = json_dumps(found, JSON_ENCODE_ANY);
  if (!text)
    return NULL;
  hide_credentials(text);
  return shortened(text);
}

static void note(checker *c, const json_t *found, bool warning, const char *message)
{
  xh_mistakes *m = c->mistakes;
  size_t before = warning ? m->warnings++ : m->errors++;
  if (before >= XH_MISTAKES_KEPT_MAX && !c->all)
    return;
  if (m->count == c->room) {
    size_t room = c->room ? c->room * 2 : 16;
    xh_mistake *items = realloc(m->items, room * sizeof *items);
    if (!items) {
      c->no_memory = true;
      return;
    }
    m->items = items;
    c->room = room;
  }
  xh_str path = xh_buf_span(&c->path);
  xh_mistake one = {.pointer = strndup(path.ptr, path.len),
                    .found = found_text(c, found),
                    .message = strdup(message),
                    .warning = warning};
  if (!one.pointer || !one.message) {
    free(one.pointer);
    free(one.found);
    free(one.message);
    c->no_memory = true;
    return;
  }
  m->items[m->count++] = one;
}

void check_fail(checker *c, const json_t *found, const char *format, ...)
{
  char message[MESSAGE_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  note(c, found, false, message);
}

void check_warn(checker *c, const json_t *found, const char *format, ...)
{
  char message[MESSAGE_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  note(c, found, true, message);
}

/* ---- the path ---- */

size_t check_enter(checker *c, const char *key)
{
  size_t mark = c->path.len;
  xh_buf_char(&c->path, '/');
  for (; *key; key++) {
    if (*key == '~')
      xh_buf_z(&c->path, "~0");
    else if (*key == '/')
      xh_buf_z(&c->path, "~1");
    else
      xh_buf_char(&c->path, *key);
  }
  c->path.error = 0; /* a key longer than the path's cap: the pointer ends early */
  return mark;
}

size_t check_enter_index(checker *c, size_t index)
{
  char key[24];
  snprintf(key, sizeof key, "%zu", index);
  return check_enter(c, key);
}

void check_leave(checker *c, size_t mark)
{
  c->path.len = mark;
  if (c->path.ptr)
    c->path.ptr[mark] = '\0';
}

/* ---- what was probably meant ---- */

/* Edits (insert, delete, replace, swap neighbours) between two words, at most `limit` + 1. */
static unsigned distance(const char *a, const char *b, unsigned limit)
{
  enum { WORD_MAX = 64 };
  unsigned char rows[3][WORD_MAX + 1];
  size_t a_len = strlen(a), b_len = strlen(b);
  size_t gap = a_len > b_len ? a_len - b_len : b_len - a_len;
  if (a_len > WORD_MAX || b_len > WORD_MAX || gap > limit)
    return limit + 1;
  unsigned char *before = rows[0], *above = rows[1], *row = rows[2];
  memset(rows, 0, sizeof rows);
  for (size_t j = 0; j <= b_len; j++)
    above[j] = (unsigned char)j;
  for (size_t i = 1; i <= a_len; i++) {
    unsigned least = (unsigned)i; /* of this row; what follows is no less */
    row[0] = (unsigned char)i;
    for (size_t j = 1; j <= b_len; j++) {
      unsigned best = above[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u);
      if (above[j] + 1u < best)
        best = above[j] + 1u;
      if (row[j - 1] + 1u < best)
        best = row[j - 1] + 1u;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1u < best)
        best = before[j - 2] + 1u;
      row[j] = (unsigned char)best;
      if (best < least)
        least = best;
    }
    if (least > limit)
      return limit + 1;
    unsigned char *old = before;
    before = above;
    above = row;
    row = old;
  }
  return above[b_len];
}

static bool same_but_case(const char *a, const char *b)
{
  for (; *a && *b; a++, b++)
    if ((*a | 0x20) != (*b | 0x20))
      return false;
  return *a == *b;
}

const char *check_nearest(const char *text, const char *const *list)
{
  size_t len = strlen(text);
  unsigned best = len < 4 ? 1 : len < 8 ? 2 : 3; /* more changes than that and it was meant otherwise */
  const char *nearest = NULL;
  for (; *list; list++) {
    if (same_but_case(text, *list))
      return *list;
    unsigned edits = distance(text, *list, best);
    if (edits < best || (edits == best && !nearest)) {
      best = edits;
      nearest = *list;
    }
  }
  return nearest;
}

/* ---- values ---- */

static bool is_absent(const json_t *value)
{
  return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

static void fail_unknown(checker *c, const char *key, const json_t *value, const property *properties)
{
  enum { NAMES_MAX = 64 };
  const char *names[NAMES_MAX + 1] = {NULL};
  xh_buf all;
  xh_buf_init(&all, MESSAGE_SIZE);
  for (size_t i = 0; properties[i].name && i < NAMES_MAX; i++) {
    names[i] = properties[i].name;
    xh_buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
  }
  const char *nearest = check_nearest(key, names);
  if (nearest)
    check_fail(c, value, "there is no property \"%.64s\"; did you mean \"%s\"?", key, nearest);
  else
    check_fail(c, value, "there is no property \"%.64s\" here; allowed are %s", key, all.ptr ? all.ptr : "");
  xh_buf_done(&all);
}

void check_object(checker *c, const json_t *object, const property *properties, void *into)
{
  if (!json_is_object(object)) {
    check_fail(c, object, "must be an object, {…}");
    return;
  }
  /* jansson's iteration wants a mutable object, and changes nothing */
  union {
    const json_t *given;
    json_t *walked;
  } both = {.given = object};
  const char *key;
  json_t *value;
  json_object_foreach (both.walked, key, value) {
    size_t mark = check_enter(c, key);
    size_t i = 0;
    while (properties[i].name && strcmp(properties[i].name, key) != 0)
      i++;
    if (!properties[i].name)
      fail_unknown(c, key, value, properties);
    else if (!is_absent(value))
      properties[i].read(c, value, into);
    check_leave(c, mark);
  }
}

bool check_array(checker *c, const json_t *array, size_t most, void (*each)(checker *c, const json_t *value, void *into), void *into)
{
  if (!json_is_array(array)) {
    check_fail(c, array, "must be a list, […]");
    return false;
  }
  if (json_array_size(array) > most) {
    check_fail(c, array, "has %zu entries; at most %zu are allowed", json_array_size(array), most);
    return false;
  }
  for (size_t i = 0; i < json_array_size(array); i++) {
    size_t mark = check_enter_index(c, i);
    each(c, json_array_get(array, i), into);
    check_leave(c, mark);
  }
  return true;
}

bool check_bool(checker *c, const json_t *value, bool *ret_value)
{
  if (!json_is_boolean(value)) {
    check_fail(c, value, "must be true or false, without quotes");
    return false;
  }
  *ret_value = json_is_true(value);
  return true;
}

bool check_number(checker *c, const json_t *value, double least, double most, const char *unit, double *ret_number)
{
  double number = json_number_value(value);
  if (!json_is_number(value) || number < least || number > most) {
    check_fail(c, value, "must be a number from %g to %g%s", least, most, unit);
    return false;
  }
  *ret_number = number;
  return true;
}

char *check_text(checker *c, const json_t *value, size_t most_bytes)
{
  if (!json_is_string(value)) {
    check_fail(c, value, "must be text in quotes");
    return NULL;
  }
  if (json_string_length(value) > most_bytes) {
    check_fail(c, value, "is %zu bytes long; at most %zu are allowed", json_string_length(value), most_bytes);
    return NULL;
  }
  char *text = strdup(json_string_value(value));
  c->no_memory |= !text;
  return text;
}

char *check_secret_text(checker *c, const json_t *value, size_t most_bytes)
{
  c->secret = true;
  char *text = check_text(c, value, most_bytes);
  c->secret = false;
  return text;
}

bool check_choice(checker *c, const json_t *value, const char *const *choices, int *ret_index)
{
  const char *text = json_string_value(value);
  xh_buf all;
  xh_buf_init(&all, MESSAGE_SIZE);
  for (int i = 0; choices[i]; i++) {
    if (text && strcmp(text, choices[i]) == 0) {
      xh_buf_done(&all);
      *ret_index = i;
      return true;
    }
    xh_buf_printf(&all, "%s\"%s\"", i ? (choices[i + 1] ? ", " : " or ") : "", choices[i]);
  }
  const char *nearest = text ? check_nearest(text, choices) : NULL;
  if (!all.ptr)
    c->no_memory = true;
  else if (nearest)
    check_fail(c, value, "must be %s; did you mean \"%s\"?", all.ptr, nearest);
  else
    check_fail(c, value, "must be %s", all.ptr);
  xh_buf_done(&all);
  return false;
}
