#include "ctl/event_text.h"

#include "ctl/field.h"
#include "ctl/history_text.h"
#include "ctl/when.h"

#include "common/io/clock.h"

#include <string.h>

void event_text_render(FILE *out, const json_t *event, int64_t now_wall_us)
{
	char moment[WHEN_TEXT_MAX], now[CLOCK_TEXT_MAX];
	const char *time = field_text(event, "time"), *name;
	const json_t *value;

	if (field_is(event, "event", "transition")) {
		history_text_render(out, event);
		return;
	}
	fprintf(out, "%s  ",
		when_render_instant(*time ? time : clock_render(now_wall_us, now), moment));
	field_print(out, field_text(event, "event"), 0);
	/* json_object_foreach wants to be able to change what it walks. */
	for (void *i = json_object_iter((json_t *)(uintptr_t)event); i;
		i = json_object_iter_next((json_t *)(uintptr_t)event, i)) {
		name = json_object_iter_key(i);
		value = json_object_iter_value(i);
		if (strcmp(name, "event") == 0 || strcmp(name, "time") == 0)
			continue;
		fputs("  ", out);
		field_print(out, name, 0);
		fputc('=', out);
		field_print_value(out, value);
	}
	fputc('\n', out);
}
