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

/* Appends a line as it is; without memory the list stays as it was. */
static struct curl_slist *add_raw(struct curl_slist *list, const char *line)
{
  struct curl_slist *longer = curl_slist_append(list, line);
  return longer ? longer : list;
}

static struct curl_slist *add(struct curl_slist *list, const char *name, const char *value)
{
  char line[1024];
  int len = snprintf(line, sizeof line, "%s: %s", name, value);
  char *text = line;
  if (len >= (int)sizeof line) {
    text = malloc((size_t)len + 1);
    if (!text)
      return list;
    snprintf(text, (size_t)len + 1, "%s: %s", name, value);
  } else if (!*value) {
    snprintf(line, sizeof line, "%s;", name); /* curl's way to write an empty header */
  }
  list = add_raw(list, text);
  if (text != line)
    free(text);
  return list;
}

static bool hook_has_header(const xh_hook *hook, const char *name)
{
  for (size_t i = 0; i < hook->header_count; i++)
    if (strcasecmp(hook->headers[i].name, name) == 0)
      return true;
  return false;
}

/* Standard Webhooks' three headers; the signature only with a secret. */
static struct curl_slist *add_webhook_headers(struct curl_slist *list, const xh_attempt_run *run)
{
  int64_t now_s = xh_wall_ms() / 1000;
  char number[24];
  char signatures[2 * XH_SIGNATURE_SIZE + 1] = "";
  snprintf(number, sizeof number, "%lld", (long long)now_s);
  for (size_t i = 0; i < run->hook->secret_count; i++) {
    char one[XH_SIGNATURE_SIZE];
    if (xh_sign(&run->hook->secrets[i], xh_str_z(run->webhook_id), now_s, run->body, one) != 0)
      continue;
    size_t used = strlen(signatures);
    snprintf(signatures + used, sizeof signatures - used, "%s%s", used ? " " : "", one);
  }
  list = add(list, "webhook-id", run->webhook_id);
  list = add(list, "webhook-timestamp", number);
  return *signatures ? add(list, "webhook-signature", signatures) : list;
}

static struct curl_slist *headers_of(const xh_attempt_run *run)
{
  struct curl_slist *list = NULL;
  if (run->foreign || !hook_has_header(run->hook, "Content-Type"))
    list = add(list, "Content-Type", run->content_type);
  list = add_raw(list, "Expect:"); /* no 100-continue: a round trip more, and targets that hang */
  list = add_webhook_headers(list, run);
  for (size_t i = 0; !run->foreign && i < run->hook->header_count; i++)
    list = add(list, run->hook->headers[i].name, run->hook->headers[i].value);
  return list;
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
  char *to = strdup(response->redirect_url);
  if (!to)
    return false;
  run->foreign = run->foreign || !xh_same_origin(run->hook->url, to);
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
