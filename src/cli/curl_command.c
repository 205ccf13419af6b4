#include "cli/curl_command.h"

#include "base/utf8.h"
#include "cli/json_view.h"

#include <string.h>

/* Linux takes 128 KiB in one argument ("Argument list too long", execve(2)); printf is the shell's own and takes all. */
enum { TEXT_CAP_BYTES = 512 * 1024 * 1024, ARGUMENT_BYTES_MAX = 100 * 1000 };

static const char HOLE[] = "(hidden)";

/* ---- quoting ---- */

static bool is_plain(xh_str text)
{
  for (size_t at = 0, width; at < text.len; at += width)
    if (!(width = xh_utf8_plain_width(text.ptr + at, text.len - at)))
      return false;
  return true;
}

/* In single quotes: a quote inside ends them, is escaped, and opens them again. */
static void put_single(FILE *out, xh_str text)
{
  fputc('\'', out);
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] == '\'')
      fputs("'\\''", out);
    else
      fputc(text.ptr[i], out);
  }
  fputc('\'', out);
}

/* As a format of printf(1), in single quotes and in ASCII: what a terminal would act upon is written in octal. */
static void put_format(FILE *out, xh_str text)
{
  fputc('\'', out);
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c == '%' || c == '\\')
      fprintf(out, "%c%c", c, c);
    else if (c < ' ' || c > '~' || c == '\'')
      fprintf(out, "\\%03o", c);
    else
      fputc(c, out);
  }
  fputc('\'', out);
}

static void put_word(FILE *out, xh_str text)
{
  if (is_plain(text)) {
    put_single(out, text);
    return;
  }
  fputs("\"$(printf ", out);
  put_format(out, text);
  fputs(")\"", out);
}

/* The text of a JSON string, to xh_buf_done(); empty when there is none. */
static xh_buf text_of(xh_str string)
{
  xh_buf text;
  xh_buf_init(&text, TEXT_CAP_BYTES);
  if (string.len >= 2 && *string.ptr == '"' && xh_json_decode(string, &text) != 0)
    xh_buf_clear(&text);
  return text;
}

/* " \" and, on the next line, the option with its word. */
static void put_option(FILE *out, const char *option, xh_str string)
{
  if (!string.ptr)
    return;
  xh_buf text = text_of(string);
  fprintf(out, " \\\n  %s ", option);
  put_word(out, xh_buf_span(&text));
  xh_buf_done(&text);
}

/* A certificate's file, in which curl takes what follows a colon for a password. */
static void put_certificate(FILE *out, xh_str string)
{
  if (!string.ptr)
    return;
  xh_buf path = text_of(string), escaped;
  xh_buf_init(&escaped, TEXT_CAP_BYTES);
  for (size_t i = 0; i < path.len; i++) {
    if (path.ptr[i] == ':' || path.ptr[i] == '\\')
      xh_buf_char(&escaped, '\\');
    xh_buf_char(&escaped, path.ptr[i]);
  }
  fputs(" \\\n  --cert ", out);
  put_word(out, xh_buf_span(&escaped));
  xh_buf_done(&escaped);
  xh_buf_done(&path);
}

/* ---- what is hidden ---- */

static bool has_hole(xh_str string)
{
  return string.ptr && memmem(string.ptr, string.len, HOLE, sizeof HOLE - 1);
}

static bool headers_have_hole(xh_str headers)
{
  xh_json_iter it;
  xh_str one;
  if (headers.ptr && xh_json_iter_init(&it, headers))
    while (xh_json_next(&it, NULL, &one))
      if (has_hole(view_member(one, "value")))
        return true;
  return false;
}

static bool is_signed(xh_str headers)
{
  xh_json_iter it;
  xh_str one;
  if (headers.ptr && xh_json_iter_init(&it, headers))
    while (xh_json_next(&it, NULL, &one))
      if (view_equals(one, "name", "webhook-signature"))
        return true;
  return false;
}

static void put_comments(FILE *out, xh_str request, xh_str headers)
{
  const struct {
    bool hidden;
    const char *what;
  } holes[] = {{has_hole(view_member(request, "url")), "parts of the URL"},
               {headers_have_hole(headers), "values of headers"},
               {is_signed(headers), "the signature of id, timestamp and body"},
               {has_hole(view_member(request, "proxy")), "credentials of the proxy"},
               {has_hole(view_member(request, "keyPassphrase")), "the passphrase of the key"}};
  const char *glue = "# Fill in what is (hidden): ";
  for (size_t i = 0; i < sizeof holes / sizeof *holes; i++)
    if (holes[i].hidden) {
      fprintf(out, "%s%s", glue, holes[i].what);
      glue = ", ";
    }
  if (*glue == ',')
    fputc('\n', out);
  if (view_member(request, "pinnedCertificate").ptr)
    fputs("# The hook accepts one certificate only, by its fingerprint; curl is told to accept any (-k)\n", out);
}

/* ---- the command ---- */

static void put_headers(FILE *out, xh_str headers)
{
  xh_json_iter it;
  xh_str one;
  if (!headers.ptr || !xh_json_iter_init(&it, headers))
    return;
  while (xh_json_next(&it, NULL, &one)) {
    if (view_equals(one, "name", "webhook-timestamp")) {
      fputs(" \\\n  -H \"webhook-timestamp: $(date +%s)\"", out);
      continue;
    }
    xh_buf line = text_of(view_member(one, "name")), value = text_of(view_member(one, "value"));
    xh_buf_z(&line, ": ");
    xh_buf_str(&line, view_equals(one, "name", "webhook-signature") ? xh_str_z(HOLE) : xh_buf_span(&value));
    fputs(" \\\n  -H ", out);
    put_word(out, xh_buf_span(&line));
    xh_buf_done(&value);
    xh_buf_done(&line);
  }
}

static void put_proxy(FILE *out, xh_str request)
{
  xh_str proxy = view_member(request, "proxy");
  if (!proxy.ptr)
    return; /* as the environment says */
  if (view_equals(request, "proxy", "none")) {
    fputs(" \\\n  --noproxy '*'", out);
    return;
  }
  put_option(out, "-x", proxy);
  fputs(" --noproxy ''", out); /* the hook's own word stands above the environment's exceptions */
}

void curl_command_put(FILE *out, xh_str delivery)
{
  xh_str request = view_member(delivery, "request"), headers = view_member(delivery, "headers"), url = view_member(request, "url");
  xh_buf body = text_of(view_member(delivery, "body"));
  bool plain = is_plain(xh_buf_span(&body)), piped = !plain || body.len > ARGUMENT_BYTES_MAX;
  put_comments(out, request, headers);
  if (piped) {
    fputs(plain ? "printf %s " : "printf ", out);
    (plain ? put_single : put_format)(out, xh_buf_span(&body));
    fputs(" | ", out);
  }
  fputs("curl -g -X POST", out);
  put_option(out, "-A", view_member(request, "userAgent"));
  put_headers(out, headers);
  fputs(" \\\n  -H 'Expect:'", out);
  put_proxy(out, request);
  put_option(out, "--cacert", view_member(request, "caFile"));
  put_certificate(out, view_member(request, "certificateFile"));
  put_option(out, "--key", view_member(request, "keyFile"));
  put_option(out, "--pass", view_member(request, "keyPassphrase"));
  if (view_member(request, "pinnedCertificate").ptr)
    fputs(" \\\n  -k", out);
  fputs(" \\\n  --data-binary ", out);
  if (piped)
    fputs("@-", out);
  else
    put_single(out, xh_buf_span(&body));
  put_option(out, "--url", url.ptr ? url : view_member(delivery, "url"));
  fputc('\n', out);
  xh_buf_done(&body);
}
