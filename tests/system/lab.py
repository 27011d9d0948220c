"""The drill's lab for system tests: `carpool drill lab` steered over its standard input and output.

`with Lab(config) as lab:` builds the cluster of a config in a room of its own (mount, PID and network namespaces); when
the block, or this process, ends in whatever way, the kernel takes everything away. Orders are those of
ctl/drill/labserver.h; run() and popen() start other programs on a machine: a node's name, `@lan0` for the host on that
segment, `@switch` for the switches. inside() moves this thread into a machine's network namespace, for raw sockets.
Needs root; where it cannot run, skip() ends the test with 77. Nothing here sleeps and hopes: wait() has deadlines.
"""
import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time

COMMAND = os.environ.get("CARPOOL_COMMAND", "build/ctl/carpool")
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

RULES = """
table inet edge {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state invalid counter drop
		ct state established,related counter accept
		iifname "lan0" oifname "wan0" ct state new counter accept
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		ct state invalid counter drop
		ct state established,related counter accept
		ip saddr { 10.9.9.1, 10.9.9.2 } tcp dport 3780 ct state new counter accept
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" ip saddr 10.1.0.0/24 snat ip to 10.2.0.254
	}
}
"""

CONFIG = """
cluster: edge
keys: [edge.key]
nodes:
  fw1: { id: 1, address: 10.9.9.1 }
  fw2: { id: 2, address: 10.9.9.2, advskew: 100 }
election: { advbase: %(advbase)s %(election)s }
groups:
  edge:
    vhid: 51
    interfaces:
      lan0: [10.1.0.254/24]
      wan0: [10.2.0.254/24]
    rules: { master: edge.nft }
sync: { mode: warm %(sync)s }
"""


class LabError(AssertionError):
    """The lab said no."""


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def need_root():
    if os.geteuid() != 0:
        skip("needs root")


def wait(condition, seconds, what):
    """The condition's first true value; an AssertionError that names what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (seconds, what))
        time.sleep(0.02)


class Lab:
    """config: a path, or None for CONFIG with these values filled in."""

    def __init__(self, config=None, advbase="10ms", election="", sync="", rules=RULES, start=True, link=1000):
        self.folder = tempfile.TemporaryDirectory(prefix="drill-test-")
        if config is None:
            config = os.path.join(self.folder.name, "cluster.yaml")
            with open(config, "w", encoding="ascii") as out:
                out.write(CONFIG % {"advbase": advbase, "election": election, "sync": sync})
            with open(os.path.join(self.folder.name, "edge.nft"), "w", encoding="ascii") as out:
                out.write(rules)
        words = [COMMAND, "drill", "lab", "--config", config, "--report", self.folder.name, "--link", str(link)]
        self.process = subprocess.Popen(words + ([] if start else ["--no-start"]), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        try:
            self.about = self.hear()
        except BaseException:
            self.close()
            raise
        self.pid = self.about["pid"]

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise LabError("the lab has ended, status %s" % self.process.wait())
        answer = json.loads(line)
        if not answer.pop("ok"):
            raise LabError(answer["error"])
        return answer

    def do(self, order, **fields):
        """One order; its answer."""
        self.process.stdin.write(json.dumps({"do": order, **fields}) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def close(self):
        if self.process:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None
            self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.show_logs()
        self.close()

    def show_logs(self):
        for name in sorted(os.listdir(self.about["logs"])):
            with open(os.path.join(self.about["logs"], name), encoding="utf-8", errors="replace") as log:
                print("---- %s (its end)" % name, *log.readlines()[-30:], sep="\n", file=sys.stderr)

    def words(self, where, argv):
        return ["nsenter", "-a", "-t", str(self.pid), "ip", "netns", "exec", where, *argv]

    def run(self, where, *argv, check=True, **options):
        """A program on a machine, to its end; its standard output."""
        done = subprocess.run(self.words(where, argv), capture_output=True, text=True, check=False, timeout=60, **options)
        if check and done.returncode != 0:
            raise LabError("%s on %s: %s%s" % (argv, where, done.stdout, done.stderr))
        return done.stdout

    def popen(self, where, *argv, **options):
        return subprocess.Popen(self.words(where, argv), **options)

    def path(self, inside):
        """A file of the room, as seen from outside."""
        return "/proc/%d/root%s" % (self.pid, inside)

    def node(self, name):
        return self.about["nodes"][name]

    def carpool(self, node, *words, check=True):
        return self.run(node, os.path.realpath(COMMAND), *words, "--runtime-dir", self.node(node)["runtime_dir"], check=check)

    def status(self, node):
        """The status document, or {} while carpd does not answer."""
        text = self.carpool(node, "status", "--json", check=False)
        document = json.loads(text) if text.startswith("{") else {}
        return document if "groups" in document else {}

    def state(self, node):
        groups = self.status(node).get("groups", [])
        return groups[0]["state"] if groups else None

    def steady(self, master="fw1", seconds=30):
        """All is well and this node (None: any) is master. A hand-over that a busy machine spoils is asked for again."""
        deadline = time.monotonic() + seconds
        while True:
            self.do("wait-steady", timeout_ms=seconds * 1000)
            now = self.do("master")["master"]
            if master in (None, now):
                return now
            try:
                self.do("handover", node=now)
            except LabError:
                if time.monotonic() > deadline:
                    raise

    @contextlib.contextmanager
    def inside(self, where):
        """This thread in that machine's network namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.path("/run/netns/" + where), os.O_RDONLY)
        try:
            if LIBC.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            if LIBC.setns(home, CLONE_NEWNET) != 0:
                os._exit(70)  # nothing good can come of going on in a wrong namespace
            os.close(home)
            os.close(there)
