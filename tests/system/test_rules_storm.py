"""A packet storm (rules_stormlab.py) across switches, loads and refusals: what must never pass never does."""
import os

from rules_lab import TOOL, main, run, until
from rules_stormlab import with_storm

FLIPS = os.environ.get("RULES_FLIPS", "2000")


def switches():
    def story(lab):
        for line in run(TOOL, "flip", FLIPS, "m").splitlines():
            print("  " + line)
        assert lab.counters()["passed"] > 0
    with_storm(story)


def backup_is_closed_and_master_open():
    def story(lab):
        before = lab.counters()
        # The shield counts what it stops: so we know that the storm is on.
        until(lambda: "counter packets 0 bytes 0 drop\n\t}" not in
              run("nft", "list", "chain", "inet", "carpool_edge", "guard"), "the shield meets the storm")
        assert lab.counters() == before, "something passed a backup"
        run(TOOL, "master", "m")
        until(lambda: lab.counters()["passed"] > 0, "a master passes what is allowed")
        run(TOOL, "backup", "m")
    with_storm(story)


def loads():
    """The start, and a load over an earlier run's tables, awake as a master."""
    def story(lab):
        run(TOOL, "master", "m")
        until(lambda: lab.counters()["passed"] > 0, "a master passes what is allowed")
        for _ in range(10):
            run(TOOL, "load", "edge", os.path.abspath("fw.nft"), "-", "lan0,wan0",
                "10.1.0.254/24,10.2.0.254/24", "m")
            run(TOOL, "master", "m")
    with_storm(story)


def deleted_master_table():
    def story(lab):
        run(TOOL, "master", "m")
        until(lambda: lab.counters()["passed"] > 0, "a master passes what is allowed")
        run(TOOL, "backup", "m")
        run("nft", "delete", "table", "inet", "fw")
        assert run(TOOL, "master", "m", fails=True) == "backup missing\n"
    with_storm(story)


main([switches, backup_is_closed_and_master_open, loads, deleted_master_table])
