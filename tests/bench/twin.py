"""The benches' lab: two firewalls between a client and a server, on which carpool or keepalived runs.

      client 10.1.0.10                     server 10.2.0.100
         |                                    |
      [ br-lan ]--f1-lan  f2-lan    f1-wan--[ br-wan ]--f2-wan         [ br-sync ]--f1-sync, f2-sync
                    |       |          |                  |
                  lan0    lan0       wan0               wan0           sync0 10.9.9.1, 10.9.9.2
                   fw1     fw2        fw1                fw2

All switches are in one namespace, the sync link's too, so that every cable of a node can be cut at one instant
(strike.c). A node's programs run in a PID namespace of their own: power_off() kills all of them at once and takes
away what a reboot would. Whatever runs here is the same to the bench: start(), steady(), home(), moves(), pids().
"""
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

BUILD = os.environ.get("CARPOOL_BUILD", "build")
LIBC = ctypes.CDLL(None, use_errno=True)
NODES = ("fw1", "fw2")
SEGMENTS = ("lan", "wan", "sync")
VIPS = {"lan0": "10.1.0.254/24", "wan0": "10.2.0.254/24"}
TARGET = "10.2.0.100"
STALL_MIN_US = 2000
DEAD_FACTOR = 3
CONFIRM = "{ questions: 5, spacing: 1ms }"
CONFIRM_MS = 5.0


class BenchError(RuntimeError):
    """The lab, or what runs in it, does not do what a run needs."""


def wait(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise BenchError("not within %g s: %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.004)


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def descendants(pid):
    """The process and all below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir("/proc/%d/task" % parent):
                with open("/proc/%d/task/%s/children" % (parent, thread)) as children:
                    found += [int(word) for word in children.read().split()]
    return found


def threads(pids):
    """(pid, thread) -> (name, seconds of processor time, times it was switched to), from /proc."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as stat, \
                        open("/proc/%d/task/%s/comm" % (pid, thread)) as comm:
                    time_ns, _, turns = stat.read().split()
                    found[pid, thread] = (comm.read().strip(), int(time_ns) / 1e9, int(turns))
    return found


def processor_time(before, after, seconds):
    """By thread name: [percent of one core, turns a second], of all that live; and "all"."""
    total = {"all": [0.0, 0.0]}
    for key, (name, spent, turns) in after.items():
        _, spent_before, turns_before = before.get(key, (name, 0.0, 0))
        for what in (name, "all"):
            sums = total.setdefault(what, [0.0, 0.0])
            sums[0] += 100 * (spent - spent_before) / seconds
            sums[1] += (turns - turns_before) / seconds
    return {name: [round(percent, 3), round(turns, 1)] for name, (percent, turns) in total.items() if turns > 0.5}


class Lab:
    def __init__(self):
        if os.geteuid() != 0:
            raise BenchError("needs root")
        self.prefix = "bench-%d-" % os.getpid()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(prefix="bench-", dir=memory)
        os.chmod(self.folder.name, 0o755)
        self.switch, self.client, self.server = self.prefix + "sw", self.prefix + "cl", self.prefix + "sv"

    def netns(self, node):
        return self.prefix + node

    def ports(self, node):
        return ["f%s-%s" % (node[2:], segment) for segment in SEGMENTS]

    def batch(self, tool, namespace, lines, force=False):
        done = subprocess.run([tool, "-n", namespace, *(["-force"] if force else []), "-batch", "-"],
                              input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
        if done.returncode and not force:
            raise BenchError("%s in %s: %s" % (tool, namespace, done.stderr.strip()))

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in (self.switch, self.client, self.server, *map(self.netns, NODES)):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        self.folder.cleanup()

    def build(self):
        for name in (self.switch, self.client, self.server, *map(self.netns, NODES)):
            subprocess.run(["ip", "netns", "add", name], check=True)
        lines = []
        for segment in SEGMENTS:
            lines += ["link add br-%s type bridge stp_state 0 forward_delay 0 mcast_snooping 0" % segment,
                      "link set br-%s up" % segment]
            ends = [("f%s-%s" % (node[2:], segment), segment + "0", self.netns(node)) for node in NODES]
            if segment != "sync":
                ends.append(("h-" + segment, "eth0", self.client if segment == "lan" else self.server))
            for port, far, where in ends:
                lines += ["link add %s type veth peer name %s netns %s" % (port, far, where),
                          "link set %s master br-%s up" % (port, segment)]
        self.batch("ip", self.switch, lines)
        self.batch("ip", self.client, ["link set eth0 up", "addr add 10.1.0.10/24 dev eth0", "route add default via 10.1.0.254"])
        self.batch("ip", self.server, ["link set eth0 up", "addr add %s/24 dev eth0" % TARGET, "route add default via 10.2.0.254"])
        for number, node in enumerate(NODES, 1):
            self.batch("ip", self.netns(node), ["link set lo up"] + ["link set %s0 up" % s for s in SEGMENTS] + [
                "addr add 10.1.0.%d/24 dev lan0" % number, "addr add 10.2.0.%d/24 dev wan0" % number,
                "addr add 10.9.9.%d/24 dev sync0" % number])
            for name in ("net.ipv4.ip_forward=1", "net.ipv4.conf.lan0.promote_secondaries=1",
                         "net.ipv4.conf.wan0.promote_secondaries=1"):
                subprocess.run(["ip", "netns", "exec", self.netns(node), "sysctl", "-qw", name], check=True)

    def mend(self, node):
        """The ports forward again."""
        self.batch("bridge", self.switch, ["link set dev %s state 3" % port for port in self.ports(node)])

    def strike(self, node, phase_us, rate=4000, limit_ms=10000, quiet_ms=100):
        done = subprocess.run([BUILD + "/tests/bench/strike", "--client", self.client, "--server", self.server, "--switch",
                               self.switch, "--target", TARGET, "--rate", str(rate), "--quiet", str(quiet_ms), "--phase",
                               str(phase_us), "--limit", str(limit_ms), *self.ports(node)],
                              capture_output=True, text=True, check=False, preexec_fn=die_with_parent)
        result = json.loads(done.stdout or '{"error":"strike ended without a word"}')
        if "error" in result:
            raise BenchError("strike: " + result["error"])
        return result


class Machine:
    """One node's programs, in a PID namespace each."""

    def __init__(self, lab, node):
        self.lab, self.node, self.running = lab, node, []
        self.dir = "%s/%s" % (lab.folder.name, node)
        os.makedirs(self.dir, exist_ok=True)

    def start(self, name, argv):
        with open("%s/%s.log" % (self.dir, name), "w") as log:  # of this life alone
            process = subprocess.Popen(["ip", "netns", "exec", self.lab.netns(self.node), "unshare", "-pf", "--mount-proc",
                                        "--kill-child=SIGKILL", *argv],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        self.running.append(process)

    def log(self, name):
        with contextlib.suppress(FileNotFoundError), open("%s/%s.log" % (self.dir, name), errors="replace") as log:
            return log.read()
        return ""

    def pids(self):
        return [pid for process in self.running for pid in descendants(process.pid)[1:]]

    def power_off(self):
        """Everything dies at once; what a reboot takes away is gone."""
        for process in self.running:
            for pid in descendants(process.pid)[1:2]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running = []
        self.lab.batch("ip", self.lab.netns(self.node),
                       ["addr del %s dev %s" % (address, link) for link, address in VIPS.items()], force=True)
        subprocess.run(["ip", "netns", "exec", self.lab.netns(self.node), "nft", "flush", "ruleset"],
                       capture_output=True, check=False)


RULES = """table inet edge {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state invalid counter drop
		ct state established,related counter accept
		iifname "lan0" oifname "wan0" ct state new counter accept
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" ip saddr 10.1.0.0/24 snat ip to 10.2.0.254
	}
}
"""

CARPOOL = """cluster: bench
keys: [edge.key]
nodes:
  fw1: { id: 1, address: 10.9.9.1 }
  fw2: { id: 2, address: 10.9.9.2, advskew: %(skew)d }
election:
  advbase: %(advbase)s
  preempt: false
  startup_hold: %(hold)dms
%(confirm)s
groups:
  edge:
    vhid: 51
    interfaces:
      lan0: [10.1.0.254/24]
      wan0: [10.2.0.254/24]
%(rest)s
"""


class Carpool:
    """carpd on both nodes; with full=True also rules and syncd. confirm: the text of the key, or "off"."""

    def __init__(self, lab, advbase_ms, skew=100, confirm="off", full=False):
        self.lab, self.full = lab, full
        self.machines = {node: Machine(lab, node) for node in NODES}
        folder = lab.folder.name
        rest = "    rules: { master: edge.nft }\nsync: {}\n" if full else ""
        with open(folder + "/cluster.yaml", "w") as out:
            out.write(CARPOOL % {"skew": skew, "advbase": "%gms" % advbase_ms, "rest": rest,
                                 "confirm": "  confirm: %s" % confirm,
                                 "hold": max(50, 5 * advbase_ms)})
        with open(folder + "/edge.nft", "w") as out:
            out.write(RULES)
        if not os.path.exists(folder + "/edge.key"):
            subprocess.run([BUILD + "/ctl/carpool", "keygen", folder + "/edge.key"], check=True, capture_output=True)

    def start(self, node):
        machine = self.machines[node]
        for daemon in ("carpd", "syncd") if self.full else ("carpd",):
            for kind in ("run", "state"):
                os.makedirs("%s/%s" % (machine.dir, kind), exist_ok=True)
            machine.start(daemon, ["%s/%s/%s" % (os.path.realpath(BUILD), daemon, daemon), "--config",
                                   self.lab.folder.name + "/cluster.yaml", "--node", node, "--runtime-dir",
                                   machine.dir + "/run", "--state-dir", machine.dir + "/state"])

    def ask(self, node, op, **fields):
        """The result, or None while nobody answers."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            try:
                line.connect(self.machines[node].dir + "/run/carpd.sock")
                line.sendall((json.dumps({"op": op, **fields}) + "\n").encode())
                items = []
                for text in line.makefile():
                    answer = json.loads(text)
                    if "item" not in answer:
                        return items if items else answer.get("result")
                    items.append(answer["item"])
            except OSError:
                pass
        return None

    def group(self, node):
        return ((self.ask(node, "status") or {}).get("groups") or [{}])[0]

    def settled(self):
        """fw1 master, fw2 a ready backup, every path heard both ways."""
        for node, state, other in (("fw1", "master", "backup"), ("fw2", "backup", "master")):
            group = self.group(node)
            peer = (group.get("peers") or [{}])[0]
            if group.get("state") != state or peer.get("state") != other or not peer.get("ready") or \
                    not all(path["alive"] and path["heard_by_peer"] for path in peer["paths"]):
                return False
        return True

    def steady(self, seconds=15):
        wait(self.settled, seconds, lambda: "fw1 master, fw2 ready: %s %s" % (self.group("fw1"), self.group("fw2")))

    def home(self, seconds=20):
        """fw1 has joined; it gets the group (back), as often as a stall of the machine takes it away meanwhile."""
        def is_home():
            if self.group("fw1").get("state") == "backup" and self.group("fw2").get("state") == "master":
                self.ask("fw2", "handover", to="fw1")
            return self.settled()
        wait(is_home, seconds, lambda: "fw1 back and master: %s %s" % (self.group("fw1"), self.group("fw2")))

    def moves(self, since, until=float("inf")):
        """Transitions between two wall-clock instants, as (node, text)."""
        found = []
        for node in NODES:
            for entry in self.ask(node, "history") or []:
                at = parse_time(entry["time"])
                if since < at < until:
                    found.append((at, "%s %s -> %s %s" % (node, entry["from"], entry["to"], entry["reason"])))
        return sorted(found)

    def pids(self, node):
        return self.machines[node].pids()

    def power_off(self, node):
        self.machines[node].power_off()

    def stop(self):
        for node in NODES:
            self.power_off(node)


def parse_time(text):
    whole, fraction = text.rstrip("Z").split(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone + float("0." + fraction)


KEEPALIVED = """global_defs {
	router_id %(node)s
	vrrp_version 3
	vrrp_rt_priority 50
	vrrp_rlimit_rttime 2000000
	vrrp_no_swap
}
vrrp_sync_group edge {
	group { LAN WAN }
}
%(instances)s
"""

INSTANCE = """vrrp_instance %(name)s {
	state BACKUP
	interface %(link)s
	virtual_router_id 51
	priority %(priority)d
	advert_int %(advert_s)g
	virtual_ipaddress { %(vip)s dev %(link)s }
}
"""


class Keepalived:
    """Debian's keepalived, VRRPv3: a sync group of one instance a side, as its manual advises for firewalls, with real
    time and locked memory as carpd has them (and no limit of it: with the default of 10 ms it kills itself here). The standby's priority is 254 - skew: the same skew of its master-down time
    in parts of an interval as CARP's advskew."""

    def __init__(self, lab, advbase_ms, skew=100):
        self.lab = lab
        self.machines = {node: Machine(lab, node) for node in NODES}
        for node, priority in (("fw1", 254), ("fw2", 253 - max(0, skew - 1))):
            instances = "".join(INSTANCE % {"name": name, "link": link, "priority": priority, "vip": VIPS[link],
                                            "advert_s": advbase_ms / 1000} for name, link in (("LAN", "lan0"), ("WAN", "wan0")))
            with open(self.machines[node].dir + "/keepalived.conf", "w") as out:
                out.write(KEEPALIVED % {"node": node, "instances": instances})
            os.chmod(out.name, 0o644)

    def start(self, node):
        machine = self.machines[node]
        for name in ("keepalived", "vrrp"):  # of a life that was killed: it would refuse to start
            with contextlib.suppress(FileNotFoundError):
                os.unlink("%s/%s.pid" % (machine.dir, name))
        machine.start("keepalived", ["stdbuf", "-oL", "keepalived", "-n", "-l", "-D", "-P", "-f", machine.dir + "/keepalived.conf", "-p",
                                     machine.dir + "/keepalived.pid", "-r", machine.dir + "/vrrp.pid"])

    def states(self, node):
        """Every state that the LAN and the WAN instance have entered, oldest first."""
        return re.findall(r"\((LAN|WAN)\) Entering (\w+) STATE", self.machines[node].log("keepalived"))

    def has(self, node, state):
        last = dict(self.states(node))
        return last.get("LAN") == state and last.get("WAN") == state

    def steady(self, seconds=15):
        wait(lambda: self.has("fw1", "MASTER") and self.has("fw2", "BACKUP"), seconds,
             lambda: "fw1 master, fw2 backup: %s %s" % (self.states("fw1")[-4:], self.states("fw2")[-4:]))
        self.counts = {node: len(self.states(node)) for node in NODES}

    def home(self, seconds=20):
        self.steady(seconds)  # it preempts by itself

    def moves(self, since, until=float("inf")):
        """Its log's times are whole seconds: what was entered since steady(), but for what a cut has caused: the
        standby's two instances."""
        new = [(0, "%s %s %s" % (node, name, state)) for node in NODES
               for name, state in self.states(node)[self.counts[node]:]]
        expected = [] if until == float("inf") else ["fw2 LAN MASTER", "fw2 WAN MASTER"]
        for text in expected:
            for move in new:
                if move[1] == text:
                    new.remove(move)
                    break
        return new

    def pids(self, node):
        return self.machines[node].pids()

    def power_off(self, node):
        self.machines[node].power_off()

    def stop(self):
        for node in NODES:
            self.power_off(node)


def tolerance_ms(advbase_ms, confirm):
    """How long a master may be stalled without any harm: without rapid confirmation all adverts but the first that a
    master-down time holds; with it, the questions' time and the margin before them (doc/decisions/0014)."""
    return advbase_ms * (DEAD_FACTOR - 1) if confirm == "off" else CONFIRM_MS + min(2, advbase_ms / 4)


class Witness:
    """The machine's own stalls (witness.c), until stop(): they, and the worst of every processor."""

    def __init__(self, seconds):
        self.process = subprocess.Popen([BUILD + "/tests/bench/witness", str(STALL_MIN_US), str(int(seconds) + 60)],
                                        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def stop(self):
        self.process.terminate()
        lines = [json.loads(line) for line in self.process.communicate()[0].splitlines()]
        return lines[:-1], lines[-1]


def explain(at, reach, stalls, tolerance):
    """The stall longer than the tolerance that overlaps the time `reach` before `at`, or None."""
    for stall in stalls:
        if stall["ms"] > tolerance and stall["at"] <= at + 0.005 and stall["at"] + stall["ms"] / 1000 >= at - reach:
            return stall
    return None
