#include "ctl/when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WHEN_US_PER_S INT64_C(1000000)

bool when_parse(const char *text, int64_t *ret_wall_us)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t fraction_us = 0, scale = WHEN_US_PER_S / 10;

	if (!rest)
		return false;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
			fraction_us += scale * (*rest - '0');
	if (strcmp(rest, "Z") != 0)
		return false;
	*ret_wall_us = (int64_t)timegm(&tm) * WHEN_US_PER_S + fraction_us;
	return true;
}

char *when_render_span(int64_t span_us, char text[static WHEN_TEXT_MAX])
{
	int64_t s = span_us / WHEN_US_PER_S;
	double us = (double)span_us;

	if (span_us < 0)
		snprintf(text, WHEN_TEXT_MAX, "0 s");
	else if (span_us < 1000)
		snprintf(text, WHEN_TEXT_MAX, "%.0f us", us);
	else if (s == 0)
		snprintf(text, WHEN_TEXT_MAX, "%.1f ms", us / 1e3);
	else if (s < 60)
		snprintf(text, WHEN_TEXT_MAX, "%.1f s", us / 1e6);
	else if (s < 3600)
		snprintf(text, WHEN_TEXT_MAX, "%d min %d s", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		snprintf(text, WHEN_TEXT_MAX, "%d h %d min", (int)(s / 3600), (int)(s % 3600 / 60));
	else
		snprintf(text, WHEN_TEXT_MAX, "%lld d %d h", (long long)(s / 86400),
			(int)(s % 86400 / 3600));
	return text;
}

char *when_render_moment(const char *moment, char text[static WHEN_TEXT_MAX])
{
	int64_t wall_us;

	if (when_parse(moment, &wall_us))
		snprintf(text, WHEN_TEXT_MAX, "%.10s %.8s UTC", moment, moment + 11);
	else
		snprintf(text, WHEN_TEXT_MAX, "%s", moment);
	return text;
}

char *when_render_instant(const char *moment, char text[static WHEN_TEXT_MAX])
{
	int64_t wall_us;

	if (when_parse(moment, &wall_us) && wall_us >= 0)
		snprintf(text, WHEN_TEXT_MAX, "%.10s %.8s.%03d UTC", moment, moment + 11,
			(int)(wall_us % WHEN_US_PER_S / 1000));
	else
		snprintf(text, WHEN_TEXT_MAX, "%s", moment);
	return text;
}

char *when_render_age(const char *moment, int64_t now_wall_us, char text[static WHEN_TEXT_MAX])
{
	int64_t wall_us;

	if (!when_parse(moment, &wall_us))
		snprintf(text, WHEN_TEXT_MAX, "?");
	else
		when_render_span(now_wall_us - wall_us, text);
	return text;
}
