/* The URL of a hook: judged by libcurl's parser, which is the one that will use it. */
#include "hooks/check.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { URL_BYTES_MAX = 8192, SEGMENT_SHOWN_BYTES = 6, SEGMENT_SECRET_BYTES = 24 };

/* A path for people: a long segment is mostly a secret (chat services put theirs there) and is cut. */
static void add_path(xh_buf *out, const char *path)
{
  while (*path) {
    size_t len = strcspn(path + 1, "/");
    xh_buf_char(out, '/');
    if (len >= SEGMENT_SECRET_BYTES) {
      xh_buf_append(out, path + 1, SEGMENT_SHOWN_BYTES);
      xh_buf_z(out, "…");
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

static char *shown_url(CURLU *url)
{
  xh_buf out;
  xh_buf_init(&out, URL_BYTES_MAX + 64);
  char *scheme = part(url, CURLUPART_SCHEME), *host = part(url, CURLUPART_HOST), *port = part(url, CURLUPART_PORT);
  char *path = part(url, CURLUPART_PATH);
  xh_buf_printf(&out, "%s://%s%s%s", scheme ? scheme : "", host ? host : "", port ? ":" : "", port ? port : "");
  add_path(&out, path ? path : "/");
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  return xh_buf_steal(&out, NULL);
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
    return "it must look like https://host/path, without spaces (write them as %20)";
  }
}

bool check_url(checker *c, const json_t *value, char **ret_url, char **ret_shown)
{
  char *text = check_text(c, value, URL_BYTES_MAX);
  if (!text)
    return false;
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
  else if (!(shown = shown_url(url)))
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
