#include "carpd/links.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/evloop.h"
#include "common/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX	     (LIMIT_PATHS + 2 * LIMIT_INTERFACES + 2 * LIMIT_TRACKS) /* a reload has both */
#define LINKS_DUMP_MS	     2000
#define LINKS_EVENT_BYTES    (1u << 20)
#define LINKS_PROC_BYTES_MAX 65536u

struct links {
	struct links_options options;
	uint32_t count;
	struct links_entry entries[LINKS_MAX];
	uint8_t users[LINKS_MAX]; /* 0: a free place */
	bool is_known[LINKS_MAX]; /* it has been looked for */
	bool is_started;
	struct nl events;
	sd_event_source *source;
	/* The dump: its own sockets, on the executor's thread; `found` is read when it is done. */
	struct executor_job job;
	bool is_dump_wanted; /* something changed while a dump was running */
	uint32_t found_count;
	struct nl dump;
	struct addresses_nl dump_addresses;
	struct links_entry found[LINKS_MAX];
};

static void links_apply_flags(struct links_entry *entry, unsigned int flags)
{
	entry->is_up = (flags & IFF_UP) != 0;
	/* LOWER_UP is the wire, RUNNING the operational state (a dormant port carries nothing). */
	entry->has_carrier = (flags & IFF_LOWER_UP) && (flags & IFF_RUNNING);
}

static const char *links_message_name(const struct nlmsghdr *message)
{
	const struct nlattr *attr;

	mnl_attr_for_each (attr, message, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
			mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			return mnl_attr_get_str(attr);
	}
	return NULL;
}

/* links_found_link: one RTM_NEWLINK of the dump, for every entry that it concerns. */
static int links_found_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *body = mnl_nlmsg_get_payload(message);
	const char *name = links_message_name(message);
	struct links *links = context;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWLINK || !name)
		return 0;
	for (uint32_t i = 0; i < links->found_count; i++) {
		struct links_entry *entry = &links->found[i];

		if (entry->is_sync ? entry->ifindex != (uint32_t)body->ifi_index
				   : strcmp(entry->name, name) != 0)
			continue;
		entry->ifindex = (uint32_t)body->ifi_index;
		snprintf(entry->name, sizeof(entry->name), "%s", name);
		links_apply_flags(entry, body->ifi_flags);
		mnl_attr_for_each (attr, message, sizeof(*body)) {
			if (mnl_attr_get_type(attr) == IFLA_ADDRESS &&
				mnl_attr_get_payload_len(attr) == sizeof(entry->mac))
				memcpy(entry->mac, mnl_attr_get_payload(attr), sizeof(entry->mac));
		}
	}
	return 0;
}

/* links_found_sync: where the sync addresses are; before the links are read. */
static bool links_found_sync(void *context, const struct addresses_entry *address)
{
	struct links *links = context;

	for (uint32_t i = 0; i < links->found_count; i++)
		if (links->found[i].is_sync &&
			ipaddr_equal(&links->found[i].sync_address, &address->address))
			links->found[i].ifindex = address->ifindex;
	return true;
}

/* links_found_own: the node's own addresses, once the interfaces are known. */
static bool links_found_own(void *context, const struct addresses_entry *address)
{
	struct links *links = context;
	bool is_link_local = ipaddr_is_link_local(&address->address);

	if (links->options.is_managed(links->options.context, &address->address))
		return true;
	for (uint32_t i = 0; i < links->found_count; i++) {
		struct links_entry *entry = &links->found[i];
		struct ipaddr *own = address->address.family == IPADDR_V4 ? &entry->own_v4
				     : is_link_local			  ? &entry->link_local_v6
									  : &entry->own_v6;

		if (entry->ifindex == address->ifindex && own->family == IPADDR_NONE)
			*own = address->address;
	}
	return true;
}

/* links_dump_prepare: what to look for; the thread reads nothing else of ours. */
static void links_dump_prepare(struct links *links)
{
	links->found_count = links->count;
	for (uint32_t i = 0; i < links->count; i++) {
		struct links_entry *entry = &links->found[i];

		*entry = (struct links_entry){
			.is_sync = links->entries[i].is_sync,
			.sync_address = links->entries[i].sync_address,
		};
		/* Names of sync addresses' interfaces are found. */
		if (!entry->is_sync)
			memcpy(entry->name, links->entries[i].name, sizeof(entry->name));
	}
}

static void links_dump_run(struct executor_job *job)
{
	struct links *links = (struct links *)(void *)((char *)job - offsetof(struct links, job));
	mono_t deadline = mono_add(clock_now(), dur_ms(LINKS_DUMP_MS));
	char buffer[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	job->result = addresses_each(&links->dump_addresses, deadline, links_found_sync, links);
	if (job->result < 0)
		return;
	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_DUMP;
	((struct ifinfomsg *)mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg)))
		->ifi_family = AF_UNSPEC;
	job->result = nl_dump(&links->dump, request, deadline, links_found_link, links);
	if (job->result < 0)
		return;
	job->result = addresses_each(&links->dump_addresses, deadline, links_found_own, links);
}

static void links_dump_post(struct links *links)
{
	links->is_dump_wanted = executor_job_busy(&links->job);
	if (links->is_dump_wanted)
		return;
	links_dump_prepare(links);
	if (!executor_post(links->options.executor, &links->job))
		CHECK(false);
}

/* links_adopt: what the dump found becomes what is known; changes are told. */
static void links_adopt(struct links *links)
{
	for (uint32_t i = 0; i < links->found_count; i++) {
		struct links_entry old = links->entries[i];

		bool was_known = links->is_known[i];

		/* The place was given to another interface meanwhile: the next dump is its own. */
		if (links->users[i] == 0 ||
			(!old.is_sync && strcmp(old.name, links->found[i].name) != 0))
			continue;
		links->is_known[i] = true;
		if (was_known && memcmp(&old, &links->found[i], sizeof(old)) == 0)
			continue;
		links->entries[i] = links->found[i];
		links->options.on_change(links->options.context, i, &old);
	}
}

static void links_dump_done(struct executor_job *job)
{
	struct links *links = (struct links *)(void *)((char *)job - offsetof(struct links, job));
	bool again = links->is_dump_wanted || job->result == -EINTR;

	if (job->result == 0)
		links_adopt(links);
	else if (job->result != -EINTR)
		log_warnx("interfaces: dump: %s", strerror(-job->result));
	links->is_dump_wanted = false;
	if (again)
		links_dump_post(links);
}

/* links_event_link: carrier and state at once, without waiting for the dump. */
static void links_event_link(struct links *links, const struct nlmsghdr *message)
{
	const struct ifinfomsg *body = mnl_nlmsg_get_payload(message);
	bool is_gone = message->nlmsg_type == RTM_DELLINK;

	for (uint32_t i = 0; i < links->count; i++) {
		struct links_entry *entry = &links->entries[i];
		struct links_entry old = *entry;

		if (entry->ifindex == 0 || entry->ifindex != (uint32_t)body->ifi_index)
			continue;
		if (is_gone) {
			entry->ifindex = 0;
			entry->is_up = false;
			entry->has_carrier = false;
		} else {
			links_apply_flags(entry, body->ifi_flags);
		}
		if (memcmp(&old, entry, sizeof(old)) != 0)
			links->options.on_change(links->options.context, i, &old);
	}
}

/* links_event_is_ours: whether a change of this interface could concern an entry. */
static bool links_event_is_ours(const struct links *links, const struct nlmsghdr *message)
{
	const struct ifinfomsg *body = mnl_nlmsg_get_payload(message);
	const char *name = links_message_name(message);

	for (uint32_t i = 0; i < links->count; i++)
		if (links->entries[i].ifindex == (uint32_t)body->ifi_index ||
			(name && strcmp(links->entries[i].name, name) == 0))
			return true;
	return false;
}

struct links_event {
	struct links *links;
	bool is_dump_needed;
};

/* links_event_managed: a virtual address is gone, or not usable as we had added it. */
static void links_event_managed(
	struct links *links, const struct nlmsghdr *message, const struct ipaddr *address)
{
	const struct ifaddrmsg *body = mnl_nlmsg_get_payload(message);
	struct addresses_entry entry = {.ifindex = body->ifa_index, .address = *address};
	uint32_t flags = body->ifa_flags;
	const struct nlattr *attr;

	mnl_attr_for_each (attr, message, sizeof(*body)) {
		if (mnl_attr_get_type(attr) == IFA_FLAGS &&
			mnl_attr_get_payload_len(attr) == sizeof(flags))
			flags = mnl_attr_get_u32(attr);
	}
	entry.address.prefix_len = body->ifa_prefixlen;
	if (message->nlmsg_type == RTM_DELADDR)
		links->options.on_managed(links->options.context, &entry, LINKS_MANAGED_GONE);
	else if (flags & IFA_F_DADFAILED ||
		 (flags & IFA_F_TENTATIVE && !(flags & IFA_F_OPTIMISTIC) && !(flags & IFA_F_NODAD)))
		links->options.on_managed(links->options.context, &entry, LINKS_MANAGED_DUPLICATE);
}

static void links_event_address(struct links_event *event, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *body = mnl_nlmsg_get_payload(message);
	struct links *links = event->links;
	const struct nlattr *attr;
	struct ipaddr address = {.family = body->ifa_family == AF_INET ? IPADDR_V4 : IPADDR_V6};

	mnl_attr_for_each (attr, message, sizeof(*body)) {
		if (mnl_attr_get_type(attr) ==
				(body->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS) &&
			mnl_attr_get_payload_len(attr) == ipaddr_size_bytes(&address))
			memcpy(address.bytes, mnl_attr_get_payload(attr),
				ipaddr_size_bytes(&address));
	}
	/* Our own renewals come back as events every second: they change nothing here. */
	if (!links->options.is_managed(links->options.context, &address))
		event->is_dump_needed = true;
	else
		links_event_managed(links, message, &address);
}

static void on_event_message(const struct nlmsghdr *message, void *context)
{
	struct links_event *event = context;
	size_t size_bytes = mnl_nlmsg_get_payload_len(message);

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (size_bytes < sizeof(struct ifinfomsg))
			return;
		if (!links_event_is_ours(event->links, message))
			return;
		links_event_link(event->links, message);
		event->is_dump_needed = true;
		return;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (size_bytes >= sizeof(struct ifaddrmsg))
			links_event_address(event, message);
		return;
	default:
		return;
	}
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct links *links = context;
	struct links_event event = {.links = links};
	ssize_t r;

	(void)source;
	(void)fd;
	(void)revents;
	for (unsigned int i = 0; i < 16; i++) {
		r = nl_receive(&links->events, on_event_message, &event);
		if (r == -ENOBUFS) {
			event.is_dump_needed = true;
			continue;
		}
		if (r <= 0)
			break;
	}
	if (event.is_dump_needed)
		links_dump_post(links);
	return 0;
}

int links_open(struct links **ret_links, const struct links_options *options)
{
	struct nl_options events = {
		.bus = NETLINK_ROUTE,
		.groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
		.receive_bytes = LINKS_EVENT_BYTES,
	};
	struct nl_options requests = {.bus = NETLINK_ROUTE};
	struct links *links = calloc(1, sizeof(*links));
	int r;

	if (!links)
		return -ENOMEM;
	links->options = *options;
	links->job.run = links_dump_run;
	links->job.done = links_dump_done;
	links->dump_addresses.fd = -1;
	r = nl_open(&links->events, &events);
	if (r == 0)
		r = nl_open(&links->dump, &requests);
	if (r == 0)
		r = addresses_open(&links->dump_addresses);
	if (r < 0) {
		links_close(links);
		return r;
	}
	*ret_links = links;
	return 0;
}

void links_close(struct links *links)
{
	if (!links)
		return;
	sd_event_source_disable_unref(links->source);
	nl_close(&links->events);
	nl_close(&links->dump);
	addresses_close(&links->dump_addresses);
	free(links);
}

/* links_place: a free place; CHECKed: LINKS_MAX is all that a config may name. */
static uint32_t links_place(struct links *links)
{
	uint32_t index = 0;

	while (index < links->count && links->users[index] > 0)
		index++;
	CHECK(index < LINKS_MAX);
	if (index == links->count)
		links->count++;
	links->entries[index] = (struct links_entry){0};
	links->users[index] = 1;
	links->is_known[index] = false;
	return index;
}

uint32_t links_add_interface(struct links *links, const char *name)
{
	uint32_t index;

	for (index = 0; index < links->count; index++)
		if (links->users[index] > 0 && !links->entries[index].is_sync &&
			strcmp(links->entries[index].name, name) == 0) {
			links->users[index]++;
			return index;
		}
	index = links_place(links);
	snprintf(links->entries[index].name, IF_NAMESIZE, "%s", name);
	if (links->is_started)
		links_dump_post(links);
	return index;
}

void links_release(struct links *links, uint32_t index)
{
	CHECK(index < links->count && links->users[index] > 0);
	if (--links->users[index] == 0)
		links->entries[index] = (struct links_entry){0};
}

uint32_t links_add_sync(struct links *links, const struct ipaddr *address)
{
	uint32_t index = links_place(links);

	links->entries[index].is_sync = true;
	links->entries[index].sync_address = *address;
	return index;
}

int links_start(struct links *links)
{
	int r;

	for (unsigned int tries = 0; tries < 5; tries++) {
		links_dump_prepare(links);
		links_dump_run(&links->job);
		if (links->job.result != -EINTR)
			break;
	}
	if (links->job.result < 0)
		return links->job.result;
	memcpy(links->entries, links->found, sizeof(links->entries));
	for (uint32_t i = 0; i < links->count; i++)
		links->is_known[i] = true;
	r = sd_event_add_io(links->options.event, &links->source, nl_fd(&links->events), EPOLLIN,
		on_events, links);
	if (r < 0)
		return r;
	(void)sd_event_source_set_priority(links->source, EVLOOP_PRIORITY_NORMAL);
	links->is_started = true;
	return 0;
}

const struct links_entry *links_get(const struct links *links, uint32_t index)
{
	CHECK(index < links->count);
	return &links->entries[index];
}

bool links_is_known(const struct links *links, uint32_t index)
{
	return links->is_known[index];
}

bool links_received(const char *name, uint64_t *ret_packets)
{
	static const char path[] = "/proc/thread-self/net/dev";
	char *text = malloc(LINKS_PROC_BYTES_MAX), *line;
	size_t used = 0, name_length = strlen(name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool found = false;
	ssize_t size = 0;

	while (text && fd >= 0 && used < LINKS_PROC_BYTES_MAX - 1 &&
		(size = read(fd, text + used, LINKS_PROC_BYTES_MAX - 1 - used)) > 0)
		used += (size_t)size;
	if (fd >= 0)
		close(fd);
	if (text)
		text[used] = '\0';
	for (line = text; line && !found; line = strchr(line, '\n')) {
		unsigned long long packets;

		line += strspn(line, "\n ");
		if (strncmp(line, name, name_length) != 0 || line[name_length] != ':')
			continue;
		/* Receive: bytes, then packets. */
		if (sscanf(line + name_length + 1, "%*u %llu", &packets) == 1) {
			*ret_packets = packets;
			found = true;
		}
	}
	free(text);
	return found;
}
