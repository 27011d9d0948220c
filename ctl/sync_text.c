#include "ctl/sync_text.h"

#include "ctl/field.h"
#include "ctl/words.h"

#include <string.h>

static void sync_text_groups(FILE *out, const json_t *groups)
{
	const json_t *group;
	size_t index;

	/* With one group the line above says it all. */
	if (json_array_size(groups) < 2)
		return;
	json_array_foreach (groups, index, group) {
		fputs("  group ", out);
		field_print(out, field_text(group, "group"), 0);
		fputs(": ", out);
		field_print(out, field_text(group, "role"), 0);
		fputc('\n', out);
	}
}

static void sync_text_peer(FILE *out, const json_t *peer)
{
	double lag_ms = field_number(peer, "lag_ms", -1);

	fputs("  peer ", out);
	field_print(out, field_text(peer, "node"), 0);
	if (!field_bool(peer, "connected", false)) {
		fputs(": NOT CONNECTED", out);
		if (*field_text(peer, "error")) {
			fputs(": ", out);
			field_print(out, field_text(peer, "error"), 4);
		}
		fputc('\n', out);
		return;
	}
	fprintf(out, ": connected, %s",
		field_bool(peer, "in_sync", false) ? "in sync" : "NOT IN SYNC");
	if (*field_text(peer, "address")) {
		fputs(", by ", out);
		field_print(out, field_text(peer, "address"), 0);
	}
	if (lag_ms >= 0)
		fprintf(out, ", lag %.1f ms", lag_ms);
	fprintf(out, ", %.0f unacknowledged\n", field_number(peer, "unacked", 0));
}

void sync_text_render(FILE *out, const json_t *sync)
{
	const json_t *peer, *reasons;
	size_t index;

	if (!sync)
		return;
	if (!json_is_object(sync)) {
		fputs("sync: syncd DOES NOT ANSWER\n", out);
		return;
	}
	fprintf(out, "sync: %s, %.0f flows\n",
		field_is(sync, "role", "active") ? "active (this node's kernel is the source)"
						 : "standby (this node's kernel holds copies)",
		field_number(sync, "flows", 0));
	sync_text_groups(out, field_list(sync, "groups"));
	reasons = field_list(sync, "not_ready");
	if (json_array_size(reasons) > 0) {
		fputs("  NOT READY: ", out);
		field_print_list(out, reasons);
		fputc('\n', out);
	}
	json_array_foreach (field_list(sync, "peers"), index, peer) {
		sync_text_peer(out, peer);
	}
}
