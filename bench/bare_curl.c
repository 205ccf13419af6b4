/*
 * What a user would write who wants speed and nothing else: libcurl's multi interface in a loop, CONCURRENCY requests at a time over kept
 * connections, nothing stored, nothing signed, nothing retried.
 *
 *   bench_bare_curl URL COUNT CONCURRENCY BODY_BYTES   → seconds
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t ignore(char *bytes, size_t size, size_t count, void *arg)
{
  (void)bytes, (void)arg;
  return size * count;
}

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
  if (argc != 5)
    return 2;
  long count = atol(argv[2]), concurrency = atol(argv[3]), started = 0, done = 0, failed = 0;
  long size = atol(argv[4]);
  char *body = malloc((size_t)size + 1);
  if (!body)
    return 1;
  memset(body, 'x', (size_t)size);
  curl_global_init(CURL_GLOBAL_ALL);
  CURLM *multi = curl_multi_init();
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Expect:");
  double begin = now();
  for (long i = 0; i < concurrency && started < count; i++, started++) {
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, size);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    curl_multi_add_handle(multi, easy);
  }
  while (done < count) {
    int running, left;
    CURLMsg *message;
    curl_multi_perform(multi, &running);
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
      CURL *easy = message->easy_handle;
      failed += message->data.result != CURLE_OK;
      done++;
      curl_multi_remove_handle(multi, easy);
      if (started < count) {
        curl_multi_add_handle(multi, easy);
        started++;
      } else {
        curl_easy_cleanup(easy);
      }
    }
    if (done < count)
      curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  printf("%.6f\n", now() - begin);
  return failed > 0;
}
