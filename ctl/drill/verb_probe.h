/* verb_probe.h: `carpool drill probe` and `carpool drill reflect`: the words of the two ends of a
 * live drill's traffic. */
#ifndef CTL_DRILL_VERB_PROBE_H
#define CTL_DRILL_VERB_PROBE_H

/* Both take the words behind `drill`, "probe" or "reflect" first, and return the exit status. */
int verb_probe_probe(int argc, char **argv);
int verb_probe_reflect(int argc, char **argv);

#endif
