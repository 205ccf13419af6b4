/* The `advanced` object of a hook: what XO's form folds. */
#include "hooks/check.h"

#include <ctype.h>
#include <curl/curl.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
  HEADER_NAME_BYTES_MAX = 128,
  HEADER_VALUE_BYTES_MAX = 8192,
  TEXT_BYTES_MAX = 1024,
  PATH_BYTES_MAX = 4095,
  FIELDS_MAX = 64,
  MATCHES_MAX = 256,
  SCHEDULE_STEP_MAX_S = 7 * 86400,
  EXPIRE_MAX_S = 30 * 86400
};

/* ---- headers ---- */

static bool is_token(const char *text)
{
  for (; *text; text++)
    if (!isalnum((unsigned char)*text) && !strchr("!#$%&'*+-.^_`|~", *text))
      return false;
  return true;
}

/* Visible text, spaces, tabs and bytes past ASCII: RFC 9110, section 5.5. */
static bool is_field_value(const char *text)
{
  for (; *text; text++)
    if (((unsigned char)*text < ' ' && *text != '\t') || *text == 127)
      return false;
  return true;
}

static void add_header(checker *c, xh_hook *hook, char *name, char *value)
{
  xh_header *headers = name && value ? realloc(hook->headers, (hook->header_count + 1) * sizeof *headers) : NULL;
  if (!headers) {
    free(name);
    free(value);
    c->no_memory = true;
    return;
  }
  hook->headers = headers;
  hook->headers[hook->header_count++] = (xh_header){.name = name, .value = value};
}

typedef struct header_parts {
  char *name, *value;
} header_parts;

static void read_header_name(checker *c, const json_t *value, void *into)
{
  static const char *const ours[] = {"host",          "content-length", "transfer-encoding", "connection", "content-type",
                                     "webhook-id",    "webhook-timestamp", "webhook-signature", "expect",  "upgrade",
                                     "te",            "trailer",        NULL};
  header_parts *parts = into;
  char *name = check_text(c, value, HEADER_NAME_BYTES_MAX);
  if (!name)
    return;
  bool reserved = false;
  for (size_t i = 0; ours[i]; i++)
    reserved |= strcasecmp(name, ours[i]) == 0;
  if (!is_token(name))
    check_fail(c, value, "is not a header's name: letters, digits and - only");
  else if (reserved)
    check_fail(c, value, "is set by xo-hooks itself and can't be given here");
  else {
    parts->name = name;
    return;
  }
  free(name);
}

static void read_header_value(checker *c, const json_t *value, void *into)
{
  header_parts *parts = into;
  char *text = check_secret_text(c, value, HEADER_VALUE_BYTES_MAX);
  c->secret = true;
  if (text && !is_field_value(text)) {
    check_fail(c, value, "must be one line without control characters");
    free(text);
  } else if (text && parts->value) {
    check_fail(c, value, "is given twice: as \"value\" and as \"passwordValue\"; keep one");
    free(text);
  } else {
    parts->value = text;
  }
  c->secret = false;
}

static const property HEADER_PROPERTIES[] = {
    {"name", read_header_name}, {"value", read_header_value}, {"passwordValue", read_header_value}, {NULL, NULL}};

static void read_header(checker *c, const json_t *value, void *into)
{
  header_parts parts = {NULL, NULL};
  size_t errors = c->mistakes->errors;
  check_object(c, value, HEADER_PROPERTIES, &parts);
  if (c->mistakes->errors == errors && parts.name) {
    add_header(c, into, parts.name, parts.value ? parts.value : strdup(""));
    return;
  }
  if (c->mistakes->errors == errors)
    check_fail(c, NULL, "needs a \"name\", such as \"X-Site\"");
  free(parts.name);
  free(parts.value);
}

static void read_headers(checker *c, const json_t *value, void *into)
{
  check_array(c, value, XH_HEADERS_MAX, read_header, into);
}

static void read_token(checker *c, const json_t *value, void *into)
{
  char *token = check_secret_text(c, value, HEADER_VALUE_BYTES_MAX);
  c->secret = true;
  if (token && (!is_field_value(token) || strpbrk(token, " \t"))) {
    check_fail(c, value, "must be one word: the token alone, without \"Bearer\"");
  } else if (token) {
    xh_buf bearer;
    xh_buf_init(&bearer, HEADER_VALUE_BYTES_MAX + 16);
    xh_buf_printf(&bearer, "Bearer %s", token);
    add_header(c, into, strdup("Authorization"), xh_buf_steal(&bearer, NULL));
  }
  c->secret = false;
  free(token);
}

/* ---- signing ---- */

static void read_secret(checker *c, const json_t *value, xh_hook *hook, size_t place)
{
  char *text = check_secret_text(c, value, TEXT_BYTES_MAX);
  c->secret = true;
  if (text && xh_secret_parse(xh_str_z(text), &hook->secrets[place]) != 0)
    check_fail(c, value, "can't be used to sign: plain text of at most %d bytes, or \"whsec_\" followed by base64", XH_SECRET_BYTES_MAX);
  c->secret = false;
  free(text);
}

static void read_passphrase(checker *c, const json_t *value, void *into)
{
  read_secret(c, value, into, 0);
}

/* Under two names: "previousPassword" is one that XO hides on its pages. */
static void read_previous(checker *c, const json_t *value, void *into)
{
  const xh_hook *hook = into;
  if (hook->secrets[1].len > 0)
    check_fail(c, NULL, "has both \"previousPassphrase\" and \"previousPassword\", which are the same");
  else
    read_secret(c, value, into, 1);
}

/* ---- time ---- */

static void read_timeout(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  double seconds;
  if (check_number(c, value, 0.1, XH_TIMEOUT_MAX_MS / 1000.0, " (seconds)", &seconds))
    hook->timeout_ms = (int64_t)llround(seconds * 1000);
}

static void read_wait_step(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  double seconds;
  if (check_number(c, value, 0, SCHEDULE_STEP_MAX_S, " (seconds)", &seconds))
    hook->schedule_ms[hook->schedule_count++] = (int64_t)llround(seconds * 1000);
}

static void read_schedule(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  if (json_is_array(value) && json_array_size(value) == 0) {
    check_fail(c, value, "must have an entry for each attempt, the first one 0; [0] tries once");
    return;
  }
  hook->schedule_ms = calloc(XH_SCHEDULE_MAX, sizeof *hook->schedule_ms);
  if (!hook->schedule_ms) {
    c->no_memory = true;
    return;
  }
  if (check_array(c, value, XH_SCHEDULE_MAX, read_wait_step, hook) && hook->schedule_count > 0 && hook->schedule_ms[0] != 0)
    check_fail(c, value, "the first entry must be 0: the first attempt is made at once; what follows are the waits before the others");
}

static void read_expire(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  double seconds;
  if (check_number(c, value, 1, EXPIRE_MAX_S, " (seconds)", &seconds))
    hook->expire_ms = (int64_t)llround(seconds * 1000);
}

static const property RETRY_PROPERTIES[] = {{"schedule", read_schedule}, {"expire", read_expire}, {NULL, NULL}};

static void read_retry(checker *c, const json_t *value, void *into)
{
  check_object(c, value, RETRY_PROPERTIES, into);
}

/* ---- which events, and what of them ---- */

static void read_only(checker *c, const json_t *value, void *into)
{
  static const char *const choices[] = {"success", "failure", NULL};
  xh_hook *hook = into;
  int index;
  if (check_choice(c, value, choices, &index))
    hook->only = index == 0 ? XH_ONLY_SUCCESS : XH_ONLY_FAILURE;
}

static void add_text(checker *c, char ***texts, size_t *count, char *text)
{
  char **more = text ? realloc(*texts, (*count + 1) * sizeof *more) : NULL;
  if (!more) {
    free(text);
    c->no_memory |= text != NULL;
    return;
  }
  *texts = more;
  more[(*count)++] = text;
}

static const char *const EVENT_PROPERTIES[] = {"type",   "callId",    "userId",   "userName", "userIp", "method",
                                               "params", "timestamp", "duration", "result",   "error",  NULL};

/* Does the path begin with a property of the event? */
static bool is_event_path(checker *c, const json_t *value, const char *path)
{
  size_t len = strcspn(path, ".");
  char root[32];
  snprintf(root, sizeof root, "%.*s", (int)(len < sizeof root ? len : sizeof root - 1), path);
  for (size_t i = 0; EVENT_PROPERTIES[i]; i++)
    if (strcmp(root, EVENT_PROPERTIES[i]) == 0 && path[strlen(path) - 1] != '.' && !strstr(path, ".."))
      return true;
  const char *nearest = check_nearest(root, EVENT_PROPERTIES);
  check_fail(c, value, "is not a property of an event such as \"userName\" or \"params.id\"%s%s%s", nearest ? "; did you mean \"" : "",
             nearest ? nearest : "", nearest ? "\"?" : "");
  return false;
}

static void read_property(checker *c, const json_t *value, void *into)
{
  xh_condition *condition = into;
  char *path = check_text(c, value, TEXT_BYTES_MAX);
  if (path && is_event_path(c, value, path))
    condition->property = path;
  else
    free(path);
}

static void read_match(checker *c, const json_t *value, void *into)
{
  xh_condition *condition = into;
  add_text(c, &condition->matches, &condition->match_count, check_text(c, value, TEXT_BYTES_MAX));
}

static void read_matches(checker *c, const json_t *value, void *into)
{
  check_array(c, value, MATCHES_MAX, read_match, into);
}

static void read_negate(checker *c, const json_t *value, void *into)
{
  xh_condition *condition = into;
  check_bool(c, value, &condition->negate);
}

static const property CONDITION_PROPERTIES[] = {
    {"property", read_property}, {"matches", read_matches}, {"negate", read_negate}, {NULL, NULL}};

static void free_condition(xh_condition *condition)
{
  for (size_t i = 0; i < condition->match_count; i++)
    free(condition->matches[i]);
  free(condition->matches);
  free(condition->property);
}

static void read_condition(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  xh_condition one = {0};
  size_t errors = c->mistakes->errors;
  check_object(c, value, CONDITION_PROPERTIES, &one);
  if (c->mistakes->errors == errors && !one.property)
    check_fail(c, NULL, "needs a \"property\", such as \"params.id\"");
  if (c->mistakes->errors == errors && one.match_count == 0)
    check_fail(c, NULL, "needs \"matches\", a list of at least one text; * stands for any characters");
  xh_condition *when = c->mistakes->errors == errors ? realloc(hook->when, (hook->when_count + 1) * sizeof *when) : NULL;
  if (!when) {
    c->no_memory |= c->mistakes->errors == errors;
    free_condition(&one);
    return;
  }
  hook->when = when;
  when[hook->when_count++] = one;
}

static void read_when(checker *c, const json_t *value, void *into)
{
  check_array(c, value, XH_CONDITIONS_MAX, read_condition, into);
}

static void read_field(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  char *path = check_text(c, value, TEXT_BYTES_MAX);
  if (path && is_event_path(c, value, path))
    add_text(c, &hook->fields, &hook->field_count, path);
  else
    free(path);
}

static void read_fields(checker *c, const json_t *value, void *into)
{
  check_array(c, value, FIELDS_MAX, read_field, into);
}

static void read_mask(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  check_bool(c, value, &hook->mask_secrets);
}

static void read_drop_stack(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  check_bool(c, value, &hook->drop_stack);
}

/* ---- TLS ---- */

static char *read_path(checker *c, const json_t *value)
{
  char *path = check_text(c, value, PATH_BYTES_MAX);
  if (path && *path != '/') {
    check_fail(c, value, "must be an absolute path, /…");
    free(path);
    return NULL;
  }
  return path;
}

static void read_ca(checker *c, const json_t *value, void *into)
{
  xh_tls *tls = into;
  tls->ca_file = read_path(c, value);
}

static void read_certificate(checker *c, const json_t *value, void *into)
{
  xh_tls *tls = into;
  tls->certificate_file = read_path(c, value);
}

static void read_key(checker *c, const json_t *value, void *into)
{
  xh_tls *tls = into;
  tls->key_file = read_path(c, value);
}

static void read_key_passphrase(checker *c, const json_t *value, void *into)
{
  xh_tls *tls = into;
  tls->passphrase = check_secret_text(c, value, TEXT_BYTES_MAX);
}

/* "AB:CD:…", "abcd…" (64 hex digits) or "sha256//BASE64" → 64 lower-case hex digits. */
static bool parse_fingerprint(const char *text, char hex[65])
{
  size_t len = 0;
  if (strncmp(text, "sha256//", 8) == 0) {
    unsigned char raw[48];
    const char *base64 = text + 8;
    if (strlen(base64) != 44 || EVP_DecodeBlock(raw, (const unsigned char *)base64, 44) != 33 || base64[43] != '=')
      return false;
    for (size_t i = 0; i < 32; i++)
      snprintf(hex + 2 * i, 3, "%02x", raw[i]);
    return true;
  }
  for (; *text; text++) {
    if (*text == ':')
      continue;
    if (!isxdigit((unsigned char)*text) || len == 64)
      return false;
    hex[len++] = (char)tolower((unsigned char)*text);
  }
  hex[len] = '\0';
  return len == 64;
}

static void read_pin(checker *c, const json_t *value, void *into)
{
  xh_tls *tls = into;
  char hex[65];
  char *text = check_text(c, value, 256);
  if (text && parse_fingerprint(text, hex))
    tls->pinned_certificate = strdup(hex);
  else if (text)
    check_fail(c, value, "must be the certificate's SHA-256 fingerprint, 64 hex digits (openssl x509 -noout -fingerprint -sha256)");
  free(text);
}

static const property TLS_PROPERTIES[] = {{"caFile", read_ca},
                                          {"certificateFile", read_certificate},
                                          {"keyFile", read_key},
                                          {"passphrase", read_key_passphrase},
                                          {"pinnedCertificate", read_pin},
                                          {NULL, NULL}};

static void read_tls(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  size_t errors = c->mistakes->errors;
  check_object(c, value, TLS_PROPERTIES, &hook->tls);
  if (c->mistakes->errors != errors)
    return;
  if (hook->tls.key_file && !hook->tls.certificate_file)
    check_fail(c, NULL, "has a \"keyFile\" without its \"certificateFile\"");
  if (hook->tls.pinned_certificate && hook->tls.ca_file)
    check_fail(c, NULL, "has both \"pinnedCertificate\" and \"caFile\"; the pinned one is the only one accepted: remove the other");
}

/* ---- proxy ---- */

static void read_proxy(checker *c, const json_t *value, void *into)
{
  static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
  xh_hook *hook = into;
  char *text = check_text(c, value, 2048);
  if (!text)
    return;
  if (strcmp(text, "none") == 0) {
    *text = '\0';
    hook->proxy = text;
    return;
  }
  CURLU *url = curl_url();
  char *scheme = NULL;
  bool known = false;
  if (url && curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
      known |= strcmp(scheme, schemes[i]) == 0;
  curl_free(scheme);
  curl_url_cleanup(url);
  if (known) {
    hook->proxy = text;
    return;
  }
  check_fail(c, value, "must be a proxy's URL such as \"http://proxy:3128\" (http, https, socks4, socks4a, socks5, socks5h), or \"none\"");
  free(text);
}

/* Checked here, put into the proxy's URL when everything is read. */
static void read_proxy_password(checker *c, const json_t *value, void *into)
{
  (void)into;
  free(check_secret_text(c, value, TEXT_BYTES_MAX));
}

const property ADVANCED_PROPERTIES[] = {{"headers", read_headers},
                                        {"token", read_token},
                                        {"passphrase", read_passphrase},
                                        {"previousPassphrase", read_previous},
                                        {"previousPassword", read_previous},
                                        {"timeout", read_timeout},
                                        {"retry", read_retry},
                                        {"only", read_only},
                                        {"when", read_when},
                                        {"fields", read_fields},
                                        {"maskSecrets", read_mask},
                                        {"dropStack", read_drop_stack},
                                        {"tls", read_tls},
                                        {"proxy", read_proxy},
                                        {"proxyPassword", read_proxy_password},
                                        {NULL, NULL}};

static void put_password(checker *c, xh_hook *hook, const char *password)
{
  CURLU *url = curl_url();
  char *user = NULL, *whole = NULL;
  if (!hook->proxy || !*hook->proxy) {
    check_fail(c, NULL, "has a \"proxyPassword\" but no \"proxy\" to use it with");
  } else if (!url || curl_url_set(url, CURLUPART_URL, hook->proxy, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    c->no_memory = true;
  } else if (curl_url_get(url, CURLUPART_USER, &user, 0) != CURLUE_OK) {
    check_fail(c, NULL, "has a \"proxyPassword\", but its \"proxy\" names no user (\"http://user@proxy:3128\")");
  } else if (curl_url_set(url, CURLUPART_PASSWORD, password, CURLU_URLENCODE) == CURLUE_OK &&
             curl_url_get(url, CURLUPART_URL, &whole, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
    char *with_password = strdup(whole);
    c->no_memory |= !with_password; /* never without: that would go another way than the one that is asked for */
    if (with_password) {
      free(hook->proxy);
      hook->proxy = with_password;
    }
  } else {
    c->no_memory = true;
  }
  curl_free(user);
  curl_free(whole);
  curl_url_cleanup(url);
}

void read_advanced(checker *c, const json_t *value, void *into)
{
  xh_hook *hook = into;
  size_t errors = c->mistakes->errors;
  check_object(c, value, ADVANCED_PROPERTIES, hook);
  if (c->mistakes->errors != errors)
    return;
  const char *password = json_string_value(json_object_get(value, "proxyPassword"));
  if (password && *password)
    put_password(c, hook, password);
  /* The present secret first; a previous one alone signs nothing new. */
  if (hook->secrets[0].len > 0)
    hook->secret_count = hook->secrets[1].len > 0 ? 2 : 1;
  else if (hook->secrets[1].len > 0)
    check_fail(c, NULL, "has a previous secret (\"previousPassphrase\", \"previousPassword\") without a \"passphrase\"");
}
