/* endpoint.h: addresses with ports, as people write them. */
#include "ctl/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, uint16_t port_default, const char *address, uint16_t port)
{
	struct sockaddr_storage found;
	socklen_t size;
	char rendered[INET6_ADDRSTRLEN];

	assert_int_equal(endpoint_parse(text, port_default, &found, &size), 0);
	if (found.ss_family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&found;

		assert_int_equal(size, sizeof(*v4));
		assert_int_equal(ntohs(v4->sin_port), port);
		assert_non_null(inet_ntop(AF_INET, &v4->sin_addr, rendered, sizeof(rendered)));
	} else {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&found;

		assert_int_equal(size, sizeof(*v6));
		assert_int_equal(ntohs(v6->sin6_port), port);
		assert_non_null(inet_ntop(AF_INET6, &v6->sin6_addr, rendered, sizeof(rendered)));
	}
	assert_string_equal(rendered, address);
}

static void test_good(void **state)
{
	(void)state;
	check("127.0.0.1:9807", 0, "127.0.0.1", 9807);
	check("127.0.0.1", 4243, "127.0.0.1", 4243);
	check("[::1]:9807", 0, "::1", 9807);
	check("[fd01::1]", 4243, "fd01::1", 4243);
	check("fd01::1", 4243, "fd01::1", 4243);
	check("fd01::1:9807", 4243, "fd01::1:9807", 4243); /* an address through and through */
	check("10.0.0.1:65535", 4243, "10.0.0.1", 65535);
}

static void test_bad(void **state)
{
	static const char *const texts[] = {"", ":", ":80", "host:80", "10.0.0.1:0",
		"10.0.0.1:65536", "10.0.0.1:+80", "10.0.0.1: 80", "10.0.0.1:80x",
		"10.0.0.1:", "10.0.0.0/8:80", "[::1", "[::1]80", "[::1]:", "[]:80",
		"10.0.0.1:99999999999999999999"};
	struct sockaddr_storage found;
	socklen_t size;
	char longest[200];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (endpoint_parse(texts[i], 4243, &found, &size) != -EINVAL)
			fail_msg("taken: %s", texts[i]);
	memset(longest, '1', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(endpoint_parse(longest, 4243, &found, &size), -EINVAL);
	/* Without a default the port must be there. */
	assert_int_equal(endpoint_parse("127.0.0.1", 0, &found, &size), -EINVAL);
	assert_int_equal(endpoint_parse("::1", 0, &found, &size), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
