"""count.py: one line over all that `./dev test` ran, from meson's testlog files (one JSON object a line).

    count.py LOG...

Names what failed and what was skipped; exits 1 when something failed, or when nothing ran at all. A log
that is not there counts as a failure: a suite that did not get to run has not passed."""

import json
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


def results(path):
    with open(path, encoding="utf-8") as handle:
        for line in handle:
            if line.strip():
                entry = json.loads(line)
                yield entry["name"], entry["result"]


def main():
    passed, failed, skipped = 0, [], []
    for path in sys.argv[1:]:
        where = path.split("/")[0]
        try:
            for name, result in results(path):
                if result in PASSED:
                    passed += 1
                elif result in SKIPPED:
                    skipped.append(f"{where}: {name}")
                else:
                    failed.append(f"{where}: {name}: {result}")
        except (OSError, ValueError, KeyError) as error:
            failed.append(f"{path}: {error}")
    for name in skipped:
        print(f"skipped  {name}")
    for name in failed:
        print(f"FAILED   {name}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    sys.exit(1 if failed or not passed else 0)


main()
