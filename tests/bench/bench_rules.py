#!/usr/bin/env python3
"""Rulesets: the switch beside `nft -f`, the gap of a foreign flush, and a storm across everything.

  ./dev bench rules [switch] [gap] [storm] [pair] [corpus]      all of them without words; `switch` takes minutes

switch   time of both directions at 10, 1,000, 10,000 and 100,000 rules in chains of 1,000, and of `nft -f` of the
         same file in the same run
gap      `nft flush ruleset` on a master in a packet storm: forbidden packets, and the time from the first to the
         last of them, 20 times
storm    10,000 switches, loads, reloads, flushes and a refused promotion in a storm of packets that must not pass
pair     the same for a real pair: for RULES_PAIR_SECONDS (150) starts, hand-overs, reloads, killed, frozen and crashed
         daemons, foreign flushes, a lost table, repairs; a witness behind it counts
corpus   every ruleset of tests/system/rulesets in both roles, and 20,000 rules with 20,000 elements"""
import os
import re
import statistics
import subprocess
import sys
import time

BUILD = os.path.abspath(os.environ.get("CARPOOL_BUILD", "build"))
os.environ.setdefault("RULES_TOOL", BUILD + "/tests/system/rules_tool")
os.environ.setdefault("RULES_STORM", BUILD + "/tests/system/rules_storm")
os.environ["CARPOOL_BUILD"] = BUILD
SYSTEM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system")
sys.path.insert(0, SYSTEM)
import rules_lab  # noqa: E402
from rules_lab import TOOL, run, until  # noqa: E402
import rules_stormlab as storm  # noqa: E402

SIZES = [int(size) for size in os.environ.get("RULES_SIZES", "10,1000,10000,100000").split(",")]
FLIPS = os.environ.get("RULES_FLIPS", "10000")
PAIR_SECONDS = int(os.environ.get("RULES_PAIR_SECONDS", "150"))


def ruleset(rules):
    lines = ["table inet fw {", "\tchain forward {", "\t\ttype filter hook forward priority filter; policy drop;"]
    chains = range(0, rules, 1000)
    lines += [f"\t\tjump part{chain}" for chain in chains] + ["\t}"]
    parts = []
    for chain in chains:
        parts += [f"\tchain part{chain} {{"]
        parts += [f"\t\tip saddr 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255} tcp dport {1 + i % 60000} accept"
                  for i in range(chain, min(chain + 1000, rules))] + ["\t}"]
    return "\n".join([lines[0]] + parts + lines[1:] + ["}"]) + "\n"


def switch():
    rules_lab.interfaces("lan0", "wan0")
    print(f"{'rules':>8} {'to master':>22} {'to backup (1 ms pause)':>26} {'nft -f':>10} {'load':>8} {'reload':>8}")
    for size in SIZES:
        with open("fw.nft", "w") as file:
            file.write(ruleset(size))
        words = ("edge", os.path.abspath("fw.nft"), "-", "lan0,wan0", "10.1.0.254/24", "m")
        start = time.monotonic()
        run(TOOL, "load", *words)
        load = time.monotonic() - start
        run(TOOL, "verify", "m")
        times = re.findall(r"median (\d+) p99 (\d+) max (\d+)", run(TOOL, "flip", "300", "m"))
        run(TOOL, "master", "m")
        start = time.monotonic()
        reload = run(TOOL, "reload", *words)
        reload_s = time.monotonic() - start
        assert reload.count("take-over master ok") == 2, reload
        run(TOOL, "unload", "m")
        plain = []
        for _ in range(3):
            start = time.monotonic()
            run("nft", "-f", "fw.nft")
            plain.append((time.monotonic() - start) * 1000)
            run("nft", "flush", "ruleset")
        (up, up99, _), (down, down99, _) = times
        print(f"{size:>8} {up:>8} us, p99 {up99:>5} us {down:>10} us, p99 {down99:>5} us {statistics.median(plain):>7.0f} ms"
              f" {load:>6.1f} s {reload_s:>6.1f} s", flush=True)
        assert int(up) <= 1000, "target: 1 ms at any size"


def gap():
    spans, counts = [], []
    for _ in range(20):
        def story(lab):
            run(TOOL, "master", "m")
            until(lambda: lab.counters()["passed"] > 0, "a master passes what is allowed")
            with storm.Witness(lab) as witness, storm.Tool("gap", "m"):
                run("nft", "flush", "ruleset")
                until(lambda: "carpool_edge" in run("nft", "list", "tables"), "the shield is made again")
                time.sleep(0.1)
            spans.append(witness.span_ms)
            counts.append(witness.count)
        with open(os.devnull, "w") as nowhere:
            out, sys.stdout = sys.stdout, nowhere
            try:
                storm.with_storm(story, clean=False)
            finally:
                sys.stdout = out
        run("ip", "link", "del", "lan0", fails=None)
        run("ip", "link", "del", "wan0", fails=None)
        run("nft", "flush", "ruleset")
    spans.sort()
    print(f"gap after `nft flush ruleset` on a master, {len(spans)} times: median {statistics.median(spans):.2f} ms, "
          f"longest {spans[-1]:.2f} ms; forbidden packets: median {statistics.median(counts):.0f} (target: 5 ms)")


def storm_of_switches():
    os.environ["RULES_FLIPS"], os.environ["RULES_RELOADS"], os.environ["RULES_FLUSHES"] = FLIPS, "50", "40"
    for name, cases in (("storm", []), ("reload", ["reloads_in_the_storm", "flush_behind_the_latch_leaves_none"])):
        subprocess.run([sys.executable, f"{SYSTEM}/test_rules_{name}.py", *cases], check=True)


def pair_in_the_storm():
    """Real daemons: two nodes between a LAN that floods and a WAN that counts; every event, over and over."""
    import pair_stormlab

    end = time.monotonic() + PAIR_SECONDS
    with pair_stormlab.StormPair() as pair:
        pair.starts()
        for name in pair_stormlab.SLOW:
            getattr(pair, name)()
        while time.monotonic() < end:
            for name in pair_stormlab.ROUND:
                getattr(pair, name)()
            pair.handovers_back_to_back(10)
        print(f"a pair in the storm: {pair.tally}\nwitness: {pair.counters()}", flush=True)
        pair.witness_sees()


def corpus():
    subprocess.run([sys.executable, f"{SYSTEM}/test_rules_corpus.py"], check=True,
                   env={**os.environ, "RULES_CORPUS_BIG": "20000"})


WORDS = ["switch", "gap", "storm", "pair", "corpus"]


def in_namespace(case):
    pid = os.fork()
    if pid == 0:
        status = rules_lab._child(case)
        sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if "--help" in sys.argv or set(words) - set(WORDS):
        print(__doc__)
        return 2
    words = words or WORDS
    failed = 0
    if "switch" in words:
        failed |= in_namespace(switch)
    if "gap" in words:
        failed |= in_namespace(gap)
    if "storm" in words:
        storm_of_switches()
    if "pair" in words:
        pair_in_the_storm()
    if "corpus" in words:
        corpus()
    return failed


sys.exit(main())
