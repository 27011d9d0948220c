/* session.h: one peer, seen from this node: the conversation of doc/protocol-sync.md.
 *
 *   IDLE --opened--> HELLO --their HELLO--> LIVE --closed, dead, broken--> IDLE
 *
 * Both directions are alike. As a source a session tells the peer its role in each group, answers
 * WANT with a full transfer (BEGIN, every flow that the peer does not know, END), COMPARE with
 * digests and then what differs (compare.h), and between these tells live changes; bulk and live
 * take turns, so that neither starves the other. As a standby it asks once per source and turn of
 * roles, and compares again every SYNC_COMPARE_MS; it hands records to the engine, and acknowledges
 * what our kernel has taken. Each side PINGs when it has been silent, and takes the
 * other for dead after SYNC_DEAD_MS without a byte.
 *
 * Pure: bytes in by session_step(), bytes out by session_fill(), time in the event. */
#ifndef SYNCD_CORE_SESSION_H
#define SYNCD_CORE_SESSION_H

#include "common/mono.h"
#include "common/syncmsg.h"
#include "common/wbuf.h"
#include "syncd/core/compare.h"
#include "syncd/core/engine.h"
#include "syncd/core/verify.h"

enum session_state {
	SESSION_STATE_IDLE = 0,
	SESSION_STATE_HELLO,
	SESSION_STATE_LIVE,
	SESSION_STATE_COUNT,
};

enum session_error {
	SESSION_OK = 0,
	SESSION_DEAD, /* nothing heard for SYNC_DEAD_MS */
	SESSION_HELLO_LATE,
	SESSION_WRONG_CLUSTER,
	SESSION_WRONG_NODE,  /* another node than the channel was opened for */
	SESSION_UNEXPECTED,  /* a message that its state does not allow */
	SESSION_BAD_ACK,     /* acknowledges what was never sent */
	SESSION_BAD_MESSAGE, /* see syncmsg_error in the update */
	SESSION_ERROR_COUNT,
};

enum session_event_type {
	SESSION_EVENT_OPENED, /* the channel is authenticated and up */
	SESSION_EVENT_BYTES,
	SESSION_EVENT_TIMER,
	SESSION_EVENT_CLOSED,
};

struct session_event {
	enum session_event_type type;
	mono_t now;
	const uint8_t *data; /* BYTES: borrowed */
	size_t size_bytes;
};

/* What an event brought about. */
struct session_update {
	enum session_error error; /* not SESSION_OK: close the channel, then send CLOSED */
	enum syncmsg_error message_error;
	size_t consumed_bytes; /* of BYTES: the rest is an incomplete message; give it again */
	bool went_live;
	bool claims_changed;	  /* a peer's role: readiness may have changed */
	uint32_t transfers_ended; /* groups (bit mask) */
	bool compared;		  /* the transfer was of what differed alone */
	uint32_t differing;	  /* then: buckets */
	uint32_t swept_count;
	uint32_t tails_ended; /* groups */
};

struct session_mark {
	uint64_t position;
	mono_t at;
};

/* Group and stamp of the last record by name: the next one tells what differs. */
struct session_origin {
	uint32_t group_tag;
	struct flow_stamp stamp;
	bool valid;
};

struct session_group {
	uint32_t wanted_turn; /* 1 + our turn for which a transfer was asked, 0 none */
	uint32_t wanted_term; /* of the source then */
	uint32_t transfer;    /* the one that is open, 0 none */
	bool ended;	      /* END has come */
	bool whole;	      /* the operator's wish: everything, whatever the digests say */
	mono_t compare_at;    /* the next periodic comparison */
	uint64_t ended_mark;  /* kernel's dirty.added at END */
	uint64_t tail_mark;   /* ours: TAIL_END goes out when so much is told */
	uint32_t tail_term;
	uint8_t tail_owner;
};

struct session {
	uint8_t peer; /* index among the engine's peers */
	struct syncmsg_hello ours;
	struct syncmsg_hello theirs; /* valid while LIVE */
	uint8_t their_node;
	enum session_state state;
	mono_t opened_at, heard_at, told_at;
	bool hello_told;
	uint32_t roles_untold; /* groups */
	uint32_t tails_untold;
	struct session_group groups[LIMIT_GROUPS];

	struct compare compare;
	struct verify verify;

	/* As a source. */
	uint64_t sent;
	uint64_t acked;
	struct session_origin told_origin;
	uint32_t bulk_groups; /* being transferred */
	uint32_t bulk_wanted; /* asked for meanwhile */
	uint32_t bulk_cursor;
	uint32_t bulk_transfer; /* the last number given */
	uint32_t bulk_transfer_open;
	uint64_t bulk_count;
	uint32_t bulk_tokens; /* records that may go now: refilled with time */
	mono_t bulk_refilled_at;
	uint64_t bulk_end_position; /* in_sync when acked has passed it */
	uint32_t served;	    /* groups that had a full transfer in this session */
	struct session_mark marks[SYNC_LAG_MARKS];
	uint32_t mark_first, mark_count;
	mono_t backlog_since;
	dur_t lag; /* last measured */

	/* As a standby. */
	uint64_t received;
	struct session_origin heard_origin;
	uint64_t ack_told;
	uint64_t ack_position; /* to be told when the kernel has passed ack_kernel */
	uint64_t ack_kernel;
	bool ack_waiting;
	uint64_t bytes_in, bytes_out;
};

const char *session_error_name(enum session_error error);
const char *session_state_name(enum session_state state);

/* session_init: `ours` is what we say in HELLO; their_node is the id that the peer must have. */
void session_init(
	struct session *s, uint8_t peer, const struct syncmsg_hello *ours, uint8_t their_node);

/* session_step — feed one event.
 *   out  overwritten.
 * Bytes: BYTES may end anywhere. Errors: in the update; the session must then be closed. */
void session_step(struct session *s, struct engine *e, const struct session_event *event,
	struct session_update *out);

/* session_fill: writes what there is to say, as far as there is room. Returns bytes written. */
size_t session_fill(struct session *s, struct engine *e, mono_t now, struct wbuf *w);

/* session_has_more: whether session_fill would write now, given room. */
bool session_has_more(const struct session *s, const struct engine *e);

/* session_bulk_running: a full transfer goes on; call session_fill every SYNC_BULK_TURN_MS. */
bool session_bulk_running(const struct session *s);

/* session_next_deadline: when SESSION_EVENT_TIMER (and then session_fill) is due. */
mono_t session_next_deadline(const struct session *s);

/* session_tell_roles: our roles in these groups have changed. */
void session_tell_roles(struct session *s, uint32_t groups);

/* session_end_tail: call after the last kernel event of a group that we gave up was fed: TAIL_END
 * follows what is dirty now. */
void session_end_tail(struct session *s, const struct engine *e, uint8_t group, uint32_t term,
	uint8_t term_owner);

/* session_want_again: asks the source for a full transfer (operator's resync). */
void session_want_again(struct session *s);
/* session_serve_again: transfers everything once more without being asked. */
void session_serve_again(struct session *s, struct engine *e);

/* session_group_in_sync: as a standby: the transfer has ended and our kernel has it all. */
bool session_group_in_sync(const struct session *s, const struct engine *e, uint8_t group);

/* session_peer_in_sync: as a source: the peer has acknowledged the end of a full transfer of every
 * group in which we are active. */
bool session_peer_in_sync(const struct session *s, const struct engine *e);

uint64_t session_unacked(const struct session *s, const struct engine *e);
dur_t session_lag(const struct session *s, mono_t now);

#endif
