/* liberal: nf_conntrack_tcp_be_liberal=1 while both nodes of a hand-over forward.
 *
 * Each sees only one direction of some flows meanwhile; strict window tracking would call packets
 * INVALID and hang connections (facts/experiments.md section 7). The operator's own value comes
 * back when the overlap is over, also after a crash in it: RUNTIME/liberal keeps that value while
 * it is changed. The sysctl belongs to the network namespace: groups share it by counting. */
#include "carpd/node.h"

#include "common/io/log.h"
#include "common/io/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIBERAL_NAME "net/netfilter/nf_conntrack_tcp_be_liberal"

static void liberal_path(const struct node *node, char *path, size_t size_bytes)
{
	snprintf(path, size_bytes, "%s/liberal", node->options->runtime_dir);
}

/* liberal_note: a few bytes in the runtime directory (a tmpfs: nothing waits for a disk). */
static void liberal_note(const struct node *node, int64_t value)
{
	char path[OPTIONS_PATH_MAX + 16], text[32];
	int fd, length;

	liberal_path(node, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	length = snprintf(text, sizeof(text), "%lld\n", (long long)value);
	(void)!write(fd, text, (size_t)length);
	close(fd);
}

void liberal_restore(struct node *node)
{
	char path[OPTIONS_PATH_MAX + 16];
	int r;

	if (node->liberal_before < 0)
		return;
	r = sysctl_write(LIBERAL_NAME, node->liberal_before);
	if (r < 0)
		log_warnx("%s: %s", LIBERAL_NAME, strerror(-r));
	node->liberal_before = -1;
	liberal_path(node, path, sizeof(path));
	(void)unlink(path);
}

void liberal_set(struct node *node, uint8_t index, bool on)
{
	struct node_group *group = &node->groups[index];
	int64_t value;
	int r;

	if (on == (group->liberal_count > 0))
		return;
	group->liberal_count = on;
	node->liberal_count += on ? 1u : -1u;
	if (!on && node->liberal_count == 0)
		liberal_restore(node);
	if (!on || node->liberal_before >= 0)
		return;
	r = sysctl_read(LIBERAL_NAME, &value);
	if (r == 0 && value == 0) {
		liberal_note(node, value);
		r = sysctl_write(LIBERAL_NAME, 1);
		node->liberal_before = value;
	}
	/* Without the module there is nothing to be liberal about. */
	if (r < 0 && r != -ENOENT)
		log_warnx("%s: %s", LIBERAL_NAME, strerror(-r));
}

void liberal_recover(struct node *node)
{
	char path[OPTIONS_PATH_MAX + 16], text[32] = "";
	ssize_t size;
	int fd;

	liberal_path(node, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size > 0 && text[0] >= '0' && text[0] <= '1' && text[1] == '\n') {
		node->liberal_before = text[0] - '0';
		liberal_restore(node);
		log_notice("TCP liberality of an earlier hand-over: taken back");
	}
	(void)unlink(path);
}
