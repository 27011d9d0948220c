/* A frame never scrolls, never wraps and never leaves anything of the one before it. */
#include "ctl/screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_is(const char *text, unsigned int rows, unsigned int columns, const char *wanted)
{
	char *frame = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&frame, &size);

	assert_non_null(out);
	screen_frame(out, text, rows, columns);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(frame, wanted);
	free(frame);
}

static void test_frames(void **state)
{
	(void)state;
	test_is("", 3, 20, "\033[H\033[J");
	test_is("one\ntwo\n", 3, 20, "\033[Hone\033[K\r\ntwo\033[K\033[J");
	test_is("one\n\ntwo", 3, 20, "\033[Hone\033[K\r\n\033[K\r\ntwo\033[K\033[J");
	test_is("1\n2\n3\n4\n5\n", 3, 20, "\033[H1\033[K\r\n2\033[K\r\n(3 more lines)\033[K\033[J");
	test_is("0123456789\n", 3, 5, "\033[H01234\033[K\033[J");
	/* Two bytes are one column, and are never cut in two. */
	test_is("a\xc3\xa4"
		"b\n",
		3, 2, "\033[Ha\xc3\xa4\033[K\033[J");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
