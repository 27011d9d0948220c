#include "ctl/drill/compare.h"

#include "ctl/drill/html_chart.h"
#include "ctl/drill/verdict.h"

#include <string.h>

void compare_attach(json_t *run, json_t *other, const char *system)
{
	(void)json_object_set_new(other, "system", json_string(system));
	/* Its timeline has only what the taps saw; the logs are in its folder. */
	(void)json_object_del(other, "description");
	(void)json_object_set_new(run, "compare", other);
}

static const char *compare_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "?";
}

static double compare_number(const json_t *run, const char *object, const char *name)
{
	return json_number_value(
		json_object_get(object ? json_object_get(run, object) : run, name));
}

static void compare_print_reason(FILE *out, const json_t *run)
{
	const char *reason = json_string_value(json_array_get(json_object_get(run, "reasons"), 0));
	size_t more = json_array_size(json_object_get(run, "reasons"));

	if (!reason)
		return;
	(void)fprintf(out, "               %s", reason);
	if (more > 1)
		(void)fprintf(out, " (and %zu more)", more - 1);
	(void)fprintf(out, "\n");
}

void compare_print(FILE *out, const json_t *run)
{
	const json_t *other = json_object_get(run, "compare");

	if (!other)
		return;
	(void)fprintf(out, "  beside it    %s: %s\n", compare_text(other, "system"),
		compare_text(other, "verdict"));
	if (verdict_is_measured(other))
		(void)fprintf(out,
			"               outage %.1f ms (+-%.1f), %.0f lost, TCP %.0f of %.0f,\n"
			"               longest pause of a TCP connection %.0f ms,\n"
			"               flows %.0f of %.0f, two masters %.1f ms\n",
			compare_number(other, NULL, "outage_ms"),
			compare_number(other, NULL, "resolution_ms"),
			compare_number(other, "probes", "lost"),
			compare_number(other, "tcp", "survived"),
			compare_number(other, "tcp", "total"),
			compare_number(other, "tcp", "longest_pause_ms"),
			compare_number(other, "flows", "survived"),
			compare_number(other, "flows", "before"),
			compare_number(other, NULL, "dual_master_ms"));
	compare_print_reason(out, other);
}

static bool compare_any(const json_t *runs)
{
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run)
		if (json_object_get(run, "compare"))
			return true;
	return false;
}

static void compare_print_row(FILE *out, const char *scenario, const char *who, const json_t *run)
{
	(void)fprintf(out, "%-17s %-10s ", scenario, who);
	if (!verdict_is_measured(run)) {
		(void)fprintf(out, "%s before the fault\n", compare_text(run, "verdict"));
		return;
	}
	(void)fprintf(out, "%7.1f ms %6.0f %2.0f/%-2.0f %6.0f ms %6.0f/%-6.0f %4.0f ms\n",
		compare_number(run, NULL, "outage_ms"), compare_number(run, "probes", "lost"),
		compare_number(run, "tcp", "survived"), compare_number(run, "tcp", "total"),
		compare_number(run, "tcp", "longest_pause_ms"),
		compare_number(run, "flows", "survived"), compare_number(run, "flows", "before"),
		compare_number(run, NULL, "dual_master_ms"));
}

void compare_print_table(FILE *out, const json_t *runs)
{
	json_t *run;
	size_t i;

	if (!compare_any(runs))
		return;
	(void)fprintf(out, "\n%-17s %-10s %10s %6s %5s %9s %13s %7s\n", "side by side", "",
		"outage", "lost", "TCP", "TCP pause", "flows", "2 mast.");
	json_array_foreach (runs, i, run) {
		if (!json_object_get(run, "compare"))
			continue;
		compare_print_row(out, compare_text(run, "scenario"), "carpool", run);
		compare_print_row(out, "", "keepalived", json_object_get(run, "compare"));
	}
}

static void compare_html_row(FILE *out, const char *scenario, const char *who, const json_t *run)
{
	const char *verdict = compare_text(run, "verdict");

	(void)fprintf(out, "<tr><td>");
	html_chart_text(out, scenario);
	(void)fprintf(out, "</td><td>%s</td><td><span class=\"badge %s\">%s</span></td>", who,
		verdict, strcmp(verdict, "pass") == 0 ? "PASS" : "FAIL");
	if (!verdict_is_measured(run)) {
		(void)fprintf(out, "<td colspan=\"6\">");
		html_chart_text(
			out, json_string_value(json_array_get(json_object_get(run, "reasons"), 0)));
		(void)fprintf(out, "</td></tr>\n");
		return;
	}
	(void)fprintf(out,
		"<td class=\"n\">%.1f ms <small>\u00b1%.1f</small></td><td class=\"n\">%.0f</td>"
		"<td class=\"n\">%.0f of %.0f</td><td class=\"n\">%.0f ms</td>"
		"<td class=\"n\">%.0f of %.0f</td>"
		"<td class=\"n\">%.1f ms</td></tr>\n",
		compare_number(run, NULL, "outage_ms"), compare_number(run, NULL, "resolution_ms"),
		compare_number(run, "probes", "lost"), compare_number(run, "tcp", "survived"),
		compare_number(run, "tcp", "total"), compare_number(run, "tcp", "longest_pause_ms"),
		compare_number(run, "flows", "survived"), compare_number(run, "flows", "before"),
		compare_number(run, NULL, "dual_master_ms"));
}

void compare_html(FILE *out, const json_t *runs)
{
	const json_t *other = NULL;
	json_t *run;
	size_t i;

	if (!compare_any(runs))
		return;
	json_array_foreach (runs, i, run)
		if (!other)
			other = json_object_get(run, "compare");
	(void)fprintf(out,
		"<h2>Side by side</h2>\n<p>The same lab, links, rules, faults and probes, "
		"once with carpool and once with ");
	html_chart_text(out, compare_text(other, "system"));
	(void)fprintf(out,
		", set up as its manuals advise for a stateful firewall pair, with the same advert "
		"interval (not below VRRP's 10 ms) and order.</p>\n"
		"<div class=\"wide\"><table><thead><tr><th>scenario</th><th>system</th><th></th>"
		"<th class=\"n\">outage</th><th class=\"n\">probes lost</th>"
		"<th class=\"n\">TCP survived</th><th class=\"n\">longest TCP pause</th>"
		"<th class=\"n\">flows survived</th>"
		"<th class=\"n\">two masters</th></tr></thead><tbody>\n");
	json_array_foreach (runs, i, run) {
		if (!json_object_get(run, "compare"))
			continue;
		compare_html_row(out, compare_text(run, "scenario"), "carpool", run);
		compare_html_row(out, "", "keepalived", json_object_get(run, "compare"));
	}
	(void)fprintf(out, "</tbody></table></div>\n");
	html_chart_compare(out, runs);
}
