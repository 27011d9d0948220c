#include "syncd/core/names.h"

#include "common/check.h"
#include "syncd/core/table.h"

#include <string.h>

size_t names_bytes(uint32_t capacity)
{
	return (size_t)capacity * 2 * sizeof(uint32_t);
}

void names_init(struct names *names, void *memory, uint32_t capacity)
{
	names->slots = memory;
	names->names = names->slots + capacity;
	names->capacity = capacity;
}

void names_forget_all(struct names *names, uint32_t high)
{
	CHECK(high <= names->capacity);
	memset(names->names, 0, high * sizeof(uint32_t));
}

void names_forget(struct names *names, uint32_t slot)
{
	CHECK(slot < names->capacity);
	/* Only what is set: a page that no name is in stays untouched. */
	if (names->names[slot])
		names->names[slot] = 0;
}

void names_drop(struct names *names, uint32_t name)
{
	uint32_t slot = names_find(names, name);

	if (slot != TABLE_NONE)
		names->names[slot] = 0;
}

void names_give(struct names *names, uint32_t name, uint32_t slot)
{
	uint32_t before = names_find(names, name);

	CHECK(slot < names->capacity);
	if (name >= names->capacity)
		return;
	if (before != TABLE_NONE)
		names->names[before] = 0;
	names->slots[name] = slot + 1;
	names->names[slot] = name + 1;
}

uint32_t names_find(const struct names *names, uint32_t name)
{
	uint32_t slot;

	if (name >= names->capacity || names->slots[name] == 0)
		return TABLE_NONE;
	slot = names->slots[name] - 1;
	return names->names[slot] == name + 1 ? slot : TABLE_NONE;
}
