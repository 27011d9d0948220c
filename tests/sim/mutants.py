"""mutants.py: the core with its rules broken, one at a time, to prove that the simulator's checkers see it.

    mutants.py SOURCE OUTPUT     writes all of carpd/core as one C file in which `core_mutant` chooses a broken rule

Each mutant names the checker (tests/sim/checks.h) that must find it. A text that is not in its file exactly once is an
error: who changes the rule changes the mutant with it. The world's own mutant, the counter rule of 2004, is in sim.c.
"""
import pathlib
import sys

# name, checkers that may be the first to see it, file, the rule, the broken rule
MUTANTS = [
	("one-path", "dead-heard dead-soon one-master", "peers.c",
		"\tview->heard_at = e->now;\n\tview->confirmed = false;",
		"\tif (!MUTANT || lane == e->groups[group].lane_first)\n\t\tview->heard_at = e->now;\n\tview->confirmed = false;"),
	("replay-window", "twice", "peers.c",
		"if (replay == REPLAY_REFUSED)", "if (MUTANT && replay == REPLAY_REFUSED)\n\t\treplay = REPLAY_NEW;\n\tif (replay == REPLAY_REFUSED)"),
	("any-epoch", "twice", "peers.c",
		"\tif (p->challenge_open && packet->echo_to == e->config.own.id &&",
		"\tif (MUTANT) {\n\t\tpeers_receive_prove(e, peer, packet);\n\t\treturn true;\n\t}\n"
		"\tif (p->challenge_open && packet->echo_to == e->config.own.id &&"),
	("two-masters-stay", "one-master", "dual.c",
		"\tswitch (dual_decide(e, group, peer, &why)) {",
		"\tenum dual_verdict verdict = dual_decide(e, group, peer, &why);\n\n\tif (MUTANT && verdict == DUAL_WE_LOSE)\n"
		"\t\tverdict = DUAL_THEY_LOSE;\n\tswitch (verdict) {"),
	("hasty", "dead-soon", "timers.c",
		"\treturn dur_add(dur_mul(dur_max(advbase, master_interval), dead_factor),",
		"\tdead_factor = MUTANT ? 1 : dead_factor;\n\treturn dur_add(dur_mul(dur_max(advbase, master_interval), dead_factor),"),
	("sleepwalker", "late-clock", "stalls.c",
		"\tif (company || g->state == GROUP_STATE_PROMOTING) {", "\tif (MUTANT)\n\t\treturn;\n\tif (company || g->state == GROUP_STATE_PROMOTING) {"),
	("sleeper-accuses", "woken dead-heard dead-soon", "stalls.c",
		"\tif (!stalls_late(e, late))", "\tif (MUTANT || !stalls_late(e, late))"),
	("hand-over-early", "hand-over", "handover.c",
		"\tif (!offer->announced)\n\t\treturn;", "\tif (MUTANT)\n\t\toffer->announced = offer->seen;\n\tif (!offer->announced)\n\t\treturn;"),
	("same-term", "terms", "group.c",
		"\tif (g->term_seen < UINT64_MAX)", "\tif (!MUTANT && g->term_seen < UINT64_MAX)"),
	("nobody-goes", "served converged", "backup.c",
		"\tif (mono_reached(e->now, at))\n\t\tbackup_take_over", "\tif (MUTANT)\n\t\treturn;\n\tif (mono_reached(e->now, at))\n\t\tbackup_take_over"),
	("deaf-wins", "displaced", "dual.c",
		"\tbool deaf = dual_deaf(e, group, peer) && paths_all_well(e, group);",
		"\tbool deaf = !MUTANT && dual_deaf(e, group, peer) && paths_all_well(e, group);"),
	("no-doubt", "displaced", "dual.c",
		"\tg->doubt = true;", "\tg->doubt = !MUTANT;"),
	("silent-witness", "dual-alarm", "dual.c",
		"\tdue = mono_add(g->dual_seen_since,", "\tif (MUTANT)\n\t\treturn;\n\tdue = mono_add(g->dual_seen_since,"),
	("hold-for-ever", "start", "group.c",
		"\tif (!early && !mono_reached(e->now, g->hold_until)) {",
		"\tif (MUTANT)\n\t\treturn;\n\tif (!early && !mono_reached(e->now, g->hold_until)) {"),
	("questions-half", "dead-soon", "confirm.c",
		"\telse if (!c->active || c->asked < e->config.confirm_questions ||",
		"\telse if (!c->active || c->asked < (MUTANT ? 1 : e->config.confirm_questions) ||"),
	("alarm-for-ever", "converged", "paths.c",
		"\telection_alarm(e, group, ELECTION_ALARM_PATH_SPLIT, split, split != 0);",
		"\tif (!MUTANT || split != 0)\n\t\telection_alarm(e, group, ELECTION_ALARM_PATH_SPLIT, split, split != 0);"),
]


def mutate(name, text):
	for number, (mutant, _, file, rule, broken) in enumerate(MUTANTS, 1):
		if file != name:
			continue
		if text.count(rule) != 1:
			sys.exit(f"mutants.py: {mutant}: the rule is {text.count(rule)} times in carpd/core/{file}, not once")
		text = text.replace(rule, broken.replace("MUTANT", f"mutant_is({number})"))
	return text


def main():
	core = pathlib.Path(sys.argv[1]) / "carpd" / "core"
	parts = ["/* Written by tests/sim/mutants.py. */", '#include "mutants.h"', "", "int core_mutant;", ""]
	for path in sorted(core.glob("*.c")):
		parts += [f'#line 1 "carpd/core/{path.name}"', mutate(path.name, path.read_text())]
	parts += ["const struct mutant mutants[] = {"]
	parts += [f'\t{{"{name}", "{checkers}"}},' for name, checkers, *_ in MUTANTS]
	parts += ["};", "const size_t mutant_count = sizeof(mutants) / sizeof(mutants[0]);", ""]
	pathlib.Path(sys.argv[2]).write_text("\n".join(parts))


if __name__ == "__main__":
	main()
