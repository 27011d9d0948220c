"""Two sync links: the session moves to the other one when its own goes dead, and back."""
import sys
import time

from sync_lab import Lab, wait_for


def gap_s(lab):
    """How long fw2's syncd is without a session, from now."""
    began = time.monotonic()
    wait_for("the dead link is noticed", lambda: not lab.status("fw2")["peers"][0]["connected"], 5,
             step_s=0.005)
    wait_for("the session is up again", lambda: lab.status("fw2")["peers"][0]["connected"], 5,
             step_s=0.005)
    return time.monotonic() - began


def main():
    with Lab(links=2) as lab:
        lab.start("fw1", "master", "fw1", 5, 1)
        lab.start("fw2", "backup", "fw1", 5, 1)
        lab.wait_in_sync()
        # Silent, carrier stays: the switch port of the LAN, and loss on the sync link.
        lab.sh("fw2", "nft add table ip t; nft add chain ip t i '{ type filter hook input priority "
                      "0; }'; nft add rule ip t i iifname sync0 drop")
        first = gap_s(lab)
        assert "(10.1.0." in lab.log("fw2").split("connected")[-2].splitlines()[-1], lab.log("fw2")
        lab.wait_in_sync()
        lab.sh("fw2", "nft delete table ip t")
        lab.ip("sw", "link", "set", "fw1lan0", "down")
        second = gap_s(lab)
        lab.wait_in_sync()
        print(f"moved to the other link within {first:.2f} s, and back within {second:.2f} s")
        assert max(first, second) < 2.5  # the design's 1 s, and a busy machine


if __name__ == "__main__":
    sys.exit(main())
