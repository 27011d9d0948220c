/* doctor.h: what a host's settings mean for a firewall of a cluster. Pure: the values come in.
 *
 * Each finding says what is, what is wanted, why, and what to type. Nothing is changed. What
 * carpool itself sets when it starts (nf_conntrack_events, promote_secondaries, arp_ignore under
 * virtual_mac) is judged only where being late matters. */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum doctor_level { /* the exit status of `carpool doctor` */
	DOCTOR_OK = 0,
	DOCTOR_WARNING = 1,
	DOCTOR_ERROR = 2,
};

/* What is known about the host. */
struct doctor_host {
	/* 0 or a negative errno, as sysctl_read() */
	int (*read)(void *context, const char *name, int64_t *ret_value);
	void *context;
	bool has_nft;	     /* the program */
	bool has_namespaces; /* a user and a network namespace can be made */
	bool is_clock_synchronised;
	bool runs_keepalived, runs_conntrackd;
	const char *const *interfaces; /* the config's, by this host's names; may be none */
	const bool *interface_exists;
	unsigned int interface_count;
};

/* doctor_judge: an array of {"level","what","is","wanted","why","do"}, in the order of the checks,
 * of everything looked at, also what is well. The caller's; NULL without memory. *ret_level: the
 * worst. */
json_t *doctor_judge(const struct doctor_host *host, enum doctor_level *ret_level);

/* doctor_level_name: "ok", "warning", "error". */
const char *doctor_level_name(enum doctor_level level);

#endif
