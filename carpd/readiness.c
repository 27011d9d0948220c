#include "carpd/readiness.h"

#include "common/check.h"

#include <assert.h>
#include <string.h>

static const char *const readiness_names[] = {
	[READINESS_SYNCD_NOT_REGISTERED] = "SYNCD_NOT_REGISTERED",
	[READINESS_SYNC_NOT_CONNECTED] = "SYNC_NOT_CONNECTED",
	[READINESS_SYNC_TRANSFER] = "SYNC_TRANSFER",
	[READINESS_TABLE_FULL] = "TABLE_FULL",
	[READINESS_RULES_MISSING] = "RULES_MISSING",
	[READINESS_SYNC_BACKLOG] = "SYNC_BACKLOG",
	[READINESS_OTHER] = "OTHER",
};

static_assert(ARRAY_LEN(readiness_names) == READINESS_BIT_COUNT, "a bit has no name");

enum readiness_bit readiness_bit_of(const char *word)
{
	for (unsigned int i = 0; i < READINESS_BIT_COUNT; i++)
		if (strcmp(readiness_names[i], word) == 0)
			return (enum readiness_bit)i;
	return READINESS_OTHER;
}

const char *readiness_name(unsigned int bit)
{
	return readiness_names[bit < READINESS_BIT_COUNT ? bit : READINESS_OTHER];
}
