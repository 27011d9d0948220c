#!/usr/bin/env python3
"""run.py [quick|full]: the models, checked exhaustively by spin; and that spin finds each rule's absence.

Every line is one search of all states: what was searched, how many states there are, how long it
took. A model with one rule taken out (-DMUT_...) must fail: a check that cannot fail is none.
Exit: 0 all as it ought to be, 1 not, 77 spin is not there (quick only)."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 600
ELECTION_RULES = ("DUAL", "EARLY", "TERM", "TAIL", "STALL", "YIELD")
REPLAY_RULES = ("NONCE", "WINDOW", "LOCK")
SIZES = {
    "quick": {"election": [(2, 4), (3, 2)], "replay": ["-DEPOCHS=2", "-DCHALLENGES=4"]},
    "full": {"election": [(2, 6), (3, 4)], "replay": []},
}


def searches(size):
    """What to search: (name, file, definitions, must it be clean, is it large)."""
    found = []
    for nodes, faults in SIZES[size]["election"]:
        found.append((f"election, {nodes} nodes, {faults} faults", "election.pml",
                      [f"-DN={nodes}", f"-DFAULTS={faults}"], True, size == "full"))
    found.append(("replay", "replay.pml", SIZES[size]["replay"], True, size == "full"))
    for rule in ELECTION_RULES:
        found.append((f"election without {rule}", "election.pml",
                      ["-DN=2", "-DFAULTS=4", f"-DMUT_{rule}"], False, False))
    for rule in REPLAY_RULES:
        found.append((f"replay without {rule}", "replay.pml", [f"-DMUT_{rule}"], False, False))
    return found


def search(job):
    """One search. Returns (as it ought to be, the line that tells it)."""
    name, model, definitions, clean, big = job
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="carpool-model-") as folder:
        shutil.copy(os.path.join(HERE, model), folder)
        for command in (["spin", *definitions, "-a", model],
                        ["gcc", "-O2" if big else "-O0", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"]):
            made = subprocess.run(command, cwd=folder, capture_output=True, text=True,
                                  timeout=LIMIT_S, check=False)
            if made.returncode != 0 or "Error" in made.stdout:
                return False, f"{name}: {command[0]} failed\n{made.stdout}{made.stderr}"
        text = subprocess.run(["./pan", "-m100000"], cwd=folder, capture_output=True, text=True,
                              timeout=LIMIT_S, check=False).stdout
        trail = os.path.exists(os.path.join(folder, model + ".trail"))
        story = ""
        if trail and clean:
            story = "\n" + subprocess.run(["spin", *definitions, "-t", model], cwd=folder,
                                          capture_output=True, text=True, timeout=LIMIT_S,
                                          check=False).stdout[-6000:]
    states = re.search(r"([0-9.e+]+) states, stored", text)
    errors = re.search(r"errors: (\d+)", text)
    complete = "Search not completed" not in text and "too small" not in text
    if not states or not errors:
        return False, f"{name}: no answer from the search\n{text}"
    broken = re.search(r"assertion violated\s*(.*)", text)
    good = (errors.group(1) == "0" and complete) if clean else broken is not None
    what = "no error" if errors.group(1) == "0" else "violated: " + (broken.group(1) if broken else "?")
    if not clean:
        what = "found" if good else "NOT FOUND"
    return good, (f"{name:34} {int(float(states.group(1))):>11,} states "
                  f"{time.monotonic() - began:6.1f} s  {what}{story}")


def main():
    size = sys.argv[1] if len(sys.argv) > 1 else "full"
    if not shutil.which("spin"):
        print("spin is not installed")
        return 77 if size == "quick" else 1
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for good, line in pool.map(search, searches(size)):
            print(line, flush=True)
            wrong += not good
    print("clean: every search complete, every missing rule found" if not wrong
          else f"{wrong} searches did not end as they ought to")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
