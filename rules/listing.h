/* listing.h: nft's canonical listing as text: its tables, the form that is loaded, its fingerprint.
 *
 * Pure: no I/O. Input is what `nft -s list ruleset` printed in a scratch namespace, which is as
 * much under an operator's control as the file was: anything that does not look as nft prints it is
 * refused, and the caller compares the tables found here with the kernel's own list. */
#ifndef RULES_LISTING_H
#define RULES_LISTING_H

#include "rules/rules.h"
#include "rules/text.h"

/* listing_tables: finds each "table FAMILY NAME {" in order; by_index and sleeps_always are filled
 * in, handle and digest are not. 0; -E2BIG more than `max`; -EBADMSG not a listing. */
int listing_tables(const char *text, size_t length, enum rules_role role,
	struct rules_table *ret_tables, size_t max, size_t *ret_count);

/* Which of a listing's tables, and how they are written. */
struct listing_form {
	const char *owner;  /* the canary's comment */
	const char *prefix; /* of their names; "" = none */
	bool asleep;	    /* what slept in the listing sleeps on in any case */
	bool with_switched; /* the tables that are switched */
	bool with_sleepers; /* those that sleep for ever */
};

/* listing_to_load_as: the tables for `nft -f`, each with its canary set. listing_to_load: all of
 * them under their own names. */
void listing_to_load_as(
	const char *text, size_t length, const struct listing_form *form, struct text *ret);
void listing_to_load(
	const char *text, size_t length, const char *owner, bool asleep, struct text *ret);

/* listing_strip: takes out again what listing_to_load() put in, for comparing. */
void listing_strip(const char *text, size_t length, struct text *ret);

/* listing_canonical: for fingerprints: lists in braces sorted, white space in them made one, and a
 * node's own interface names replaced by the cluster's. */
void listing_canonical(const char *text, size_t length, const struct rules_interface *interfaces,
	size_t interface_count, struct text *ret);

/* listing_fingerprint: of both roles' canonical texts; false = no memory. */
bool listing_fingerprint(const char *const texts[static RULES_ROLE_SHIELD],
	const struct rules_interface *interfaces, size_t interface_count,
	uint8_t ret[static RULES_FINGERPRINT_BYTES]) __attribute__((warn_unused_result));

/* listing_family: "inet" -> NFPROTO_INET; 0 = none. And back: "?" = none. */
uint8_t listing_family(const char *word, size_t length);
const char *listing_family_name(uint8_t family);

#endif
