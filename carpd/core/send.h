/* send.h: which adverts go out, and what stands in them.
 *
 * A group's advert goes to each of its lanes: multicast on an interface, to every peer on a sync
 * path. Holders speak every interval, others every max(advbase, 100 ms), and everybody at once on a
 * change. Challenges and echoes go out on the lane that asked for them. Nothing at all is said by a
 * group that is mute (late clock), and after the last counter nobody says anything. */
#ifndef CARPD_CORE_SEND_H
#define CARPD_CORE_SEND_H

#include "carpd/core/election.h"

/* send_judge: a group's regular advert, when it is due. */
void send_judge(struct election *e, uint8_t group);

/* send_questions: what confirm.c wants asked. random: fresh bytes, for a challenge. */
void send_questions(
	struct election *e, uint8_t group, const uint8_t random[static ADVERT_CHALLENGE_BYTES]);

/* send_answers: challenges and echoes. random: fresh bytes, for a challenge. */
void send_answers(struct election *e, const uint8_t random[static ADVERT_CHALLENGE_BYTES]);

/* send_resignations: the last counter, on every lane. */
void send_resignations(struct election *e);

/* send_fill: the advert of a group on a path, but for counter, challenge and echo. */
void send_fill(const struct election *e, uint8_t group, uint8_t path, struct advert *ret_advert);

/* send_fit: an answer is not larger than its question. What it leaves out the receiver knows. */
void send_fit(struct advert *advert, size_t size_bytes);

#endif
