"""rules_stormlab: a packet storm through the firewall, and a witness behind it that counts what must never pass.

    client -- lan0 [ this namespace: the firewall ] wan0 -- server

The client floods the server's port 9 (allowed, source NAT to 10.2.0.254), port 7 (dropped in forward) and
port 8 (dropped in prerouting). The server counts in netdev ingress, where nothing is lost: packets to 7 or 8,
and packets that still have the client's address. Both must be zero whatever the role."""
import os
import re
import subprocess
import time

from rules_lab import Lab, TOOL, run

STORM = os.environ["RULES_STORM"]
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


class Tool:
    """rules_tool in the background: until its end of input."""

    def __init__(self, *words):
        self.process = subprocess.Popen([TOOL, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "watching\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.output = self.process.stdout.read()
        self.process.wait(timeout=20)


class Witness:
    """When forbidden packets pass: how many, and the time from the first to the last."""

    def __init__(self, lab):
        self.process = subprocess.Popen(
            lab.words("server", "tcpdump", "-i", "eth0", "-n", "-tt", "-q", "--immediate-mode", "-l", "-B", "16384",
                      "udp and (dst port 7 or dst port 8 or src net 10.1.0.0/24)"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "listening" not in self.process.stderr.readline():
            assert self.process.poll() is None, "tcpdump"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(0.2)
        self.process.terminate()
        self.lines = [line for line in self.process.communicate()[0].splitlines() if line[:1].isdigit()]
        times = [float(line.split()[0]) for line in self.lines]
        self.count = len(times)
        self.span_ms = (times[-1] - times[0]) * 1000 if times else 0.0


def with_storm(story, clean=True):
    """`clean`: whether not one forbidden packet may pass."""
    lab = StormLab()
    storm = None
    try:
        with open("fw.nft", "w") as file:
            file.write(MASTER)
        run(TOOL, "brace")  # as carpd does before it loads
        run(TOOL, "load", "edge", os.path.abspath("fw.nft"), "-", "lan0,wan0",
            "10.1.0.254/24,10.2.0.254/24", "m")
        lab.on("server", "nft", "-f", "-", text=WITNESS)
        storm = lab.storm()
        story(lab)
        seen = lab.counters()
        print(f"  witness: {seen}")
        assert storm.poll() is None, "the storm died"
        assert seen["passed"] > 0, "nothing passed at all: this proves nothing"
        if clean:
            assert seen["forbidden"] == 0 and seen["unnatted"] == 0, seen
    finally:
        if storm:
            storm.kill()
            storm.wait()
        lab.close()
