#include "common/io/caps.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static void caps_limit_note(char *missing, int capability)
{
	const char *name = capng_capability_to_name((unsigned int)capability);
	size_t used = strlen(missing);

	snprintf(missing + used, CAPS_TEXT_MAX - used, "%s%s", used ? " " : "",
		name ? name : "unknown");
}

int caps_limit(const int *keep, size_t keep_count, char missing[static CAPS_TEXT_MAX])
{
	unsigned int held[CAP_LAST_CAP + 1];
	size_t held_count = 0;
	int missing_count = 0;
	capng_select_t select = CAPNG_SELECT_CAPS;

	missing[0] = 0;
	if (capng_get_caps_process() < 0)
		return -EIO;
	for (size_t i = 0; i < keep_count; i++) {
		if (capng_have_capability(CAPNG_PERMITTED, (unsigned int)keep[i])) {
			held[held_count++] = (unsigned int)keep[i];
			continue;
		}
		caps_limit_note(missing, keep[i]);
		missing_count++;
	}
	/* Only who holds CAP_SETPCAP may shrink the bounding set; no_new_privs makes it moot. */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		select = CAPNG_SELECT_BOTH;
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < held_count; i++)
		(void)capng_update(
			CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, held[i]);
	if (capng_apply(select) != 0)
		return -EPERM;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return missing_count;
}

bool caps_has(int capability)
{
	if (capng_get_caps_process() < 0)
		return false;
	return capng_have_capability(CAPNG_EFFECTIVE, (unsigned int)capability) != 0;
}
