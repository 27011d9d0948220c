"""A real pair (pair.py) in a packet storm, and a witness on the WAN's wire that counts what must never pass.

The LAN's host floods the WAN's: port 9 is allowed and translated, port 7 dropped in forward, port 8 dropped in
prerouting. The witness counts in netdev ingress, where nothing is lost: packets to 7 or 8, and packets that still
have the LAN host's address. Each event below is one that must let none of them pass; each is followed by proof that
what is allowed passes again."""
import contextlib
import os
import re
import signal
import subprocess
import time

import pair as lab

WITNESS = """
table netdev witness {
	counter forbidden { }
	counter unnatted { }
	counter passed { }
	chain in {
		type filter hook ingress device "br0" priority 0;
		ip saddr { 10.1.0.10, 10.2.0.254 } udp dport { 7, 8 } counter name "forbidden"
		ip saddr 10.1.0.10 ip protocol udp counter name "unnatted"
		ip saddr 10.2.0.254 udp dport 9 counter name "passed"
		ip protocol udp drop
	}
}
"""
PRE = "\tchain pre { type filter hook prerouting priority raw; policy accept; udp dport %s drop; }\n"
FORWARD = 'udp dport %s drop\n\t\tiifname "lan0" oifname "wan0"'


def rules(pre, forward):
    """The same is forbidden by both of them together, whichever hook has it."""
    text = lab.RULES.replace("table inet edge {\n", "table inet edge {\n" + PRE % pre)
    return text.replace('iifname "lan0" oifname "wan0"', FORWARD % forward)


# The two that a reload goes to and fro between: half of one and half of the other would let something pass.
RULES = (rules("8", "7"), rules("7", "8"))


class StormPair(lab.Pair):
    def __init__(self, **options):
        super().__init__(advbase="100ms", daemons=False, **options)
        self.tally, self.version = {}, 0
        self.write()

    def write(self):
        with open(self.dir + "/edge.nft", "w") as file:
            file.write(RULES[self.version % 2])
        self.version += 1

    def __enter__(self):
        super().__enter__()
        try:
            self.build_storm()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def build_storm(self):
        subprocess.run(["ip", "netns", "exec", self.wan, "nft", "-f", "-"], input=WITNESS, text=True, check=True)
        self.flood = subprocess.Popen(["ip", "netns", "exec", self.lan, os.environ["RULES_STORM"], "10.2.0.100", "9,7,9,8"],
                                      stdout=subprocess.PIPE)
        assert self.flood.stdout.readline() == b"READY\n"

    def remove(self):
        flood = getattr(self, "flood", None)
        if flood:
            flood.kill()
            flood.wait()
        super().remove()

    def counters(self):
        listing = subprocess.run(["ip", "netns", "exec", self.wan, "nft", "list", "counters"], check=True,
                                 capture_output=True, text=True).stdout
        return {k: int(v) for k, v in re.findall(r"counter (\w+) \{\n\t\tpackets (\d+)", listing)}

    @contextlib.contextmanager
    def event(self, name, passes=True):
        """One event: afterwards the allowed packets pass, and not one of the others has."""
        try:
            yield
            if passes:
                before = self.counters()["passed"]
                lab.wait(lambda: self.counters()["passed"] > before + 100, 30, f"traffic passes after: {name}")
        finally:
            seen = self.counters()
            assert seen["forbidden"] == 0 and seen["unnatted"] == 0, f"{name}: {seen}"
        self.tally[name] = self.tally.get(name, 0) + 1

    def roles(self):
        master = lab.wait(self.master, 30, "there is a master")
        return master, next(node for node in self.nodes if node is not master)

    def both_ready(self):
        """A master, and a standby that it could hand over to."""
        def ready():
            master = self.master()
            return master and master.peer().get("ready") and master
        master = lab.wait(ready, 60, lambda: f"a ready standby; now {[node.group() for node in self.nodes]}")
        return master, next(node for node in self.nodes if node is not master)

    # ---- the events of issue 5: start, switch, reload, guard, crash, foreign flush, lost table ----

    def starts(self):
        with self.event("start"):
            self.start_all()

    def handover(self):
        master, other = self.both_ready()
        with self.event("hand-over"):
            # A standby that has just come back may be ready, and for a moment not, while its flows are compared.
            lab.wait(lambda: master.carpool("handover", timeout=60).returncode == 0, 30, "the hand-over")
            lab.wait(lambda: other.state() == "master", 10, "its end")

    def handovers_back_to_back(self, seconds):
        """As many as go into the time, without looking in between."""
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            master, _ = self.both_ready()
            count += master.carpool("handover", timeout=60).returncode == 0
        with self.event("hand-over"):
            pass
        self.tally["hand-over"] += count - 1
        return count

    def reload_both(self):
        master, other = self.both_ready()
        self.write()
        for node in (master, other):
            with self.event("reload"):
                done = node.carpool("reload", timeout=120)
                assert done.returncode == 0 and "other rules" in done.stdout, done.stdout + done.stderr

    def killed_carpd(self):
        """The guard withdraws, the other takes over, the dead one comes back."""
        master, other = self.both_ready()
        with self.event("guard: carpd killed"):
            master.kill("carpd")
            lab.wait(lambda: other.state() == "master", 30, "the other takes over")
        self.back(master)

    def frozen_carpd(self):
        """The guard acts for a carpd that does not run, which finds itself a backup when it does."""
        master, other = self.both_ready()
        with self.event("guard: carpd frozen"):
            master.kill("carpd", signal.SIGSTOP)
            try:
                lab.wait(lambda: other.state() == "master", 30, "the other takes over")
                lab.wait(lambda: not master.has_any_vip(), 30, "the guard withdraws")
            finally:
                master.kill("carpd", signal.SIGCONT)
            lab.wait(lambda: master.state() == "backup", 30, "the frozen one is a backup")

    def crashed(self):
        """carpd, its guard and its helper at once: nobody is left to do anything."""
        master, other = self.both_ready()
        with self.event("crash: carpd, guard and helper"):
            family = subprocess.run(["ps", "-o", "pid=", "--ppid", str(master.daemons["carpd"].pid)],
                                    capture_output=True, text=True).stdout.split()
            for pid in [str(master.daemons["carpd"].pid), *family]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            master.daemons["carpd"].wait()
            lab.wait(lambda: other.state() == "master", 30, "the other takes over")
            lab.wait(lambda: not master.has_any_vip(), 30, "the addresses' lifetimes end")
        self.back(master)

    def ended(self):
        """SIGTERM hands over; the node starts again over what it left."""
        master, other = self.both_ready()
        with self.event("stop"):
            assert master.end("carpd", 20) == 0
            lab.wait(lambda: other.state() == "master", 30, "the other takes over")
        self.back(master)

    def back(self, node):
        with self.event("start over an earlier run's rules"):
            node.start("carpd")
            self.both_ready()

    def flushed_master(self):
        """It hands over to the one that still has rules."""
        master, other = self.both_ready()
        with self.event("flush on the master"):
            master.run("nft", "flush", "ruleset")
            lab.wait(lambda: other.state() == "master", 30, "the standby takes over")
        self.mended(master)

    def flushed_standby(self):
        master, other = self.both_ready()
        with self.event("flush on the standby"):
            other.run("nft", "flush", "ruleset")
            lab.wait(lambda: not master.peer().get("ready", True), 30, "it is not ready")
        self.mended(other)

    def flushed_lonely_master(self):
        """Nobody to hand over to: closed until its rules are back."""
        master, other = self.both_ready()
        other.end("carpd", 20)
        with self.event("flush on a lonely master"):
            master.run("nft", "flush", "ruleset")
            lab.wait(lambda: "RULES_MISSING" in [alarm["code"] for alarm in master.status().get("alarms", [])], 30,
                     "it is told")
            self.repair(master)
        self.back(other)

    def deleted_table(self):
        """The master's table deleted before a promotion: refused, the standby stays; forced, too."""
        master, other = self.both_ready()
        with self.event("master table deleted before a promotion"):
            other.run("nft", "delete", "table", "inet", "edge")
            for words in (("handover",), ("handover", "--force")):
                assert master.carpool(*words, timeout=60).returncode != 0, "handed over to a node without rules"
                lab.wait(lambda: master.state() == "master" and other.state() == "backup", 30, "the roles stay")
            assert "table inet edge" not in other.run("nft", "list", "tables").stdout, "a ghost"
        self.mended(other)

    def meddled(self):
        """A rule added on the master, found by the diff, gone after the repair."""
        master, _ = self.both_ready()
        with self.event("repair"):
            master.run("nft", "insert", "rule", "inet", "edge", "forward", "udp", "dport", "53", "accept")
            lab.wait(lambda: "udp dport 53" in master.carpool("rules", "diff").stdout, 30, "the diff shows it")
            self.repair(master)
            assert "udp dport 53" not in master.run("nft", "list", "ruleset").stdout

    def witness_sees(self):
        """The proof that it would have told: the last of all, as nothing is zero afterwards."""
        master, _ = self.both_ready()
        master.run("nft", "insert", "rule", "inet", "edge", "forward", "accept")
        lab.wait(lambda: self.counters()["forbidden"] > 0, 30, "the witness sees what an open firewall lets pass")

    def repair(self, node):
        """Events travel: until carpd has seen what was done there is nothing to repair."""
        lab.wait(lambda: "loaded again" in node.carpool("rules", "repair", timeout=120).stdout, 60, "the repair")

    def mended(self, node):
        with self.event("repair after a loss"):
            self.repair(node)
            self.both_ready()


ROUND = ("handover", "reload_both", "killed_carpd", "frozen_carpd", "ended", "flushed_master", "flushed_standby",
         "deleted_table", "meddled")
SLOW = ("crashed", "flushed_lonely_master")  # addresses live 5 s
