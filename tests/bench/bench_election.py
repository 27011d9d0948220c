#!/usr/bin/env python3
"""How long is nothing forwarded when the master loses power? carpool beside keepalived, in one lab, in one run.

    ./dev bench election [--runs 10] [--advbase 1,2,5,10,50,100] [--skew 0,100] [--confirm off,on]
                         [--software carpool,keepalived] [--full] [--cpu 20] [--json FILE] [--add]

A run: fw1 is master and a stream of UDP probes (4,000 a second, answered) passes; all its cables, sync link included,
are cut at one instant, which is not in step with the adverts; the outage is the time from the cut to the first probe
after the last lost one. Then fw1 "boots" again and gets the group back. Blocks of --block runs of each series take
turns, so that whatever else the machine does is spread over all of them.

carpool is carpd alone, as keepalived is alone; --full adds syncd and a ruleset (a NATed flow; all stages of a promotion).
keepalived: advert_int from 10 ms on, its lowest. --confirm on: rapid confirmation, from advbase 5 ms on.
--cpu SECONDS: at advbase 10 ms, what the processes of either node take while nothing happens, by thread, and beside them
a process that wakes as often and does nothing (bare.c): on a virtual machine most of it may be that. 0: not.
Spontaneous: a transition that nobody has caused, seen from the moment that all is well to the cut; such a run's outage
does not count. A real-time witness (witness.c) looks on: those that
overlap a stall of the machine longer than what the series tolerates are told apart ("stalled"). Late: runs in which our
own sender stalled for longer than an interval (or 2 ms) between cut and recovery, or the cut itself took more than 2 ms
(somebody else held RTNL, the one lock for all links of a machine): their outage may be the machine's.

--json writes every single outage; with --add those of an earlier file go into the table, too, so that a long series can
be made in pieces. Exit 1 when carpool moved without a stall to explain it, or a run failed.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

import twin

KEEPALIVED_MIN_MS = 10
CONFIRM_MIN_MS = 5
CPU_ADVBASE_MS = 10
CUT_MAX_MS = 2.0


def numbers(text):
    return [float(word.removesuffix("ms")) for word in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--block", type=int, default=5)
    parser.add_argument("--advbase", type=numbers, default=[1, 2, 5, 10, 50, 100], help="milliseconds")
    parser.add_argument("--skew", type=numbers, default=[0, 100])
    parser.add_argument("--confirm", type=lambda text: text.split(","), default=["off", "on"])
    parser.add_argument("--software", type=lambda text: text.split(","), default=["carpool", "keepalived"])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rate", type=int, default=4000)
    parser.add_argument("--cpu", type=float, default=20)
    parser.add_argument("--json")
    parser.add_argument("--add", action="store_true")
    return parser.parse_args()


def all_series(options):
    """Every series as a dict that is its name, too."""
    for advbase in options.advbase:
        for skew in options.skew:
            for confirm in options.confirm:
                if "carpool" in options.software and (confirm == "off" or advbase >= CONFIRM_MIN_MS):
                    yield {"software": "carpool", "advbase_ms": advbase, "skew": int(skew), "confirm": confirm,
                           "full": options.full}
            if "keepalived" in options.software and advbase >= KEEPALIVED_MIN_MS:
                yield {"software": "keepalived", "advbase_ms": advbase, "skew": int(skew), "confirm": "", "full": False}


def make(lab, series):
    if series["software"] == "keepalived":
        return twin.Keepalived(lab, series["advbase_ms"], series["skew"])
    return twin.Carpool(lab, series["advbase_ms"], series["skew"], twin.CONFIRM if series["confirm"] == "on" else "off",
                        full=series["full"])


def one_run(lab, software, series, rate):
    """fw1 is master before and after."""
    software.steady()
    since = time.time()
    phase_us = random.randrange(int(2000 * series["advbase_ms"]))
    result = lab.strike("fw1", phase_us, rate)
    result["spontaneous"] = software.moves(since, result["cut_at"])
    software.power_off("fw1")
    lab.mend("fw1")
    software.start("fw1")
    software.home()
    return result


def one_block(lab, series, count, rate):
    software = make(lab, series)
    results = []
    try:
        for node in twin.NODES:
            software.start(node)
        software.home()
        for _ in range(count):
            results.append(one_run(lab, software, series, rate))
    except twin.BenchError as error:
        print("%s: %s" % (series, error), file=sys.stderr)
        for node in twin.NODES:
            for name in ("carpd", "keepalived"):
                print(software.machines[node].log(name)[-2000:], file=sys.stderr)
        results.append({"error": str(error)})
        lab.mend("fw1")
    finally:
        software.stop()
    return results


def watch_processors(pids, seconds):
    """name -> processor time of those processes within that time; pids is name -> list of them."""
    before, begun = {name: twin.threads(list_of) for name, list_of in pids.items()}, time.monotonic()
    time.sleep(seconds)
    wall = time.monotonic() - begun
    return {name: twin.processor_time(before[name], twin.threads(list_of), wall) for name, list_of in pids.items()}


def measure_cpu(lab, series, seconds):
    """What each node's processes take while nothing happens, and beside them a process that only wakes as often."""
    software = make(lab, series)
    bare = subprocess.Popen([twin.BUILD + "/tests/bench/bare", str(int(1000 * series["advbase_ms"]))])
    try:
        for node in twin.NODES:
            software.start(node)
        software.home()
        time.sleep(1)
        since = time.time()
        found = watch_processors({"master": software.pids("fw1"), "standby": software.pids("fw2"), "bare": [bare.pid]}, seconds)
        return {**series, "seconds": seconds, "threads": found, "spontaneous": software.moves(since)}
    finally:
        bare.kill()
        bare.wait()
        software.stop()


def rank(values, share):
    """Nearest rank: of 50 values the 99 % one is the largest."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def key(series):
    return (series["advbase_ms"], series["software"], series["skew"], series["confirm"], series["full"])


def tolerance(series):
    """keepalived has no rapid confirmation: two adverts of three may be late."""
    return twin.tolerance_ms(series["advbase_ms"], series["confirm"] or "off")


def explain(series, moves, stalls):
    """Each move with the stall that explains it, or None; keepalived's have no time of their own, so none has."""
    reach = (twin.DEAD_FACTOR + 2) * series["advbase_ms"] / 1000
    return [{"at": at, "what": what, "stall": twin.explain(at, reach, stalls, tolerance(series))} for at, what in moves]


def summary(series, results):
    good = [result for result in results if "error" not in result]
    moves = [move for result in good for move in result["spontaneous"]]
    outages = [result["outage_ms"] for result in good if not result["spontaneous"]]
    limit = max(2.0, series["advbase_ms"])
    line = {**series, "runs": len(outages), "failed": len(results) - len(good),
            "spontaneous": sum(move["stall"] is None for move in moves),
            "stalled": sum(move["stall"] is not None for move in moves),
            "late": sum(result["late_ms"] > limit or result["cut_ms"] > CUT_MAX_MS for result in good)}
    if outages:
        line.update(median_ms=round(statistics.median(outages), 2), p99_ms=round(rank(outages, 99), 2),
                    min_ms=round(min(outages), 2), max_ms=round(max(outages), 2))
    return line


HEAD = "%-10s %7s %5s %-7s %4s %8s %8s %8s %8s  %9s %11s %7s %4s %6s"


def print_table(document):
    print(HEAD % ("software", "advbase", "skew", "confirm", "runs", "median", "p99", "min", "max", "3*advbase", "spontaneous",
                  "stalled", "late", "failed"))
    for line in document["summary"]:
        figures = ["%.1f" % line[name] if name in line else "-" for name in ("median_ms", "p99_ms", "min_ms", "max_ms")]
        print(HEAD % (line["software"] + ("+" if line["full"] else ""), "%gms" % line["advbase_ms"], line["skew"],
                      line["confirm"] or "-", line["runs"], *figures, "%gms" % (3 * line["advbase_ms"]), line["spontaneous"],
                      line["stalled"], line["late"], line["failed"]))
    for line in document["cpu"]:
        print("\n%s, advbase %gms, confirm %s: percent of one core (turns a second)" % (
            line["software"], line["advbase_ms"], line["confirm"] or "-"))
        for role, found in line["threads"].items():
            parts = ", ".join("%s %.2f" % (name, percent) for name, (percent, _) in sorted(found.items()) if name != "all")
            print("  %-8s %6.3f (%4.0f): %s" % (role, *found["all"], parts))


def earlier(options):
    if options.add and options.json and os.path.exists(options.json):
        with open(options.json) as file:
            return json.load(file)
    return {"series": [], "cpu": []}


def measure(options, document):
    """All blocks of all series in turns, then the processor time; into the document."""
    collected = {key(entry): entry for entry in document["series"]}
    fresh, cpu = [], []
    with twin.Lab() as lab:
        witness = twin.Witness(86400)
        for number in range(-(-options.runs // options.block)):
            count = min(options.block, options.runs - number * options.block)
            for series in all_series(options):
                results = one_block(lab, series, count, options.rate)
                collected.setdefault(key(series), {**series, "results": []})["results"] += results
                fresh += [(series, result) for result in results if "error" not in result]
        stalls, worst = witness.stop()  # it would be seen in the processor time
        if options.cpu > 0:
            for series in all_series(argparse.Namespace(**{**vars(options), "advbase": [CPU_ADVBASE_MS], "skew": [100]})):
                cpu.append(measure_cpu(lab, series, options.cpu))
    for series, result in fresh:
        result["spontaneous"] = explain(series, result["spontaneous"], stalls)
    document["series"] = [collected[name] for name in sorted(collected)]
    document["cpu"] += cpu
    document.setdefault("witness", []).append({**worst, "stalls": len(stalls)})
    document["summary"] = [summary({k: v for k, v in entry.items() if k != "results"}, entry["results"])
                           for entry in document["series"]]


def main():
    options = arguments()
    document = earlier(options)
    measure(options, document)
    print_table(document)
    for entry in document["witness"]:
        print("witness: worst wake-up per processor %s ms, %d stalls over %g ms" % (
            entry["worst_ms"], entry["stalls"], twin.STALL_MIN_US / 1000))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(document, file, indent=1)
    wrong = 0
    results = [(entry, result) for entry in document["series"] for result in entry["results"] if "error" not in result]
    for series, result in results:
        for move in result["spontaneous"]:
            print("%s advbase %gms confirm %s: %s: %s" % (series["software"], series["advbase_ms"], series["confirm"] or "-",
                                                         move["what"], move["stall"] or "no stall of this machine"))
            wrong += series["software"] == "carpool" and move["stall"] is None
    return 1 if wrong or any(line["failed"] for line in document["summary"]) else 0


if __name__ == "__main__":
    sys.exit(main())
