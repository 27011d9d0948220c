/* measure.h: what one run has shown, gathered from probes, taps and histories on one clock. */
#ifndef CTL_DRILL_MEASURE_H
#define CTL_DRILL_MEASURE_H

#include "ctl/drill/cluster.h"
#include "ctl/drill/outage.h"
#include "ctl/drill/probes.h"
#include "ctl/drill/scenario.h"

#include <jansson.h>
#include <stdint.h>

#define MEASURE_WHY_MAX	    256u
#define MEASURE_STREAMS_MAX (2 * PLAN_PAIRS_MAX + PING_TARGETS_MAX)

enum measure_stream_kind {
	MEASURE_STREAM_UDP,	/* of another group or family */
	MEASURE_STREAM_CONNECT, /* new connections (dial.h) */
	MEASURE_STREAM_PING,	/* a virtual address (ping.h) */
	MEASURE_STREAM_KIND_COUNT,
};

/* Judged by the same measure as the UDP stream, when it was answered before the fault. */
struct measure_stream {
	enum measure_stream_kind kind;
	const struct plan_pair *pair;
	bool server_side; /* a ping: of the server's side */
	bool heard;	  /* one of its probes had come back before the fault */
	struct outage outage;
	uint32_t retried; /* new connections: lost, but established by a later SYN */
};

/* Instants on the drill's axis (tick.h), 0 when it did not happen. */
struct measure {
	const struct scenario *scenario;
	const struct scenario_objectives *objectives; /* or NULL */
	const char *group;
	int old_master; /* node indexes; CLUSTER_NOBODY */
	int new_master;
	int64_t fault_at;
	int64_t probes_from_at; /* probes sent earlier do not count; 0: all do */
	int64_t fault_done_at;	/* when the last step had returned (a hand-over's duration) */
	struct outage udp;
	unsigned int stream_count;
	struct measure_stream streams[MEASURE_STREAMS_MAX]; /* everything but the UDP stream */
	uint64_t duplicate_count;
	int64_t period_ns;
	uint32_t flows_before; /* fillers and TCP connections */
	uint32_t flows_survived;
	int64_t flows_synced; /* in the standbys' tables just before the fault, the fewest; below 0:
			       * not known */
	json_t *adverts_dropped;    /* {NODE: {REASON: count}} of who lives at the end; owned */
	json_t *rules;		    /* {NODE: {GROUP: fingerprint}}, likewise; owned */
	int64_t dual_ns;	    /* two answered for one address, worst address */
	int64_t old_silent_at;	    /* last claim of the old master */
	int64_t new_answers_at;	    /* first claim of the new master on the last address */
	int64_t announced_at;	    /* its first announcement */
	int64_t first_forward_at;   /* first probe that the new master forwarded */
	int64_t transition_from_at; /* history: promotion begun */
	int64_t transition_to_at;   /* history: promotion done */
	json_t *transition;	    /* the new master's record of it; owned */
	uint64_t tap_lost_count;
	int64_t dual_from_at;	/* two answering before this does not count; 0: from the fault */
	int64_t steps_done_at;	/* the last step has taken effect */
	int64_t ready_again_at; /* everybody was seen ready after that */
	char not_ready[MEASURE_WHY_MAX]; /* when nobody was: what was wrong at the end */
	int64_t alarm_at;		 /* the scenario's alarm was seen */
	unsigned int promotion_count;	 /* of all nodes, from the fault on */
	json_t *alarms;			 /* array of {at_ms, node, code}: first sights; owned */
	json_t *timeline;		 /* array of {at_ms, node, what}: owned */
	json_t *complaints; /* array of sentences: what a step should have done and did not; owned
			     */
};

/* measure_taps, measure_udp: fill in what the probes have, after probes_end(). */
void measure_udp(struct measure *measure, const struct probes *probes);
void measure_taps(struct measure *measure, const struct probes *probes);

/* measure_history: the first transition to master in the new master's history after the fault;
 * `wall_offset` as of tick_wall_offset(). Takes a reference. */
void measure_history(struct measure *measure, const json_t *history, int64_t wall_offset);

/* measure_parse_time: "2026-01-01T00:00:00.000000Z" as nanoseconds since 1970, 0 when it is none.
 */
int64_t measure_parse_time(const char *text);

void measure_fini(struct measure *measure);

#endif
