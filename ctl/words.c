#include "ctl/words.h"

#include "ctl/codes.h"

#include <stddef.h>

static const char *words_text(enum code_kind kind, const char *name)
{
	const struct code *code = codes_lookup(kind, name);

	return code ? code->text : NULL;
}

const char *words_reason(const char *code)
{
	return words_text(CODE_REASON, code);
}

const char *words_state(const char *code)
{
	return words_text(CODE_STATE, code);
}

const char *words_not_ready(const char *code)
{
	return words_text(CODE_NOT_READY, code);
}

const char *words_alarm(const char *code)
{
	const struct code *entry = codes_lookup(CODE_ALARM, code);

	return entry ? entry->advice : NULL;
}
