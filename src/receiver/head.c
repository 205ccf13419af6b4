#include "receiver/head.h"

#include "base/err.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

static const xh_verdict GO_ON;

static xh_verdict refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

static xh_verdict refuse(int status, const char *format, ...)
{
  xh_verdict verdict = {.status = status};
  va_list args;
  va_start(args, format);
  vsnprintf(verdict.why, sizeof verdict.why, format, args);
  va_end(args);
  return verdict;
}

static bool same_word(xh_str text, const char *word)
{
  return text.len == strlen(word) && strncasecmp(text.ptr, word, text.len) == 0;
}

static xh_str trim(xh_str text)
{
  while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t'))
    text = (xh_str){text.ptr + 1, text.len - 1};
  while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
    text.len--;
  return text;
}

bool xh_is_json_type(xh_str content_type)
{
  const char *semicolon = content_type.len ? memchr(content_type.ptr, ';', content_type.len) : NULL;
  xh_str type = trim((xh_str){content_type.ptr, semicolon ? (size_t)(semicolon - content_type.ptr) : content_type.len});
  const size_t prefix = sizeof "application/" - 1, suffix = sizeof "+json" - 1;
  if (same_word(type, "application/json"))
    return true;
  return type.len > prefix + suffix && strncasecmp(type.ptr, "application/", prefix) == 0 &&
         strncasecmp(type.ptr + type.len - suffix, "+json", suffix) == 0;
}

/* Compares digests, so that neither the time nor the length tells how much of a guess was right. */
static bool token_fits(xh_str expected, xh_str authorization)
{
  const size_t scheme = sizeof "Bearer " - 1;
  if (authorization.len < scheme || strncasecmp(authorization.ptr, "Bearer ", scheme) != 0)
    return false;
  xh_str given = trim((xh_str){authorization.ptr + scheme, authorization.len - scheme});
  unsigned char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
  SHA256((const unsigned char *)expected.ptr, expected.len, a);
  SHA256((const unsigned char *)given.ptr, given.len, b);
  return CRYPTO_memcmp(a, b, sizeof a) == 0;
}

void xh_head_add(xh_head *head, const char *name, const char *value)
{
  const struct {
    const char *name;
    xh_str *to;
  } known[] = {
      {"content-type", &head->content_type},   {"content-length", &head->content_length}, {"content-encoding", &head->content_encoding},
      {"authorization", &head->authorization}, {"webhook-id", &head->id},                 {"webhook-timestamp", &head->timestamp},
      {"webhook-signature", &head->signature}, {"expect", &head->expect},                 {"transfer-encoding", &head->transfer_encoding},
  };
  xh_str given = xh_str_z(value ? value : "");
  if (name[strcspn(name, " \t")])
    head->framing_fault = "a header's name has a space in it";
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcasecmp(name, known[i].name) != 0)
      continue;
    if (known[i].to == &head->content_length && known[i].to->ptr && !xh_str_eq(*known[i].to, given))
      head->framing_fault = "it has two different Content-Length";
    if (known[i].to == &head->transfer_encoding && known[i].to->ptr)
      head->framing_fault = "it has more than one Transfer-Encoding";
    *known[i].to = given;
  }
}

static const char *framing_fault(const xh_head *head)
{
  if (head->framing_fault || !head->transfer_encoding.ptr)
    return head->framing_fault;
  if (head->content_length.ptr)
    return "it has both Content-Length and Transfer-Encoding";
  if (xh_str_eqz(head->version, "HTTP/1.0"))
    return "HTTP/1.0 has no Transfer-Encoding";
  return same_word(head->transfer_encoding, "chunked") ? NULL : "the only Transfer-Encoding that is served is chunked";
}

static bool too_long(xh_str content_length, size_t cap_bytes)
{
  size_t length = 0;
  for (size_t i = 0; i < content_length.len; i++) {
    char c = content_length.ptr[i];
    if (c < '0' || c > '9')
      return false; /* the HTTP library judges what is no number */
    length = length * 10 + (size_t)(c - '0');
    if (length > cap_bytes)
      return true;
  }
  return false;
}

static bool printable(xh_str text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f)
      return false;
  return text.len > 0;
}

static bool is_whole_number(xh_str text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.ptr[i] < '0' || text.ptr[i] > '9')
      return false;
  return text.len > 0 && text.len <= 15;
}

static xh_verdict judge_signature_headers(const xh_gate *gate, const xh_head *head)
{
  if (head->id.ptr && (head->id.len > XH_DELIVERY_ID_MAX || !printable(head->id)))
    return refuse(400, "webhook-id must have 1 to %d printable characters", XH_DELIVERY_ID_MAX);
  if (gate->secret_count == 0)
    return GO_ON;
  const char *missing = !head->id.ptr ? "webhook-id" : !head->timestamp.ptr ? "webhook-timestamp" : !head->signature.ptr ? "webhook-signature" : NULL;
  if (missing)
    return refuse(401, "the request is not signed: header %s is missing; give the hook the receiver's secret", missing);
  if (!is_whole_number(head->timestamp))
    return refuse(401, "webhook-timestamp must be a whole number: seconds since 1970");
  return GO_ON;
}

xh_verdict xh_head_judge(const xh_gate *gate, const xh_head *head)
{
  const char *fault = framing_fault(head);
  if (fault) {
    xh_verdict verdict = refuse(400, "the request's end can't be told: %s", fault);
    verdict.last = true;
    return verdict;
  }
  if (gate->path.ptr && !xh_str_eq(gate->path, head->path))
    return refuse(404, "nothing is served at this path; the hook's URL must end with %.*s", (int)(gate->path.len < 100 ? gate->path.len : 100),
                  gate->path.ptr);
  if (!xh_str_eqz(head->method, "POST"))
    return refuse(405, "only POST is served here");
  if (gate->token.ptr && !token_fits(gate->token, head->authorization))
    return refuse(401, head->authorization.ptr ? "the bearer token is not the receiver's" : "header Authorization: Bearer TOKEN is missing");
  if (head->content_encoding.ptr && !same_word(head->content_encoding, "identity"))
    return refuse(415, "compressed bodies are not served");
  if (!xh_is_json_type(head->content_type))
    return refuse(415, "Content-Type must be application/json");
  if (too_long(head->content_length, gate->body_cap_bytes))
    return refuse(413, "the body has more than %zu bytes (--body-cap)", gate->body_cap_bytes);
  return judge_signature_headers(gate, head);
}

xh_verdict xh_body_judge(const xh_gate *gate, const xh_head *head, xh_str body, int64_t now_s)
{
  if (gate->secret_count == 0)
    return GO_ON;
  int rc = xh_verify(gate->secrets, gate->secret_count, head->id, head->timestamp, head->signature, body, now_s, gate->tolerance_s);
  if (rc == 0)
    return GO_ON;
  if (rc == XH_ESTALE)
    return refuse(401, "webhook-timestamp is more than %lld s away from this machine's clock (--tolerance)", (long long)gate->tolerance_s);
  if (rc == XH_ESIGNATURE)
    return refuse(401, "the signature does not match: another secret, or the body was changed on its way");
  return refuse(500, "the signature can't be verified: %s", xh_err_text(rc));
}
