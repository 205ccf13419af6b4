/*
 * The URL of a hook: judged by libcurl's parser, which is the one that will use it. Before that it is written as browsers and Node.js
 * understand what people type (URL Standard, "URL parsing" and "Percent-encoded bytes"): libcurl refuses a space that they mend.
 */
#include "hooks/check.h"
#include "hooks/hooks.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

enum { URL_BYTES_MAX = 8192, SEGMENT_SHOWN_BYTES = 6, SEGMENT_SECRET_BYTES = 24 };

/* ---- as it is typed ---- */

static bool is_scheme(const char *text, size_t len)
{
  return (len == 4 && strncasecmp(text, "http", 4) == 0) || (len == 5 && strncasecmp(text, "https", 5) == 0);
}

static bool is_dropped(char c)
{
  return c == '\t' || c == '\r' || c == '\n';
}

/* From `text` to the first of `stops` or the end. Bytes that a request line can't have are escaped, and those in `also`. */
static const char *add_escaped(xh_buf *out, const char *text, const char *end, const char *stops, const char *also)
{
  for (; text < end && !strchr(stops, *text); text++) {
    unsigned char byte = (unsigned char)*text;
    if (is_dropped(*text))
      continue;
    if (byte <= ' ' || byte >= 0x7f || strchr(also, *text))
      xh_buf_printf(out, "%%%02X", byte);
    else
      xh_buf_char(out, *text == '\\' && *stops == '?' ? '/' : *text);
  }
  return text;
}

/* "https:/\host", as typed, is "https://host"; of several @ the last one ends the credentials. Returns what follows the host. */
static const char *add_authority(xh_buf *out, const char *text, const char *end)
{
  size_t scheme = strcspn(text, ":");
  if (!is_scheme(text, scheme))
    return text;
  xh_buf_append(out, text, scheme);
  xh_buf_z(out, "://");
  text += scheme + 1;
  text += strspn(text, "/\\");
  const char *host = text;
  for (const char *at = text; at < end && !strchr("/\\?#", *at); at++)
    if (*at == '@')
      host = at + 1;
  if (host > text) {
    (void)add_escaped(out, text, host - 1, "", "@\"<>`{}");
    xh_buf_char(out, '@');
  }
  for (text = host; text < end && !strchr("/\\?#", *text); text++)
    if (!is_dropped(*text))
      xh_buf_char(out, *text);
  return text;
}

/* White space around it and line ends in it go, backslashes are slashes, what can't stand there is escaped (the path's and the query's
 * percent-encode sets), and the fragment, which no server sees, is left out. What is not http or https is left to libcurl's parser to
 * refuse. NULL without memory. */
static char *typed_url(const char *text)
{
  xh_buf out;
  xh_buf_init(&out, 3 * URL_BYTES_MAX + 16);
  while (*text && (unsigned char)*text <= ' ')
    text++;
  const char *end = text + strlen(text);
  while (end > text && (unsigned char)end[-1] <= ' ')
    end--;
  text = add_authority(&out, text, end);
  text = add_escaped(&out, text, end, "?#", "\"<>`{}");
  (void)add_escaped(&out, text, end, "#", "\"<>'");
  return xh_buf_steal(&out, NULL);
}

/* ---- for people ---- */

/* A path for people: a long segment is mostly a secret (chat services put theirs there) and is cut. `more` stands for the rest. */
static void add_path(xh_buf *out, const char *path, const char *more)
{
  while (*path) {
    size_t len = strcspn(path + 1, "/");
    xh_buf_char(out, '/');
    if (len >= SEGMENT_SECRET_BYTES) {
      xh_buf_append(out, path + 1, SEGMENT_SHOWN_BYTES);
      xh_buf_z(out, more);
    } else {
      xh_buf_append(out, path + 1, len);
    }
    path += 1 + len;
  }
}

static char *part(CURLU *url, CURLUPart which)
{
  char *text = NULL;
  return curl_url_get(url, which, &text, 0) == CURLUE_OK ? text : NULL;
}

static void add_credentials(xh_buf *out, CURLU *url, const char *hole)
{
  char *user = part(url, CURLUPART_USER), *password = part(url, CURLUPART_PASSWORD);
  if (user)
    xh_buf_printf(out, "%s%s%s@", hole, password ? ":" : "", password ? hole : "");
  curl_free(user);
  curl_free(password);
}

/* With a `hole` that stands where credentials and the query were; without one (NULL) they are left out. NULL without memory. */
static char *shown_url(CURLU *url, const char *hole)
{
  xh_buf out;
  xh_buf_init(&out, 2 * URL_BYTES_MAX + 64);
  char *scheme = part(url, CURLUPART_SCHEME), *host = part(url, CURLUPART_HOST), *port = part(url, CURLUPART_PORT);
  char *path = part(url, CURLUPART_PATH), *query = part(url, CURLUPART_QUERY);
  xh_buf_printf(&out, "%s://", scheme ? scheme : "");
  if (hole)
    add_credentials(&out, url, hole);
  xh_buf_printf(&out, "%s%s%s", host ? host : "", port ? ":" : "", port ? port : "");
  add_path(&out, path ? path : "/", hole ? hole : "…");
  if (hole && query)
    xh_buf_printf(&out, "?%s", hole);
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  curl_free(query);
  return xh_buf_steal(&out, NULL);
}

static char *parse_and_show(const char *text, unsigned flags, const char *hole)
{
  CURLU *url = curl_url();
  char *out = url && curl_url_set(url, CURLUPART_URL, text, flags) == CURLUE_OK ? shown_url(url, hole) : NULL;
  curl_url_cleanup(url);
  return out;
}

char *xh_url_shown(const char *typed)
{
  char *text = typed_url(typed), *out = text ? parse_and_show(text, 0, NULL) : NULL;
  free(text);
  return out;
}

char *xh_url_with_holes(const char *url, const char *hole)
{
  return parse_and_show(url, CURLU_NON_SUPPORT_SCHEME, hole);
}

static const char *hint(CURLUcode code)
{
  switch ((int)code) {
  case CURLUE_BAD_SCHEME:
  case CURLUE_UNSUPPORTED_SCHEME:
    return "it must begin with http:// or https://";
  case CURLUE_NO_HOST:
  case CURLUE_BAD_HOSTNAME:
    return "its host name can't be used";
  case CURLUE_BAD_PORT_NUMBER:
    return "its port must be a number from 1 to 65535";
  case CURLUE_BAD_IPV6:
    return "its IPv6 address is wrong; write it as http://[2001:db8::1]/";
  default:
    return "it must look like https://host/path";
  }
}

bool check_url(checker *c, const json_t *value, char **ret_url, char **ret_shown)
{
  char *typed = check_text(c, value, URL_BYTES_MAX);
  if (!typed)
    return false;
  char *text = typed_url(typed);
  free(typed);
  if (!text) {
    c->no_memory = true;
    return false;
  }
  CURLU *url = curl_url();
  CURLUcode code = url ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
  char *scheme = code == CURLUE_OK ? part(url, CURLUPART_SCHEME) : NULL;
  char *port = code == CURLUE_OK ? part(url, CURLUPART_PORT) : NULL;
  char *shown = NULL;
  if (code == CURLUE_OK && (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)))
    code = CURLUE_UNSUPPORTED_SCHEME;
  if (code == CURLUE_OK && port && strcmp(port, "0") == 0)
    code = CURLUE_BAD_PORT_NUMBER;
  if (code != CURLUE_OK)
    check_fail(c, value, "is not a URL that can be called: %s", hint(code));
  else if (!(shown = shown_url(url, NULL)))
    c->no_memory = true;
  curl_free(scheme);
  curl_free(port);
  curl_url_cleanup(url);
  if (!shown) {
    free(text);
    return false;
  }
  free(*ret_url); /* the last of several wins; the parser has refused duplicates before */
  free(*ret_shown);
  *ret_url = text;
  *ret_shown = shown;
  return true;
}
