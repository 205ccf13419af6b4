/*
 * A validating scanner of JSON text (RFC 8259) that leaves every byte where it is: values are spans of the text.
 *
 * Why not a library: events pass through byte for byte, and the host legally writes what parsers into trees refuse
 * or change: escaped lone surrogates, numbers past 2^53, the same key twice, "1E+2". jansson reads the
 * configuration, where such things are mistakes.
 *
 * No allocation but in xh_json_decode. Any thread. Spans stay valid as long as the text.
 */
#ifndef XH_BASE_JSON_SCAN_H
#define XH_BASE_JSON_SCAN_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { XH_JSON_DEPTH_MAX = 4096 }; /* the deepest nesting of arrays and objects that is accepted */

typedef enum xh_json_type {
  XH_JSON_NONE, /* absent */
  XH_JSON_NULL,
  XH_JSON_FALSE,
  XH_JSON_TRUE,
  XH_JSON_NUMBER,
  XH_JSON_STRING,
  XH_JSON_ARRAY,
  XH_JSON_OBJECT
} xh_json_type;

typedef struct xh_json_fault {
  size_t offset;    /* of the first byte that does not fit */
  const char *what; /* static: "expected ',' or '}'" */
} xh_json_fault;

/*
 * Is `text` exactly one JSON value, with white space around it? Returns 0, XH_EJSON, XH_EUTF8, XH_ENUL (a NUL byte), XH_EDEPTH
 * or XH_ETRUNCATED (it ends in the middle); `ret_fault` (may be NULL) is set on failure.
 * Everything below expects text that passed here.
 */
int xh_json_validate(xh_str text, xh_json_fault *ret_fault);

/* The type of a value, by its first byte after white space. */
xh_json_type xh_json_typeof(xh_str value);

/* Without white space around it. */
xh_str xh_json_trim(xh_str text);

/* One past the quote that ends the string whose opening quote is at `quote`. */
const char *xh_json_string_end(const char *quote, const char *end);

/* Walks the members of an object or the elements of an array. */
typedef struct xh_json_iter {
  const char *at;
  const char *end;
  bool object;
} xh_json_iter;

/* False when `value` is neither object nor array. */
bool xh_json_iter_init(xh_json_iter *it, xh_str value);

/* The next member; `ret_key` (may be NULL for arrays) is the key between its quotes, still escaped. False at the end. */
bool xh_json_next(xh_json_iter *it, xh_str *ret_key, xh_str *ret_value);

/* Does the escaped key mean the same as the plain `name`? */
bool xh_json_key_eq(xh_str escaped_key, xh_str name);

/* The member of an object; of several with the same key the last, as JSON.parse does. False and untouched when absent. */
bool xh_json_find(xh_str object, xh_str name, xh_str *ret_value);

/* Has the object no other members than `names` (NULL-terminated)? If not, `why` says which: "there is no parameter …". */
bool xh_json_has_only(xh_str object, const char *const *names, char *why, size_t why_size);

/* Follows "params.id" or "params.vms.0": names of members and indexes of elements between dots. */
bool xh_json_path(xh_str value, xh_str path, xh_str *ret_value);

/* Appends the text that a JSON string (with its quotes) means. A lone surrogate becomes U+FFFD. */
int xh_json_decode(xh_str string, xh_buf *out);

/* The integer of a number value; a fraction is cut off. False when it is no number or beyond int64. */
bool xh_json_i64(xh_str number, int64_t *ret_n);

#endif
