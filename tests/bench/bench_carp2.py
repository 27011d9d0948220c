#!/usr/bin/env python3
"""A carpool node and a real ucarp on one segment for ten minutes, in both roles at the same time: nobody moves.

    ./dev bench carp2 [SECONDS]

Needs root, ucarp, and almost no processor. Prints one line a role and ends with 0 when neither flapped.

What may have moved somebody stands beside it: the longest pause between two of the master's adverts on the wire, and by
how much the wall clock was stepped meanwhile, against the one that never jumps: ucarp counts its timers with
gettimeofday(), so a step back makes it silent for as long, and a step forward of three seconds makes a master of it.
"""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from carp2_lab import Carp2Lab, Tap  # noqa: E402


def pauses(frames):
    """The longest between two adverts of one sender that is master, in s, and when it ended."""
    longest, last = (0.0, 0.0), {}
    for at, frame in frames:
        source = frame[26:30]
        longest = max(longest, (at - last.get(source, at), at))
        last[source] = at
    return longest


class WallClock:
    """By how much the wall clock has been stepped, in ms: the largest change between two looks."""

    def __init__(self):
        self.last, self.step_ms = time.time() - time.monotonic(), 0.0

    def look(self):
        now = time.time() - time.monotonic()
        self.step_ms = max(self.step_ms, abs(now - self.last) * 1000, key=abs)
        self.last = now


def watch(role, seconds, results):
    with Carp2Lab(skews=(10, 20), election="preempt: true, startup_hold: 4s") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        if role == "carpool is master":
            fw1.start("carpd")
            lab.wait_holder(fw1, 60, "start")
            ucarp.start(100, "-P")
            time.sleep(5)
            wanted = ["fw1"]
        else:
            ucarp.start(0, "-P")
            lab.wait_holder(ucarp, 60, "start")
            fw1.start("carpd")
            time.sleep(8)
            wanted = [ucarp.name]
        before = len(fw1.json("history")["transitions"]), ucarp.switches(), len(tap.frames)
        look, longest, bad, clock = time.monotonic(), 0, 0, WallClock()
        until = look + seconds
        while look < until:
            bad += lab.holders() != wanted
            time.sleep(0.5)
            clock.look()
            # A machine that stood still makes masters of backups: it is told beside what they did.
            longest, look = max(longest, time.monotonic() - look), time.monotonic()
        after = len(fw1.json("history")["transitions"]), ucarp.switches()
        results[role] = bad == 0 and before[:2] == after
        print(json.dumps({"role": role, "seconds": seconds, "adverts": len(tap.frames) - before[2],
                          "transitions": after[0] - before[0], "ucarp_switches": len(after[1]) - len(before[1]),
                          "looks_with_another_holder": bad, "longest_between_looks_s": round(longest, 2),
                          "longest_pause_of_adverts_s": round(pauses(tap.frames[before[2]:])[0], 2),
                          "wall_clock_step_ms": round(clock.step_ms, 1),
                          "reasons": [(t["time"], t["to"], t["reason"]) for t in
                                      fw1.json("history")["transitions"][before[0]:]],
                          "drops": fw1.drops(), "ok": results[role]}), flush=True)
        if not results[role]:
            print(fw1.log("carpd"), ucarp.log(), file=sys.stderr)


def main():
    seconds, results = float(sys.argv[1]) if len(sys.argv) > 1 else 600, {}
    threads = [threading.Thread(target=watch, args=(role, seconds, results))
               for role in ("carpool is master", "ucarp is master")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0 if results == {"carpool is master": True, "ucarp is master": True} else 1


if __name__ == "__main__":
    sys.exit(main())
