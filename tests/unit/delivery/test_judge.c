/* What an answer, or its absence, means. And the addresses that are refused. */
#include "delivery/attempt.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct verdict {
  xh_result result;
  bool down;
  xh_attempt record;
} verdict;

static verdict judge(xh_response response)
{
  static const xh_hook hook = {.timeout_ms = 10000};
  verdict v = {0};
  if (!response.error)
    response.error = "";
  v.result = xh_judge(&response, &hook, 0, &v.record, &v.down);
  assert_true(v.record.words[0] != '\0');
  return v;
}

static void any_2xx_is_delivered(void **state)
{
  (void)state;
  static const int codes[] = {200, 201, 204, 299};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    verdict v = judge((xh_response){.http_status = codes[i]});
    assert_int_equal(v.result, XH_RESULT_DELIVERED);
    assert_int_equal(v.record.fault, XH_FAULT_NONE);
    assert_int_equal(v.record.http_status, codes[i]);
    assert_false(v.down);
  }
  assert_non_null(strstr(judge((xh_response){.http_status = 200, .answer_cut = true}).record.words, "longer"));
}

static void only_410_stops_the_hook(void **state)
{
  (void)state;
  for (int status = 300; status < 600; status++) {
    verdict v = judge((xh_response){.http_status = status});
    assert_int_equal(v.result, status == 410 ? XH_RESULT_GONE : XH_RESULT_FAILED);
    bool down = status == 429 || status == 502 || status == 503 || status == 504 || status == 407;
    assert_int_equal(v.down, down);
    assert_int_equal(v.record.fault, status == 407 ? XH_FAULT_PROXY : XH_FAULT_TARGET);
  }
}

static void a_redirect_names_its_address_without_secrets(void **state)
{
  (void)state;
  static const int codes[] = {301, 302, 303, 307, 308};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    verdict v = judge((xh_response){.http_status = codes[i], .redirect_url = "https://user:p@ss@other.example/way?key=secret#x"});
    assert_int_equal(v.result, XH_RESULT_FAILED);
    assert_non_null(strstr(v.record.words, "https://other.example/way"));
    assert_null(strstr(v.record.words, "secret"));
    assert_null(strstr(v.record.words, "p@ss"));
  }
  assert_non_null(strstr(judge((xh_response){.http_status = 301}).record.words, "without an address"));
}

static void silence_is_named_by_how_far_it_came(void **state)
{
  (void)state;
  static const struct {
    xh_phase phase;
    xh_fault fault;
    const char *word;
  } cases[] = {{XH_PHASE_NAME, XH_FAULT_NETWORK, "not resolved"},
               {XH_PHASE_CONNECT, XH_FAULT_NETWORK, "no connection"},
               {XH_PHASE_TLS, XH_FAULT_TLS, "TLS handshake"},
               {XH_PHASE_FIRST_BYTE, XH_FAULT_TARGET, "no answer came within 10 s"},
               {XH_PHASE_ANSWER, XH_FAULT_TARGET, "not complete within 10 s"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    verdict v = judge((xh_response){.code = CURLE_OPERATION_TIMEDOUT, .phase = cases[i].phase});
    assert_non_null(strstr(v.record.words, cases[i].word));
    assert_int_equal(v.record.fault, cases[i].fault);
    assert_true(v.down);
  }
}

static void faults_are_told_apart(void **state)
{
  (void)state;
  static const struct {
    CURLcode code;
    xh_fault fault;
    bool down;
  } cases[] = {{CURLE_COULDNT_RESOLVE_HOST, XH_FAULT_NETWORK, true},   {CURLE_COULDNT_RESOLVE_PROXY, XH_FAULT_PROXY, true},
               {CURLE_PROXY, XH_FAULT_PROXY, true},                    {CURLE_COULDNT_CONNECT, XH_FAULT_NETWORK, true},
               {CURLE_PEER_FAILED_VERIFICATION, XH_FAULT_TLS, true},   {CURLE_SSL_CONNECT_ERROR, XH_FAULT_TLS, true},
               {CURLE_SSL_CACERT_BADFILE, XH_FAULT_OURS, false},       {CURLE_SSL_CERTPROBLEM, XH_FAULT_OURS, false},
               {CURLE_GOT_NOTHING, XH_FAULT_TARGET, true},             {CURLE_RECV_ERROR, XH_FAULT_TARGET, true},
               {CURLE_WEIRD_SERVER_REPLY, XH_FAULT_TARGET, true},      {CURLE_WRITE_ERROR, XH_FAULT_TARGET, true},
               {CURLE_OUT_OF_MEMORY, XH_FAULT_OURS, false},            {CURLE_URL_MALFORMAT, XH_FAULT_OURS, false},
               {CURLE_INTERFACE_FAILED, XH_FAULT_NETWORK, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    verdict v = judge((xh_response){.code = cases[i].code});
    assert_int_equal(v.result, XH_RESULT_FAILED);
    assert_int_equal(v.record.fault, cases[i].fault);
    assert_int_equal(v.down, cases[i].down);
  }
  assert_int_equal(judge((xh_response){.code = CURLE_COULDNT_CONNECT, .used_proxy = true}).record.fault, XH_FAULT_PROXY);
  verdict connect = judge((xh_response){.code = CURLE_RECV_ERROR, .proxy_status = 403});
  assert_int_equal(connect.record.fault, XH_FAULT_PROXY);
  assert_int_equal(connect.record.http_status, 0);
  verdict metadata = judge((xh_response){.code = CURLE_COULDNT_CONNECT, .refused_address = "169.254.169.254"});
  assert_int_equal(metadata.record.fault, XH_FAULT_OURS);
  assert_false(metadata.down);
}

static const char *metadata_of(const char *text)
{
  struct sockaddr_in v4 = {.sin_family = AF_INET};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
    return xh_metadata_address((const struct sockaddr *)&v4);
  assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
  return xh_metadata_address((const struct sockaddr *)&v6);
}

static void metadata_services_are_known_in_every_writing(void **state)
{
  (void)state;
  static const char *const refused[] = {"169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "169.254.170.2",
                                        "100.100.100.200", "fd00:ec2::254"};
  static const char *const allowed[] = {"127.0.0.1", "::1", "192.168.1.10", "169.254.1.1", "fe80::1", "fd00:ec2::1", "::a9fe:a9fe"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    assert_non_null(metadata_of(refused[i]));
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
    assert_null(metadata_of(allowed[i]));
  assert_string_equal(metadata_of("::ffff:169.254.169.254"), "169.254.169.254");
  assert_null(xh_metadata_address(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static void origins_are_scheme_host_and_port(void **state)
{
  (void)state;
  assert_true(xh_same_origin("http://h/a", "http://h:80/b?c"));
  assert_true(xh_same_origin("https://H.example/", "https://h.EXAMPLE:443/x"));
  assert_false(xh_same_origin("http://h/", "https://h/"));
  assert_false(xh_same_origin("http://h/", "http://h:8080/"));
  assert_false(xh_same_origin("http://h/", "http://h.example/"));
  assert_false(xh_same_origin("http://h/", "nonsense"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_2xx_is_delivered),
      cmocka_unit_test(only_410_stops_the_hook),
      cmocka_unit_test(a_redirect_names_its_address_without_secrets),
      cmocka_unit_test(silence_is_named_by_how_far_it_came),
      cmocka_unit_test(faults_are_told_apart),
      cmocka_unit_test(metadata_services_are_known_in_every_writing),
      cmocka_unit_test(origins_are_scheme_host_and_port),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
