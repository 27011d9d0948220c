#include "ctl/drill/html.h"

#include "ctl/drill/compare.h"
#include "ctl/drill/html_chart.h"
#include "ctl/drill/verdict.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char html_style[] =
	":root{--bg:#fff;--fg:#1b2430;--soft:#5c6878;--line:#dde3ea;--card:#f6f8fa;--good:#12784a;"
	"--goodbg:#dff3e8;--bad:#b3261e;--badbg:#fbe3e1;--warn:#8a5a00;--warnbg:#fdf0d5;"
	"--bar:#2f6fb7;--room:#e3ecf6;--s1:#2f6fb7;--s2:#6a9f3c;--s3:#c98a1b;--s4:#8a63c4;color-"
	"scheme:light "
	"dark}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#12171e;--fg:#e4e9ef;--soft:#98a5b5;"
	"--line:#2b3542;--card:#1a212b;--good:#5fd39a;--goodbg:#143626;--bad:#ff8f86;"
	"--badbg:#471d1a;--warn:#f0c060;--warnbg:#3d2f10;--bar:#6aa7ea;--room:#22344a;"
	"--s1:#6aa7ea;--s2:#93cc62;--s3:#e9b455;--s4:#b79af0}}\n"
	"*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);"
	"font:15px/1.5 system-ui,'Segoe UI','Helvetica Neue',Arial,sans-serif}\n"
	"main{max-width:900px;margin:0 auto;padding:32px 24px 60px}\n"
	"h1{font-size:27px;line-height:1.2;margin:0 0 4px}h2{font-size:20px;margin:44px 0 6px;"
	"padding-top:14px;border-top:2px solid var(--line)}h3{font-size:17px;margin:30px 0 4px}"
	"h4{font-size:14px;margin:20px 0 4px;color:var(--soft);font-weight:600}\n"
	"p{margin:6px 0;max-width:74ch}.soft{color:var(--soft)}small{color:var(--soft)}\n"
	".badge{display:inline-block;border-radius:5px;padding:1px 9px;font-weight:700;"
	"font-size:13px;letter-spacing:.03em;vertical-align:middle}\n"
	".pass{color:var(--good);background:var(--goodbg)}.fail{color:var(--bad);"
	"background:var(--badbg)}.error{color:var(--warn);background:var(--warnbg)}\n"
	".verdict{margin:20px 0;padding:16px 20px;border-radius:9px;font-size:18px}"
	".verdict b{font-size:22px}.verdict p{font-size:16px;margin:4px 0 0}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;"
	"margin:14px 0}.tile{background:var(--card);border:1px solid var(--line);"
	"border-radius:8px;padding:10px 14px}.tile b{display:block;font-size:21px;"
	"font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:13px}\n"
	".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:12px 0;"
	"font-variant-numeric:tabular-nums}th{text-align:left;font-size:13px;"
	"color:var(--soft);font-weight:600}th,td{padding:5px 10px 5px 0;border-bottom:1px solid "
	"var(--line);vertical-align:top}td.n,th.n{text-align:right;padding-right:18px}a{color:"
	"inherit}\n"
	"ul{margin:6px 0;padding-left:22px}.why li{color:var(--bad);font-weight:600}\n"
	".chart{width:100%;height:auto;display:block;margin:6px 0}.chart text{fill:var(--fg);"
	"font-size:12px}.chart .name{text-anchor:end}.chart .tick{fill:var(--soft);"
	"font-size:11px;text-anchor:middle}.chart .value{font-size:12px}"
	".chart .grid{stroke:var(--line)}.chart .lane{stroke:var(--soft);stroke-width:2}"
	".bar{fill:var(--bar)}.bad{fill:var(--bad)}.room{fill:var(--room)}"
	".outage{fill:var(--bad);opacity:.22}.s1{fill:var(--s1)}.s2{fill:var(--s2)}"
	".s3{fill:var(--s3)}.s4{fill:var(--s4)}.event "
	"circle{fill:var(--bg);stroke:var(--bar);stroke-width:2}"
	".chart .event text{text-anchor:middle;font-size:9.5px;font-weight:700}\n"
	"details{margin:8px 0}summary{cursor:pointer;color:var(--soft)}\n"
	"td.n{white-space:nowrap}td:first-child{white-space:nowrap}td.free{white-space:normal}"
	"@media(max-width:640px){main{padding:20px 14px 40px}.chart text{font-size:16px}"
	".chart .tick,.chart .value{font-size:15px}}\n"
	"@media print{body{font-size:12px;line-height:1.4}main{max-width:none;padding:0}"
	"h2{margin-top:26px}h2,h3,h4{break-after:avoid}th,td{padding:2px 8px 2px 0}"
	".tile b{font-size:16px}.tile{padding:6px 10px}thead{display:table-header-group}"
	"svg,.tiles,.verdict,tr{break-inside:avoid}.verdict,.tile,.badge{border:1px solid #888}"
	"*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

static const char *html_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double html_number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static long long html_count(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

static const char *html_verdict_word(const char *verdict)
{
	return strcmp(verdict, "pass") == 0   ? "PASS"
	       : strcmp(verdict, "fail") == 0 ? "FAIL"
					      : "COULD NOT RUN";
}

static void html_badge(FILE *out, const char *verdict)
{
	(void)fprintf(out, "<span class=\"badge %s\">%s</span>",
		strcmp(verdict, "pass") == 0   ? "pass"
		: strcmp(verdict, "fail") == 0 ? "fail"
					       : "error",
		html_verdict_word(verdict));
}

static void html_head(FILE *out, const json_t *document)
{
	(void)fprintf(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
			   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
			   "<title>Failover drill, ");
	html_chart_text(out, html_string(document, "cluster"));
	(void)fprintf(out, ", ");
	html_chart_text(out, html_string(document, "time"));
	(void)fprintf(out,
		"</title>\n<style>\n%s</style></head><body><main>\n<h1>Failover drill of ",
		html_style);
	html_chart_text(out, html_string(document, "cluster"));
	(void)fprintf(out, "</h1>\n<p class=\"soft\">");
	(void)fprintf(out, "%.10s %.8s UTC on ", html_string(document, "time"),
		strlen(html_string(document, "time")) > 11 ? html_string(document, "time") + 11
							   : "");
	html_chart_text(out, html_string(document, "host"));
	(void)fprintf(out, ", by ");
	html_chart_text(out, html_string(document, "operator"));
	(void)fprintf(out, "; carpool ");
	html_chart_text(out, html_string(document, "version"));
	(void)fprintf(out, ", kernel ");
	html_chart_text(out, html_string(document, "kernel"));
	(void)fprintf(out, "; config ");
	html_chart_text(out, html_string(document, "config"));
	(void)fprintf(out, "</p>\n");
}

/* The two sentences that somebody reads who reads nothing else. */
static void html_in_words(FILE *out, const json_t *runs)
{
	const json_t *worst = NULL;
	long long before = 0, survived = 0;
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		const json_t *flows = json_object_get(run, "flows");

		if (!verdict_is_measured(run))
			continue;
		before += html_count(flows, "before");
		survived += html_count(flows, "survived");
		if (!worst || html_number(run, "outage_ms") > html_number(worst, "outage_ms"))
			worst = run;
	}
	if (!worst)
		return;
	(void)fprintf(out, "<p>");
	if (survived == before)
		(void)fprintf(out, "Every one of %lld connections survived. ", before);
	else
		(void)fprintf(
			out, "%lld of %lld connections were lost. ", before - survived, before);
	if (html_number(worst, "outage_ms") > 0) {
		(void)fprintf(
			out, "The longest outage was %.1f ms (", html_number(worst, "outage_ms"));
		html_chart_text(out, html_string(worst, "scenario"));
		(void)fprintf(out, ").</p>");
	} else {
		(void)fprintf(out, "Not one probe was lost.</p>");
	}
}

static void html_verdict(FILE *out, const json_t *runs)
{
	size_t passed = 0;
	const char *worst = "pass";
	json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		const char *verdict = html_string(run, "verdict");

		passed += strcmp(verdict, "pass") == 0;
		if (strcmp(verdict, "error") == 0 ||
			(strcmp(verdict, "fail") == 0 && strcmp(worst, "pass") == 0))
			worst = verdict;
	}
	(void)fprintf(out, "<div class=\"verdict %s\"><b>%s</b> &mdash; %zu of %zu runs passed",
		worst, html_verdict_word(worst), passed, json_array_size(runs));
	html_in_words(out, runs);
	(void)fprintf(out, "</div>\n");
}

static void html_summary_row(FILE *out, const json_t *run, size_t index)
{
	const json_t *tcp = json_object_get(run, "tcp");
	const json_t *flows = json_object_get(run, "flows");
	const char *verdict = html_string(run, "verdict");

	(void)fprintf(out, "<tr><td><a href=\"#run%zu\">", index);
	html_chart_text(out, html_string(run, "scenario"));
	(void)fprintf(out, "</a></td><td>");
	html_badge(out, verdict);
	if (!verdict_is_measured(run)) {
		(void)fprintf(out, "</td><td colspan=\"5\"></td></tr>\n");
		return;
	}
	(void)fprintf(out,
		"</td><td class=\"n\">%.1f ms</td><td class=\"n\">%lld</td>"
		"<td class=\"n\">%lld of %lld</td><td class=\"n\">%lld of %lld</td>",
		html_number(run, "outage_ms"), html_count(json_object_get(run, "probes"), "lost"),
		html_count(tcp, "survived"), html_count(tcp, "total"),
		html_count(flows, "survived"), html_count(flows, "before"));
	/* On a running cluster nobody looks at the switch ports. */
	if (json_is_number(json_object_get(run, "dual_master_ms")))
		(void)fprintf(out, "<td class=\"n\">%.1f ms</td></tr>\n",
			html_number(run, "dual_master_ms"));
	else
		(void)fprintf(out, "<td class=\"n\">not seen</td></tr>\n");
}

static void html_summary(FILE *out, const json_t *runs)
{
	json_t *run;
	size_t i;

	(void)fprintf(out, "<div class=\"wide\"><table><thead><tr><th>scenario</th><th>verdict</th>"
			   "<th class=\"n\">outage</th><th class=\"n\">probes lost</th>"
			   "<th class=\"n\">TCP survived</th><th class=\"n\">flows survived</th>"
			   "<th class=\"n\">two masters</th></tr></thead><tbody>\n");
	json_array_foreach (runs, i, run)
		html_summary_row(out, run, i + 1);
	(void)fprintf(out, "</tbody></table></div>\n");
	(void)fprintf(out,
		"<h4>Outage of each scenario (bar) and what its objective allows (field)</h4>\n");
	html_chart_outages(out, runs);
}

static void html_tile(FILE *out, const char *value, const char *name)
{
	(void)fprintf(out, "<div class=\"tile\"><b>");
	html_chart_text(out, value);
	(void)fprintf(out, "</b><span>");
	html_chart_text(out, name);
	(void)fprintf(out, "</span></div>\n");
}

static void html_tiles(FILE *out, const json_t *run)
{
	const json_t *flows = json_object_get(run, "flows");
	const json_t *master = json_object_get(run, "master");
	char value[200];
	char name[200];

	(void)fprintf(out, "<div class=\"tiles\">\n");
	(void)snprintf(value, sizeof(value), "%.1f ms", html_number(run, "outage_ms"));
	(void)snprintf(name, sizeof(name), "outage (\u00b1%.1f), objective %.1f ms",
		html_number(run, "resolution_ms"), html_number(run, "objective_ms"));
	html_tile(out, value, name);
	(void)snprintf(
		value, sizeof(value), "%lld", html_count(json_object_get(run, "probes"), "lost"));
	(void)snprintf(name, sizeof(name), "probes lost of %lld",
		html_count(json_object_get(run, "probes"), "sent"));
	html_tile(out, value, name);
	(void)snprintf(value, sizeof(value), "%lld", html_count(flows, "survived"));
	(void)snprintf(
		name, sizeof(name), "connections survived of %lld", html_count(flows, "before"));
	html_tile(out, value, name);
	(void)snprintf(value, sizeof(value), "%s \u2192 %s", html_string(master, "before"),
		html_string(master, "after"));
	html_tile(
		out, value, html_string(run, "reason")[0] ? html_string(run, "reason") : "master");
	if (!json_is_number(json_object_get(run, "dual_master_ms"))) {
		(void)fprintf(out, "</div>\n");
		return;
	}
	(void)snprintf(value, sizeof(value), "%.1f ms", html_number(run, "dual_master_ms"));
	(void)snprintf(name, sizeof(name), "two masters; overlap of a hand-over %.1f ms",
		html_number(run, "overlap_ms"));
	html_tile(out, value, name);
	(void)fprintf(out, "</div>\n");
}

static void html_list(FILE *out, const json_t *run, const char *key, const char *class)
{
	const json_t *list = json_object_get(run, key);
	json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	(void)fprintf(out, "<ul class=\"%s\">\n", class);
	json_array_foreach (list, i, item) {
		(void)fprintf(out, "<li>");
		html_chart_text(out, json_string_value(item));
		(void)fprintf(out, "</li>\n");
	}
	(void)fprintf(out, "</ul>\n");
}

static void html_events(FILE *out, const json_t *run)
{
	json_t *item;
	size_t i;

	(void)fprintf(out, "<div class=\"wide\"><table><thead><tr><th class=\"n\">no.</th>"
			   "<th class=\"n\">after the fault</th><th>where</th><th>what</th></tr>"
			   "</thead><tbody>\n");
	json_array_foreach (json_object_get(run, "timeline"), i, item) {
		(void)fprintf(out, "<tr><td class=\"n\">%zu</td><td class=\"n\">%.2f ms</td><td>",
			i + 1, html_number(item, "at_ms"));
		html_chart_text(
			out, html_string(item, "node")[0] ? html_string(item, "node") : "traffic");
		(void)fprintf(out, "</td><td>");
		html_chart_text(out, html_string(item, "what"));
		(void)fprintf(out, "</td></tr>\n");
	}
	(void)fprintf(out, "</tbody></table></div>\n");
}

static void html_stream(FILE *out, const json_t *stream)
{
	(void)fprintf(out, "<tr><td class=\"free\">");
	html_chart_text(out, html_string(stream, "name"));
	if (!json_is_true(json_object_get(stream, "heard"))) {
		(void)fprintf(out,
			"</td><td colspan=\"3\"></td><td>not answered before the fault: the rules "
			"do not let it pass; not judged</td></tr>\n");
		return;
	}
	(void)fprintf(out,
		"</td><td class=\"n\">%.1f ms <small>\u00b1%.1f</small></td>"
		"<td class=\"n\">%lld</td><td class=\"n\">%lld</td><td>",
		html_number(stream, "outage_ms"), html_number(stream, "resolution_ms"),
		html_count(stream, "sent"), html_count(stream, "lost"));
	if (html_count(stream, "retried") > 0)
		(void)fprintf(out, "%lld of these by a retry", html_count(stream, "retried"));
	(void)fprintf(out, "</td></tr>\n");
}

static void html_streams(FILE *out, const json_t *run)
{
	const json_t *streams = json_object_get(run, "streams");
	json_t *stream;
	size_t i;

	if (json_array_size(streams) == 0)
		return;
	(void)fprintf(out,
		"<h4>Other probes</h4><div class=\"wide\"><table><thead><tr><th>what</th>"
		"<th class=\"n\">outage</th><th class=\"n\">sent</th>"
		"<th class=\"n\">lost</th><th></th></tr></thead><tbody>\n");
	json_array_foreach (streams, i, stream)
		html_stream(out, stream);
	(void)fprintf(out, "</tbody></table></div>\n");
}

static void html_previous(FILE *out, const json_t *run)
{
	const json_t *previous = json_object_get(run, "previous");
	double now = html_number(run, "outage_ms");
	double before = html_number(previous, "outage_ms");

	if (!json_is_object(previous))
		return;
	(void)fprintf(out, "<p>The drill before, ");
	html_chart_text(out, html_string(previous, "time"));
	(void)fprintf(out, ": ");
	html_badge(out, html_string(previous, "verdict"));
	(void)fprintf(out, " outage %.1f ms; now %+.1f ms. %s</p>\n", before, now - before,
		strcmp(html_string(previous, "config_fingerprint"),
			html_string(run, "config_fingerprint")) == 0
			? "The same config."
			: "<b>The config has changed since.</b>");
}

static void html_run(FILE *out, const json_t *runs, const json_t *run, size_t index)
{
	const char *verdict = html_string(run, "verdict");

	(void)fprintf(out, "<section id=\"run%zu\"><h2>", index);
	html_chart_text(out, html_string(run, "scenario"));
	(void)fputc(' ', out);
	html_badge(out, verdict);
	(void)fprintf(out, "</h2>\n<p>");
	html_chart_text(out, html_string(run, "description"));
	(void)fprintf(out, "</p>\n");
	html_list(out, run, "reasons", "why");
	if (!verdict_is_measured(run)) {
		(void)fprintf(out, "</section>\n");
		return;
	}
	html_tiles(out, run);
	html_previous(out, run);
	html_chart_histogram(out, runs, html_string(run, "scenario"));
	html_chart_split(out, run);
	(void)fprintf(out, "<h4>Timeline</h4>\n");
	html_chart_timeline(out, run);
	(void)fprintf(out, "</section>\n");
	html_events(out, run);
	html_streams(out, run);
	html_list(out, run, "notes", "soft");
}

/* Of several runs of one scenario the one whose outage is the longest, or that has failed, is
 * shown: nobody reads thirty timelines. */
static bool html_is_shown(const json_t *runs, size_t index)
{
	const json_t *own = json_array_get(runs, index);
	json_t *other;
	size_t i;

	json_array_foreach (runs, i, other) {
		bool failed = strcmp(html_string(other, "verdict"), "pass") != 0;
		bool own_failed = strcmp(html_string(own, "verdict"), "pass") != 0;
		double longer = html_number(other, "outage_ms") - html_number(own, "outage_ms");

		if (i == index ||
			strcmp(html_string(other, "scenario"), html_string(own, "scenario")) != 0)
			continue;
		if (failed != own_failed ? failed : longer > 0 || (longer >= 0 && i < index))
			return false;
	}
	return true;
}

static void html_foot(FILE *out, const json_t *document)
{
	const json_t *first = json_array_get(json_object_get(document, "runs"), 0);

	if (json_is_true(json_object_get(first, "live"))) {
		(void)fprintf(out,
			"<h2>How this was measured</h2>\n<p>The running cluster was handed over by "
			"plan, and back. A client host sent numbered UDP probes through it to a "
			"reflector behind it, talked on TCP connections and opened new ones; the "
			"outage is that of RFC 6414's time-stamp based method. Reason given: ");
		html_chart_text(out, html_string(first, "why"));
		(void)fprintf(out, "; by ");
		html_chart_text(out, html_string(first, "by"));
		(void)fprintf(out, ".</p>\n</main></body></html>\n");
		return;
	}
	(void)fprintf(out,
		"<h2>How this was measured</h2>\n"
		"<p>The cluster was rebuilt from its own config and rules in network namespaces "
		"of the machine named above, with the real daemons, and the faults were injected "
		"there. A stream of numbered UDP probes runs through the pair; the outage is "
		"that of RFC 6414's time-stamp based method: from the send times of the probes "
		"that were lost, within the resolution that stands beside it. A probe that the "
		"measuring machine itself sent late is no outage. Detect is the time from the "
		"fault until the standby had noticed it, decide until its promotion began, "
		"activate until the first announcement, learn until the new master forwarded its "
		"first probe. Two masters: how long two nodes "
		"answered for one virtual address, seen at the switch ports. Of several runs of a "
		"scenario the worst is shown.</p>\n<p class=\"soft\">Config fingerprint ");
	html_chart_text(out, html_string(document, "config_fingerprint"));
	(void)fprintf(out, "</p>\n</main></body></html>\n");
}

void html_write(FILE *out, const json_t *document)
{
	const json_t *runs = json_object_get(document, "runs");
	json_t *run;
	size_t i;

	html_head(out, document);
	html_verdict(out, runs);
	html_summary(out, runs);
	compare_html(out, runs);
	json_array_foreach (runs, i, run)
		if (html_is_shown(runs, i))
			html_run(out, runs, run, i + 1);
	html_foot(out, document);
}
