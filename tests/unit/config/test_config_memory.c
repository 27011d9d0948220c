/* The n-th allocation fails, for every n until nothing fails: a config or an error each time, no
 * crash, and whatever was allocated is freed. malloc() and its kin are ours in this program, for
 * libyaml, too (a sanitizer has its own: skipped there). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED 77

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
int main(void)
{
	return SKIPPED;
}
#else

#define TRIES_MAX 20000u

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool counting;
static unsigned int countdown; /* 0: nothing fails; else the countdown-th allocation does */
static bool failed;
static long held_count; /* of what was allocated while counting */

static bool fails_now(void)
{
	if (!counting || countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	void *memory = fails_now() ? NULL : __libc_malloc(size);

	held_count += counting && memory;
	return memory;
}

void *calloc(size_t count, size_t size)
{
	void *memory = fails_now() ? NULL : __libc_calloc(count, size);

	held_count += counting && memory;
	return memory;
}

void *realloc(void *memory, size_t size)
{
	void *grown = fails_now() ? NULL : __libc_realloc(memory, size);

	held_count += counting && grown && !memory;
	return grown;
}

void free(void *memory)
{
	held_count -= counting && memory;
	__libc_free(memory);
}

static const char text[] =
	"cluster: edge\n"
	"keys: [edge.key]\n"
	"nodes: { a: { id: 1, address: 10.0.0.1 }, b: { id: 2, address: 10.0.0.2 } }\n"
	"groups:\n"
	"  edge:\n"
	"    vhid: 51\n"
	"    interfaces: { lan0: [10.1.0.254/24, \"fd01::fe/64\"] }\n"
	"    rules: { master: a.nft }\n"
	"    handlers: [{ name: tell, run: [/bin/true, '{group}'] }]\n"
	"sync: {}\n";

static struct config_errors errors;

/* One run with the n-th allocation failing; whether it got that far. */
static bool run(unsigned int n)
{
	struct config *cfg;
	bool parsed, rendered = false;
	char *shown = NULL;

	held_count = 0;
	failed = false;
	countdown = n;
	counting = true;
	cfg = config_parse(text, sizeof(text) - 1, "/etc/c.yaml", NULL, &errors);
	parsed = cfg != NULL;
	if (parsed) {
		shown = config_render(cfg);
		rendered = shown != NULL;
	}
	free(shown);
	config_free(cfg);
	ERR_clear_error(); /* texts of what went wrong inside OpenSSL */
	counting = false;
	assert_int_equal(held_count, 0);
	assert_int_equal(parsed, errors.count == 0);
	if (!failed)
		assert_true(parsed && rendered);
	return failed;
}

static void test_every_allocation(void **state)
{
	unsigned int n = 1, refused = 0;

	(void)state;
	/* What OpenSSL allocates once and keeps is not ours to count. */
	config_free(config_parse(text, sizeof(text) - 1, "/etc/c.yaml", NULL, &errors));
	ERR_clear_error();
	assert_int_equal(errors.count, 0);
	assert_false(run(0));
	for (; n < TRIES_MAX && run(n); n++)
		refused += errors.count > 0;
	assert_true(n > 50 && n < TRIES_MAX);
	assert_true(refused > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
