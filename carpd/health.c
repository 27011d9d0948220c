/* health: an interface's own test (design section 6, "one path silent").
 *
 * The core asks when a group interface is silent while its peer lives elsewhere. Carrier is known
 * already; here three ARP or neighbour solicitations, 50 ms apart, go to each target: the config's
 * `probe` addresses, else the gateways of the routes through the interface, and the neighbours last
 * seen on it. One answer, or anything at all that the interface received meanwhile, and it has
 * passed. An interface where nobody was ever seen and nobody is to be asked cannot be tested: it
 * passes as long as it has carrier.
 *
 * The gateways are read when a test begins, by the executor that may also wait for a disk: the
 * address changes of a promotion must not queue behind the walk over a large route table. A test
 * does not wait for it longer than HEALTH_GATEWAYS_MS: then the gateways of the last one do. */
#include "carpd/node.h"

#include "common/check.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <linux/if_ether.h>
#include <string.h>

#define HEALTH_ROUNDS	   3u
#define HEALTH_SPACING_MS  50
#define HEALTH_GATEWAYS_MS 10
#define HEALTH_READ_MS	   2000

static void health_report(struct node_path *path, bool passed, const char *why)
{
	struct election_event event = {
		.type = ELECTION_EVENT_TESTED, .path = path->index, .passed = passed};

	path->probe.is_running = false;
	evloop_timer_set(&path->probe.timer, MONO_NEVER);
	log_info("%s: own test %s: %s", path->config->name, passed ? "passed" : "failed", why);
	node_event(path->node, &event);
}

/* health_targets: whom to ask. */
static void health_targets(struct node_path *path)
{
	const struct config_interface *interface = path->config->interface;
	struct node_probe *probe = &path->probe;

	probe->target_count = 0;
	for (uint8_t i = 0; i < interface->probe_count; i++)
		probe->targets[probe->target_count++] = interface->probes[i];
	if (interface->probe_count > 0)
		return;
	/* A backup does not have the group's own routes, but knows through whom they lead. */
	for (uint32_t i = 0; i < interface->route_count; i++)
		if (interface->routes[i].via.family != IPADDR_NONE)
			gateways_add(&path->gateways, &interface->routes[i].via);
	for (uint32_t i = 0; i < path->gateways.count; i++)
		probe->targets[probe->target_count++] = path->gateways.list[i];
	for (unsigned int i = 0; i < path->neighbour_count; i++)
		probe->targets[probe->target_count++] = path->neighbours[i].neighbour.address;
}

static void health_ask(struct node_path *path, const struct ipaddr *targets, unsigned int count)
{
	const struct links_entry *link = node_path_link(path);
	uint8_t arp[FRAME_ARP_BYTES], solicitation[FRAME_ND_BYTES], group[FRAME_MAC_BYTES];
	/* A zero sender claims nothing (RFC 5227): right on an interface without own addresses. */
	struct ipaddr sender = link->own_v4;

	for (unsigned int i = 0; i < count; i++) {
		const struct ipaddr *target = &targets[i];

		if (target->family == IPADDR_V4) {
			frame_arp_probe(arp, link->mac, &sender, target);
			(void)port_send(path->port.fd, link->ifindex, ETH_P_ARP, port_broadcast,
				arp, sizeof(arp));
		} else if (link->link_local_v6.family == IPADDR_V6) {
			frame_nd_solicit(
				solicitation, link->mac, &link->link_local_v6, target, group);
			(void)port_send(path->port.fd, link->ifindex, ETH_P_IPV6, group,
				solicitation, sizeof(solicitation));
		}
	}
}

static bool health_received(const struct node_path *path)
{
	uint64_t now = 0;

	return links_received(node_path_link(path)->name, &now) &&
	       now != path->probe.received_before;
}

static void health_judge(struct node_path *path)
{
	struct node_probe *probe = &path->probe;

	if (!links_entry_alive(node_path_link(path)) || path->port.fd < 0) {
		health_report(path, false, "no carrier");
		return;
	}
	if (probe->round > 0 && (probe->answered || health_received(path))) {
		health_report(path, true, probe->answered ? "a neighbour answered" : "it receives");
		return;
	}
	if (probe->round == 0 && path->config->kind == CONFIG_PATH_INTERFACE)
		health_targets(path);
	if (probe->round == HEALTH_ROUNDS) {
		health_report(path, false, "nothing received, and no probe answered");
		return;
	}
	if (probe->target_count == 0) {
		health_report(path, true, "carrier, and nobody to ask");
		return;
	}
	health_ask(path, probe->targets, probe->target_count);
	probe->round++;
	evloop_timer_set(&probe->timer, mono_add(clock_now(), dur_ms(HEALTH_SPACING_MS)));
}

static void on_probe(void *context)
{
	health_judge(context);
}

/* --- gateways ---------------------------------------------------------------------------------
 */

static void health_gateways_run(struct executor_job *base)
{
	struct node_gateways_job *job = (struct node_gateways_job *)(void *)base;

	base->result = gateways_read(&job->path->node->routes, job->ifindex,
		mono_add(clock_now(), dur_ms(HEALTH_READ_MS)), &job->found);
}

static void health_gateways_done(struct executor_job *base)
{
	struct node_gateways_job *job = (struct node_gateways_job *)(void *)base;
	struct node_path *path = job->path;

	if (base->result < 0)
		log_warnx("%s: reading routes: %s", path->config->name, strerror(-base->result));
	else
		path->gateways = job->found;
	if (path->probe.is_running && path->probe.round == 0)
		evloop_timer_set(&path->probe.timer, clock_now());
}

/* health_gateways_ask: true when an answer will come. */
static bool health_gateways_ask(struct node_path *path)
{
	struct node_gateways_job *job = &path->gateways_job;

	if (path->config->kind != CONFIG_PATH_INTERFACE ||
		path->config->interface->probe_count > 0 || executor_job_busy(&job->job))
		return false;
	job->ifindex = node_path_link(path)->ifindex;
	return job->ifindex != 0 && executor_post(path->node->disk_executor, &job->job);
}

/* --- the test --------------------------------------------------------------------------------- */

void health_start(struct node_path *path)
{
	struct node_probe *probe = &path->probe;
	mono_t now = clock_now();

	if (!path->is_used || probe->is_running)
		return;
	probe->is_running = true;
	probe->round = 0;
	probe->answered = false;
	probe->received_before = 0;
	(void)!links_received(node_path_link(path)->name, &probe->received_before);
	probe->target_count = 0;
	/* From the loop, never from within the step that asked. */
	evloop_timer_set(&probe->timer,
		health_gateways_ask(path) ? mono_add(now, dur_ms(HEALTH_GATEWAYS_MS)) : now);
}

void health_ask_neighbours(struct node_path *path)
{
	if (!path->is_used || path->port.fd < 0 || !links_entry_alive(node_path_link(path)))
		return;
	health_ask(path, path->config->interface->probes, path->config->interface->probe_count);
	health_ask(path, path->gateways.list, path->gateways.count);
	for (unsigned int i = 0; i < path->neighbour_count; i++)
		health_ask(path, &path->neighbours[i].neighbour.address, 1);
}

void health_heard(struct node_path *path, const struct frame_neighbour *neighbour)
{
	struct node_neighbour *oldest = &path->neighbours[0];
	unsigned int i;

	if (path->probe.is_running && neighbour->is_answer)
		path->probe.answered = true;
	if (node_is_managed(path->node, &neighbour->address))
		return;
	for (i = 0; i < path->neighbour_count; i++) {
		if (ipaddr_equal(&path->neighbours[i].neighbour.address, &neighbour->address)) {
			oldest = &path->neighbours[i];
			break;
		}
		if (path->neighbours[i].seen_at.us < oldest->seen_at.us)
			oldest = &path->neighbours[i];
	}
	if (i == path->neighbour_count && i < CARPD_NEIGHBOURS_MAX)
		oldest = &path->neighbours[path->neighbour_count++];
	oldest->neighbour = *neighbour;
	oldest->seen_at = clock_now();
}

int health_open(struct node_path *path)
{
	path->gateways_job = (struct node_gateways_job){
		.job = {.run = health_gateways_run, .done = health_gateways_done},
		.path = path,
	};
	return evloop_timer_open(
		&path->probe.timer, path->node->event, EVLOOP_PRIORITY_DEADLINE, on_probe, path);
}

void health_close(struct node_path *path)
{
	evloop_timer_close(&path->probe.timer);
}
