/* Framing: however the bytes are split into chunks, the lines are the same. The first two bytes choose the cap and the chunks. */
#include "fuzz.h"

#include "base/err.h"
#include "intake/framing.h"

typedef struct seen {
  xh_buf text; /* "NUMBER CODE:LINE" of each, one after the other */
  size_t cap_bytes;
} seen;

static void on_line(void *arg, int code, xh_str line, int64_t number)
{
  seen *s = arg;
  CHECK(code == 0 || code == XH_ECAP);
  CHECK(line.len <= s->cap_bytes && (line.len == 0 || !memchr(line.ptr, '\n', line.len)));
  xh_buf_printf(&s->text, "%lld %d:%zu:", (long long)number, code, line.len);
  xh_buf_str(&s->text, line);
  xh_buf_char(&s->text, '\n');
}

static void run(seen *s, size_t cap_bytes, xh_str bytes, unsigned chunk_seed)
{
  framing f;
  *s = (seen){.cap_bytes = cap_bytes};
  xh_buf_init(&s->text, bytes.len * 64 + 4096);
  framing_init(&f, cap_bytes);
  while (bytes.len > 0) {
    size_t len = bytes.len;
    if (chunk_seed) {
      chunk_seed = chunk_seed * 1103515245u + 12345u;
      len = 1 + (chunk_seed >> 16) % 7;
      if (len > bytes.len)
        len = bytes.len;
    }
    char *chunk = fuzz_copy(bytes.ptr, len); /* gone after the call, as the reader's buffer is */
    framing_feed(&f, (xh_str){chunk, len}, on_line, s);
    free(chunk);
    bytes = (xh_str){bytes.ptr + len, bytes.len - len};
  }
  framing_end(&f, on_line, s);
  framing_done(&f);
  CHECK(xh_buf_error(&s->text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  xh_str rest = {(const char *)data, size};
  size_t cap_bytes = 1 + fuzz_byte(&rest) % 64;
  unsigned chunk_seed = fuzz_byte(&rest) + 1;
  seen whole, split, ones;
  run(&whole, cap_bytes, rest, 0);
  run(&split, cap_bytes, rest, chunk_seed);
  run(&ones, cap_bytes, rest, chunk_seed * 7919u);
  CHECK(xh_str_eq(xh_buf_span(&whole.text), xh_buf_span(&split.text)));
  CHECK(xh_str_eq(xh_buf_span(&whole.text), xh_buf_span(&ones.text)));
  xh_buf_done(&whole.text);
  xh_buf_done(&split.text);
  xh_buf_done(&ones.text);
  return 0;
}
