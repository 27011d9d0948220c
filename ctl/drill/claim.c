#include "ctl/drill/claim.h"

#include "common/limits.h"

/* One node's reign as far as we have read: [start, last]; last 0 when it does not reign. */
struct claim_reign {
	int64_t start;
	int64_t last;
};

/* The part of [a, b] that nobody has counted yet and that lies in the window. */
static int64_t claim_fresh(int64_t a, int64_t b, int64_t *counted_to, int64_t from, int64_t to)
{
	if (a < *counted_to)
		a = *counted_to;
	if (a < from)
		a = from;
	if (b > to)
		b = to;
	if (b <= a)
		return 0;
	*counted_to = b;
	return b - a;
}

/* When claim `c` extends a reign of its node, [previous claim, this claim] is a stretch in which
 * the node held the address. Each stretch is laid against the reigns of the others. */
static int64_t claim_overlap(const struct claim_reign *reigns, const struct claim *c,
	int64_t stretch_from, int64_t *counted_to, int64_t from, int64_t to)
{
	int64_t sum = 0;

	for (uint8_t other = 0; other < LIMIT_NODES; other++) {
		int64_t a = stretch_from;
		int64_t b = c->at;

		if (other == c->node || reigns[other].last == 0)
			continue;
		if (a < reigns[other].start)
			a = reigns[other].start;
		if (b > reigns[other].last)
			b = reigns[other].last;
		sum += claim_fresh(a, b, counted_to, from, to);
	}
	return sum;
}

int64_t claim_dual(const struct claim *claims, size_t claim_count, uint16_t target, int64_t gap_ns,
	int64_t from, int64_t to)
{
	struct claim_reign reigns[LIMIT_NODES] = {0};
	int64_t counted_to = 0;
	int64_t sum = 0;

	for (size_t i = 0; i < claim_count; i++) {
		const struct claim *c = &claims[i];
		struct claim_reign *own;

		if (c->target != target || c->node >= LIMIT_NODES)
			continue;
		own = &reigns[c->node];
		if (own->last == 0 || c->at - own->last > gap_ns) {
			own->start = c->at;
			own->last = c->at;
			continue;
		}
		sum += claim_overlap(reigns, c, own->last, &counted_to, from, to);
		own->last = c->at;
	}
	return sum;
}

int64_t claim_first(
	const struct claim *claims, size_t claim_count, uint16_t target, uint8_t node, int64_t from)
{
	for (size_t i = 0; i < claim_count; i++)
		if (claims[i].at >= from && claims[i].target == target && claims[i].node == node)
			return claims[i].at;
	return 0;
}

int64_t claim_last(const struct claim *claims, size_t claim_count, uint16_t target, uint8_t node,
	int64_t from, int64_t to)
{
	for (size_t i = claim_count; i > 0; i--) {
		const struct claim *c = &claims[i - 1];

		if (c->at >= from && c->at < to && c->target == target && c->node == node)
			return c->at;
	}
	return 0;
}
