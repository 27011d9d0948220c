"""count.py: one line over all that `./dev test` ran, from meson's testlog files (one JSON object a line).

    count.py LOG...           Names what failed and what was skipped; exits 1 when something failed, or when nothing
                              ran at all. A log that is not there counts as a failure: a suite that did not get to run
                              has not passed. Beside X.json, X-again.json holds second tries: what passed there counts
                              as passed, and is named.
    count.py --failed LOG     The names of what failed, one a line, as `meson test` takes them.
"""

import json
import os
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


def results(path):
    with open(path, encoding="utf-8") as handle:
        for line in handle:
            if line.strip():
                entry = json.loads(line)
                yield entry["name"], entry["result"]


def second_tries(path):
    again = path.removesuffix(".json") + "-again.json"
    return dict(results(again)) if os.path.exists(again) else {}


def print_failed(path):
    for name, result in results(path):
        if result not in PASSED | SKIPPED:
            print(name.split(" / ")[-1])


def count(paths):
    passed, failed, skipped, second = 0, [], [], []
    for path in paths:
        where = path.split("/")[0]
        try:
            again = second_tries(path)
            for name, result in results(path):
                if result in PASSED:
                    passed += 1
                elif result in SKIPPED:
                    skipped.append(f"{where}: {name}")
                elif again.get(name) in PASSED:
                    passed += 1
                    second.append(f"{where}: {name}: first {result}")
                else:
                    failed.append(f"{where}: {name}: {result}")
        except (OSError, ValueError, KeyError) as error:
            failed.append(f"{path}: {error}")
    for title, names in (("skipped ", skipped), ("2nd try ", second), ("FAILED  ", failed)):
        for name in names:
            print(title, name)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if sys.argv[1:2] == ["--failed"]:
    print_failed(sys.argv[2])
else:
    sys.exit(count(sys.argv[1:]))
