"""A packet storm across switches: a witness behind the firewall counts what must never pass.

    client -- lan0 [ this namespace: the firewall ] wan0 -- server

The client floods the server's port 9 (allowed, source NAT to 10.2.0.254), port 7 (dropped in forward) and
port 8 (dropped in prerouting). The server counts in netdev ingress, where nothing is lost: packets to 7 or 8,
and packets that still have the client's address. Both must be zero whatever the role."""
import os
import re
import subprocess

from rules_lab import Lab, TOOL, main, run, until

STORM = os.environ["RULES_STORM"]
FLIPS = os.environ.get("RULES_FLIPS", "2000")
MASTER = """
table inet fw {
	chain pre { type filter hook prerouting priority raw; policy accept; udp dport 8 drop; }
	chain forward { type filter hook forward priority filter; policy drop; udp dport 9 accept; }
	chain post { type nat hook postrouting priority srcnat; oifname "wan0" snat ip to 10.2.0.254; }
}
"""
WITNESS = """
table netdev witness {
	counter forbidden { }
	counter unnatted { }
	counter passed { }
	chain in {
		type filter hook ingress device "eth0" priority 0;
		udp dport { 7, 8 } counter name "forbidden"
		ip saddr 10.1.0.0/24 ip protocol udp counter name "unnatted"
		udp dport 9 counter name "passed"
		ip protocol udp drop
	}
}
"""


class StormLab(Lab):
    def counters(self):
        listing = self.on("server", "nft", "list", "counters")
        return {k: int(v) for k, v in re.findall(r"counter (\w+) \{\n\t\tpackets (\d+)", listing)}

    def storm(self):
        """Starts the storm and waits until packets arrive at the firewall."""
        storm = subprocess.Popen(self.words("client", STORM, "10.2.0.2", "9,7,9,8"), stdout=subprocess.PIPE)
        assert storm.stdout.readline() == b"READY\n"
        return storm


def with_storm(story):
    lab = StormLab()
    storm = None
    try:
        with open("fw.nft", "w") as file:
            file.write(MASTER)
        run(TOOL, "load", "edge", os.path.abspath("fw.nft"), "-", "lan0,wan0",
            "10.1.0.254/24,10.2.0.254/24", "m")
        lab.on("server", "nft", "-f", "-", text=WITNESS)
        storm = lab.storm()
        story(lab)
        seen = lab.counters()
        print(f"  witness: {seen}")
        assert storm.poll() is None, "the storm died"
        assert seen["passed"] > 0, "nothing passed at all: this proves nothing"
        assert seen["forbidden"] == 0 and seen["unnatted"] == 0, seen
    finally:
        if storm:
            storm.kill()
            storm.wait()
        lab.close()


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
