/* The guard's own side: see guard.h. Everything is opened before it reports ready. */
#include "carpd/guard_wire.h"

#include "carpd/addresses.h"
#include "carpd/port.h"
#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/realtime.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A kernel that does not answer is left alone after this long: the next step may still work. */
#define GUARD_ADDRESSES_MS 500
/* A feeding that is missed is looked at twice: after a pause of the whole machine carpd, which was
 * asleep too, gets the chance to say that it is awake. */
#define GUARD_SECOND_LOOK_US 1000

/* Its patience changes (a backup's is endless, a master's short): it is looked up this often. */
#define GUARD_LOOK_US 20000
/* How long carpd's last thread is waited for after its first has ended. */
#define GUARD_END_MS 2000

struct guard_tools {
	struct addresses_nl addresses;
	int sender_fd;
	uint32_t rules_count;
	struct rules_switch *rules[LIMIT_GROUPS];
};

static void guard_sleep_us(long us)
{
	struct timespec pause = {.tv_nsec = us * 1000};

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static void guard_withdraw(struct guard_tools *tools, const struct guard_table *table)
{
	mono_t deadline = mono_add(clock_now(), dur_ms(GUARD_ADDRESSES_MS));
	struct addresses_result result;

	if (addresses_remove(&tools->addresses, table->addresses, table->address_count, deadline,
		    &result) < 0)
		log_errorx("guard: %u addresses could not be withdrawn: %s", result.failed,
			strerror(-result.first_error));
	if (table->route_count > 0 && routes_remove(&tools->addresses, table->routes,
					      table->route_count, deadline, &result) < 0)
		log_errorx("guard: %u routes could not be removed: %s", result.failed,
			strerror(-result.first_error));
	if (table->device_count > 0 && devices_set(&tools->addresses, table->devices,
					       table->device_count, false, deadline, &result) < 0)
		log_errorx("guard: %u interfaces could not be set down: %s", result.failed,
			strerror(-result.first_error));
}

static void guard_standby_rules(struct guard_tools *tools)
{
	for (uint32_t i = 0; i < tools->rules_count; i++)
		(void)rules_switch_raise(tools->rules[i]);
	/* A packet between two hooks must not meet both changes (experiments, section 4c). */
	guard_sleep_us((long)RULES_DEMOTION_GAP_US + 100);
	for (uint32_t i = 0; i < tools->rules_count; i++)
		(void)rules_switch_lower(tools->rules[i]);
}

static void guard_resign(struct guard_tools *tools, const struct guard_table *table)
{
	uint8_t packet[FRAME_PACKET_MAX];

	for (uint32_t i = 0; i < table->lane_count; i++) {
		const struct guard_lane *lane = &table->lanes[i];
		const struct guard_path *path = &table->paths[lane->path];

		if (!(table->held_groups & 1u << lane->group) || path->ifindex == 0)
			continue;
		for (unsigned int k = 0; k < path->destination_count; k++) {
			const struct guard_destination *to = &path->destinations[k];
			size_t size = frame_ip_build(packet, sizeof(packet), &path->source,
				&to->address, 0, lane->bytes, lane->size_bytes);

			if (size > 0)
				(void)port_send(tools->sender_fd, path->ifindex,
					to->address.family == IPADDR_V4 ? ETH_P_IP : ETH_P_IPV6,
					to->mac, packet, size);
		}
	}
}

/* guard_wait_end: until carpd's last thread has ended: a call of an executor that was under way in
 * the kernel has then had its effect. */
static void guard_wait_end(const struct guard_child *child)
{
	struct pollfd ended = {.fd = child->carpd_pidfd, .events = POLLIN};

	(void)poll(&ended, 1, GUARD_END_MS);
}

static void guard_fire(
	const struct guard_child *child, struct guard_tools *tools, const char *why, bool is_dying)
{
	struct guard_shared *shared = child->shared;
	const struct guard_table *table;
	mono_t start = clock_now();

	atomic_store(&shared->has_fired, true);
	table = &shared->tables[atomic_load(&shared->current) & 1];
	guard_withdraw(tools, table);
	atomic_store(&shared->withdrawn_us, mono_diff(clock_now(), start).us);
	guard_standby_rules(tools);
	guard_resign(tools, table);
	atomic_store(&shared->is_done, true);
	log_warnx("guard: %s: %u addresses withdrawn in %lld us, all done in %lld us", why,
		table->address_count, (long long)atomic_load(&shared->withdrawn_us),
		(long long)mono_diff(clock_now(), start).us);
	if (!is_dying)
		return;
	guard_wait_end(child);
	guard_withdraw(tools, table);
	guard_standby_rules(tools);
}

/* guard_overdue: how long carpd's feeding is overdue; negative: how much time it has left. */
static int64_t guard_overdue_us(struct guard_shared *shared)
{
	int64_t timeout_us = atomic_load(&shared->timeout_us);
	int64_t fed_at_us = atomic_load(&shared->fed_at_us);

	if (timeout_us == INT64_MAX || fed_at_us == 0)
		return -1000000;
	return clock_now().us - fed_at_us - timeout_us;
}

static bool guard_holds(struct guard_shared *shared)
{
	return shared->tables[atomic_load(&shared->current) & 1].held_groups != 0;
}

/* guard_wait_life: until carpd's main thread ends (EOWNERDEAD), lets go (0), or the time is over
 * (ETIMEDOUT). */
static int guard_wait_life(struct guard_shared *shared, int64_t wait_us)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(wait_us / 1000000);
	until.tv_nsec += (long)(wait_us % 1000000 * 1000);
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return pthread_mutex_clocklock(&shared->life, CLOCK_MONOTONIC, &until);
}

/* guard_pause_us: until the feeding is overdue, but never so long that a change goes unnoticed. */
static int64_t guard_pause_us(struct guard_shared *shared, bool was_overdue)
{
	int64_t left_us = was_overdue ? 0 : -guard_overdue_us(shared);

	if (left_us > GUARD_LOOK_US)
		return GUARD_LOOK_US;
	return left_us < GUARD_SECOND_LOOK_US ? GUARD_SECOND_LOOK_US : left_us;
}

/* guard_watch: returns why it must fire, or NULL when carpd ended in order. */
static const char *guard_watch(const struct guard_child *child, bool *ret_is_dying)
{
	struct guard_shared *shared = child->shared;
	bool was_overdue = false;

	for (;;) {
		int r = guard_wait_life(shared, guard_pause_us(shared, was_overdue));

		*ret_is_dying = r != ETIMEDOUT;
		if (atomic_load(&shared->is_disarmed))
			return NULL;
		if (r == EOWNERDEAD)
			return "carpd is dead";
		if (r != ETIMEDOUT)
			return "carpd failed a check";
		if (!guard_holds(shared) || guard_overdue_us(shared) < 0) {
			was_overdue = false;
			continue;
		}
		if (was_overdue)
			return "carpd has not been awake in time";
		was_overdue = true;
	}
}

/* guard_keep_fds: everything else that was inherited is closed: sockets of carpd must not live on
 * in its guard (a client would wait for an answer for ever). */
static void guard_keep_fds(const struct guard_child *child)
{
	int keep[] = {STDERR_FILENO, child->carpd_pidfd, child->lock_fd};
	unsigned int from = 0;

	for (unsigned int i = 0; i < ARRAY_LEN(keep); i++)
		for (unsigned int k = i + 1; k < ARRAY_LEN(keep); k++)
			if (keep[k] < keep[i]) {
				int other = keep[i];

				keep[i] = keep[k];
				keep[k] = other;
			}
	for (unsigned int i = 0; i < ARRAY_LEN(keep); i++) {
		if ((unsigned int)keep[i] > from)
			(void)syscall(SYS_close_range, from, (unsigned int)keep[i] - 1, 0u);
		from = (unsigned int)keep[i] + 1;
	}
	(void)syscall(SYS_close_range, from, ~0u, 0u);
}

static int guard_open_tools(const struct guard_child *child, struct guard_tools *tools)
{
	int r = addresses_open(&tools->addresses);

	if (r < 0)
		return r;
	tools->sender_fd = port_open_sender();
	if (tools->sender_fd < 0)
		return tools->sender_fd;
	for (uint32_t i = 0; i < child->manifest_count; i++) {
		r = rules_switch_open(&child->manifests[i], &tools->rules[tools->rules_count]);
		if (r == 0)
			tools->rules_count++;
		else
			log_errorx("guard: rules of group %s: %s", child->manifests[i].group,
				strerror(-r));
	}
	return 0;
}

int guard_process_main(const struct guard_child *child)
{
	struct guard_tools tools = {.addresses = {.fd = -1}, .sender_fd = -1};
	char missing[REALTIME_TEXT_MAX];
	bool is_dying = false;
	const char *why;
	sigset_t all;
	int r;

	/* A manager's or a terminal's signals are carpd's: the guard goes when carpd tells it to.
	 */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_NAME, "carpd-guard");
	check_set_hook(NULL);
	guard_keep_fds(child);
	r = guard_open_tools(child, &tools);
	if (r < 0) {
		log_errorx("guard: %s", strerror(-r));
		return 1;
	}
	if (child->priority > 0)
		(void)realtime_enable(child->priority, missing); /* carpd has told already. */
	atomic_store(&child->shared->is_ready, true);
	why = guard_watch(child, &is_dying);
	if (why)
		guard_fire(child, &tools, why, is_dying);
	return 0;
}
