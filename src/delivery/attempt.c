#include "delivery/attempt.h"

#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REDIRECTS_MAX = 5, WEBHOOK_ID_SIZE = 64 };

struct xh_attempt_run {
  xh_transport *transport;
  xh_hook *hook;
  xh_str body;
  const char *content_type;
  xh_outcome_cb done;
  void *arg;
  xh_exchange *exchange;
  char *redirected_to; /* NULL: the hook's own URL */
  unsigned hops;
  bool foreign; /* the redirect left the hook's origin: no secrets go there */
  int64_t started_ms;
  int64_t started_mono_ms;
  char webhook_id[WEBHOOK_ID_SIZE];
};

/* The lines of a request's head: libcurl's list and its texts in one block of memory. */
typedef struct header_list {
  struct curl_slist *first, *next_node;
  char *at;
} header_list;

/* A header without a value is written with a semicolon, libcurl's way ("CURLOPT_HTTPHEADER"). */
static void add(header_list *list, const char *name, const char *value)
{
  struct curl_slist *node = list->next_node++;
  node->data = list->at;
  node->next = NULL;
  if (node != list->first)
    node[-1].next = node;
  list->at = stpcpy(list->at, name);
  list->at = stpcpy(list->at, *value ? ": " : ";");
  list->at = stpcpy(list->at, value) + 1;
}

static bool hook_has_header(const xh_hook *hook, const char *name)
{
  for (size_t i = 0; i < hook->header_count; i++)
    if (strcasecmp(hook->headers[i].name, name) == 0)
      return true;
  return false;
}

enum { OWN_HEADERS = 5, OWN_HEADER_BYTES = 512, HEADER_GLUE_BYTES = 3 };

/* Standard Webhooks' three headers; the signature only with a secret. Returns 0, or an error of the signature: it is never left out. */
static int add_webhook_headers(header_list *list, const xh_attempt_run *run)
{
  int64_t now_s = xh_wall_ms() / 1000;
  char number[24];
  char signatures[2 * XH_SIGNATURE_SIZE + 1] = "";
  snprintf(number, sizeof number, "%lld", (long long)now_s);
  for (size_t i = 0; i < run->hook->secret_count; i++) {
    char one[XH_SIGNATURE_SIZE];
    int rc = xh_sign(&run->hook->secrets[i], xh_str_z(run->webhook_id), now_s, run->body, one);
    if (rc)
      return rc;
    size_t used = strlen(signatures);
    snprintf(signatures + used, sizeof signatures - used, "%s%s", used ? " " : "", one);
  }
  add(list, "webhook-id", run->webhook_id);
  add(list, "webhook-timestamp", number);
  if (*signatures)
    add(list, "webhook-signature", signatures);
  return 0;
}

/* To free(); NULL without memory. */
static struct curl_slist *headers_of(const xh_attempt_run *run)
{
  const xh_hook *hook = run->hook;
  size_t count = run->foreign ? 0 : hook->header_count, bytes = OWN_HEADER_BYTES;
  for (size_t i = 0; i < count; i++)
    bytes += strlen(hook->headers[i].name) + strlen(hook->headers[i].value) + HEADER_GLUE_BYTES;
  struct curl_slist *nodes = malloc((OWN_HEADERS + count) * sizeof *nodes + bytes);
  if (!nodes)
    return NULL;
  header_list list = {.first = nodes, .next_node = nodes, .at = (char *)(nodes + OWN_HEADERS + count)};
  if (run->foreign || !hook_has_header(hook, "Content-Type"))
    add(&list, "Content-Type", run->content_type);
  struct curl_slist *expect = list.next_node;
  add(&list, "Expect", "");
  expect->data[strlen("Expect")] = ':'; /* not sent at all: a 100-continue is a round trip more, and targets hang on it */
  if (add_webhook_headers(&list, run) != 0) {
    free(nodes);
    return NULL;
  }
  for (size_t i = 0; i < count; i++)
    add(&list, hook->headers[i].name, hook->headers[i].value);
  return nodes;
}

static void on_response(void *arg, const xh_response *response);

static int64_t time_left_ms(const xh_attempt_run *run)
{
  int64_t left = run->hook->timeout_ms - (xh_mono_ms() - run->started_mono_ms);
  return left > 1 ? left : 1;
}

static int send_request(xh_attempt_run *run)
{
  xh_request request = {.url = run->redirected_to ? run->redirected_to : run->hook->url,
                        .body = run->body,
                        .headers = headers_of(run),
                        .timeout_ms = time_left_ms(run),
                        .tls = run->foreign ? NULL : &run->hook->tls,
                        .proxy = run->hook->proxy};
  if (!request.headers)
    return XH_ENOMEM;
  return xh_transport_send(run->transport, &request, on_response, run, &run->exchange);
}

static void free_run(xh_attempt_run *run)
{
  xh_hook_unref(run->hook);
  free(run->redirected_to);
  free(run);
}

bool xh_same_origin(const char *a, const char *b)
{
  bool same = false;
  char *parts[2][3] = {{NULL}};
  const char *urls[2] = {a, b};
  bool ok = true;
  for (int i = 0; i < 2; i++) {
    CURLU *u = curl_url();
    ok = ok && u && curl_url_set(u, CURLUPART_URL, urls[i], 0) == CURLUE_OK &&
         curl_url_get(u, CURLUPART_SCHEME, &parts[i][0], 0) == CURLUE_OK &&
         curl_url_get(u, CURLUPART_HOST, &parts[i][1], 0) == CURLUE_OK &&
         curl_url_get(u, CURLUPART_PORT, &parts[i][2], CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_cleanup(u);
  }
  if (ok)
    same = strcasecmp(parts[0][0], parts[1][0]) == 0 && strcasecmp(parts[0][1], parts[1][1]) == 0 &&
           strcmp(parts[0][2], parts[1][2]) == 0;
  for (int i = 0; i < 6; i++)
    curl_free(parts[i / 3][i % 3]);
  return same;
}

/* The address of a redirect to the hook's own origin, with the hook's user and password unless it names its own. To free(); NULL without memory. */
static char *with_credentials(const char *hook_url, const char *redirect_url)
{
  CURLU *own = curl_url(), *to = curl_url();
  char *user = NULL, *password = NULL, *other = NULL, *full = NULL, *result = NULL;
  bool ok = own && to && curl_url_set(own, CURLUPART_URL, hook_url, 0) == CURLUE_OK &&
            curl_url_set(to, CURLUPART_URL, redirect_url, 0) == CURLUE_OK;
  if (ok && curl_url_get(to, CURLUPART_USER, &other, 0) == CURLUE_NO_USER && curl_url_get(own, CURLUPART_USER, &user, 0) == CURLUE_OK) {
    ok = curl_url_set(to, CURLUPART_USER, user, 0) == CURLUE_OK;
    if (ok && curl_url_get(own, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK)
      ok = curl_url_set(to, CURLUPART_PASSWORD, password, 0) == CURLUE_OK;
    if (ok && curl_url_get(to, CURLUPART_URL, &full, 0) == CURLUE_OK)
      result = strdup(full);
  } else if (ok) {
    result = strdup(redirect_url);
  }
  curl_free(user);
  curl_free(password);
  curl_free(other);
  curl_free(full);
  curl_url_cleanup(own);
  curl_url_cleanup(to);
  return result;
}

/* Follows a 307 or 308 with the same method and body. False: it ends here. */
static bool follow(xh_attempt_run *run, const xh_response *response)
{
  bool kept_method = response->http_status == 307 || response->http_status == 308;
  if (response->code != CURLE_OK || !kept_method || !response->redirect_url || run->hops >= REDIRECTS_MAX)
    return false;
  const char *from = run->redirected_to ? run->redirected_to : run->hook->url;
  bool downgrade = strncasecmp(from, "https:", 6) == 0 && strncasecmp(response->redirect_url, "https:", 6) != 0;
  if (downgrade || strncasecmp(response->redirect_url, "http", 4) != 0)
    return false;
  run->foreign = run->foreign || !xh_same_origin(run->hook->url, response->redirect_url);
  char *to = run->foreign ? strdup(response->redirect_url) : with_credentials(run->hook->url, response->redirect_url);
  if (!to)
    return false;
  free(run->redirected_to);
  run->redirected_to = to;
  run->hops++;
  return send_request(run) == 0;
}

static void on_response(void *arg, const xh_response *response)
{
  xh_attempt_run *run = arg;
  run->exchange = NULL;
  if (follow(run, response))
    return;
  xh_outcome outcome = {.retry_after_s = response->retry_after_s};
  xh_attempt *record = &outcome.record;
  record->started_ms = run->started_ms;
  record->name_us = response->name_us;
  record->connect_us = response->connect_us;
  record->tls_us = response->tls_us;
  record->first_byte_us = response->first_byte_us;
  record->total_us = run->hops ? (xh_mono_ms() - run->started_mono_ms) * 1000 : response->total_us;
  outcome.result = xh_judge(response, run->hook, run->hops, record, &outcome.target_down);
  if (response->answer.len > 0 && (record->answer = malloc(response->answer.len)) != NULL) {
    memcpy(record->answer, response->answer.ptr, response->answer.len);
    record->answer_len = response->answer.len;
  }
  xh_outcome_cb done = run->done;
  void *done_arg = run->arg;
  free_run(run);
  done(done_arg, &outcome);
}

int xh_attempt_start(xh_transport *transport, xh_hook *hook, const char *webhook_id, xh_str body,
                     const char *content_type, xh_outcome_cb done, void *arg, xh_attempt_run **ret_run)
{
  xh_attempt_run *run = calloc(1, sizeof *run);
  if (!run)
    return XH_ENOMEM;
  run->transport = transport;
  run->hook = xh_hook_ref(hook);
  run->body = body;
  run->content_type = content_type;
  run->done = done;
  run->arg = arg;
  run->started_ms = xh_wall_ms();
  run->started_mono_ms = xh_mono_ms();
  snprintf(run->webhook_id, sizeof run->webhook_id, "%s", webhook_id);
  int rc = send_request(run);
  if (rc) {
    free_run(run);
    return rc;
  }
  *ret_run = run;
  return 0;
}

void xh_attempt_cancel(xh_attempt_run *run)
{
  if (run->exchange)
    xh_transport_cancel(run->exchange);
  free_run(run);
}
