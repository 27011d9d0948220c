#!/usr/bin/env python3
"""What does it cost to keep a standby filled, beside conntrackd on the same load, and beside the least possible?

    ./dev bench sync [--part load,lives,rate,table,cold] [--rounds 5] [--flows 500000] [--json FILE]

Two namespaces with a sync link; in them syncd (TLS on, mode warm: the standby's kernel is kept filled) and conntrackd
(FTFW, in clear, sockets and tables as large; its standby's kernel is filled by `conntrackd -c` at the promotion), one
after the other in each round, on the same generated load (sync_load.c: conntrack entries that are made and changed by
netlink, so that the kernel's events are those of traffic and the packets' own cost is not in the figures).

  load    100,000 flows made at 20,000/s, each changed once: CPU and wire bytes a flow and an event; the floor beside:
          a listener that looks at nothing
  lives   whole TCP connections at 2,000/s, seven events 50 ms apart: CPU and wire bytes a connection
  rate    the highest rate of whole connections of which no event is lost, none left behind, and no backlog outlives 5 s
  table   --flows flows as fast as they come: memory a flow, bulk, reconnection, promotion
  cold    mode on-promotion with --flows flows beside a bare batched injector, and conntrackd -c

CPU is the process's, by the scheduler's nanoseconds, system calls included. Wire bytes are both directions of the sync
link, cut into frames of 1,514 bytes. Medians of --rounds; the machine's load is told with every part, as the hash table of
conntrack is one for all namespaces. conntrackd is Debian's, installed by `./dev bench` alone.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

BUILD = os.environ.get("CARPOOL_BUILD", "build")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
os.environ.setdefault("SYNCD", BUILD + "/syncd/syncd")
import sync_lab  # noqa: E402

LOAD = os.path.abspath(BUILD + "/tests/bench/sync_load")
NODES = ("fw1", "fw2")
LIFE_EVENTS = 7
FRAME_BYTES, FRAME_HEADERS = 1514, 66
CONNTRACKD = """
Sync {
  Mode FTFW { ResendQueueSize 2097152 ACKWindowSize 300 CommitTimeout 86400 }
  UDP { IPv4_address 10.9.9.%(self)d IPv4_Destination_Address 10.9.9.%(peer)d Port 3781 Interface sync0
        SndSocketBuffer 67108864 RcvSocketBuffer 67108864 Checksum on }
}
General {
  HashSize 1048576 HashLimit 4194304 LogFile off Syslog off
  LockFile %(dir)s/ct%(self)d.lock
  UNIX { Path %(dir)s/ct%(self)d.ctl }
  NetlinkBufferSize 67108864 NetlinkBufferSizeMaxGrowth 268435456
  EventIterationLimit 2000
}
"""


def cpu_us(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
            total += int(file.read().split()[0])
    return total / 1000


def rss_bytes(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024


def machine():
    with open("/proc/loadavg") as file:
        load = file.read().split()[0]
    with open("/proc/stat") as file:
        cpus = sum(line.startswith("cpu") for line in file) - 1
    values = {}
    for name in ("max", "buckets"):
        with open("/proc/sys/net/netfilter/nf_conntrack_" + name) as file:
            values[name] = int(file.read())
    return {"processors": cpus, "loadavg_1m": float(load), "kernel": os.uname().release, "nf_conntrack": values}


class Bed:
    """The namespaces, the load, and what is read from them."""

    def __init__(self, mode="warm"):
        self.lab = sync_lab.Lab(mode=mode, extra="  liberal_grace: 10s")
        for node in NODES:
            # The strict chain and the translation are for packets, and here are none.
            self.lab.sh(node, "nft flush ruleset; sysctl -qw net.netfilter.nf_conntrack_events=1")

    def load(self, node, *args):
        out = self.lab.sh(node, " ".join([LOAD, *map(str, args)]), check=False)
        words = out.stdout.split()
        if len(words) != 4 or words[1] != "0":
            raise RuntimeError("sync_load %s: %s%s" % (args, out.stdout, out.stderr))
        return {"seconds": float(words[0]), "operations": int(words[2]), "cpu_us": float(words[3])}

    def count(self, node):
        return int(self.lab.sh(node, "cat /proc/sys/net/netfilter/nf_conntrack_count").stdout)

    def wire(self):
        stats = json.loads(self.lab.sh("fw1", "ip -j -s link show sync0").stdout)[0]["stats64"]
        total = 0
        for way in ("rx", "tx"):
            size, packets = stats[way]["bytes"], stats[way]["packets"]
            total += size + max(0, size // FRAME_BYTES - packets) * FRAME_HEADERS
        return total

    def flush(self):
        for node in NODES:
            self.lab.sh(node, "conntrack -F", check=False)

    def close(self):
        self.lab.close()


class Syncd:
    name = "syncd"

    def __init__(self, bed):
        self.bed, self.lab = bed, bed.lab

    def start(self):
        self.lab.start("fw1", "master", "fw1", 5, 1)
        self.lab.start("fw2", "backup", "fw1", 5, 1)
        self.lab.wait_in_sync()
        time.sleep(0.3)
        self.pids = {node: self.lab.syncd_pid(node) for node in NODES}
        self.base = self.lab.metrics("fw1")["kernel_events"]

    def stop(self):
        for node in NODES:
            if node in self.lab.procs:
                self.lab.stop_syncd(node, signal.SIGKILL)
            self.lab.carpds.pop(node).close()

    def standby_flows(self):
        return self.lab.status("fw2")["flows"]

    def settled(self, flows):
        return self.standby_flows() == flows and self.lab.in_sync("fw1") and self.lab.in_sync("fw2")

    def events(self):
        metrics = self.lab.metrics("fw1")
        return metrics["kernel_events"] - self.base, metrics["kernel_events_lost"]

    def reconnect(self, flows):
        def connected():
            return all(self.lab.status(node)["peers"][0]["connected"] for node in NODES)
        self.lab.ip("fw1", "link", "set", "sync0", "down")
        sync_lab.wait_for("the dead peer is noticed", lambda: not connected(), 10)
        self.lab.ip("fw1", "link", "set", "sync0", "up")
        before = self.bed.wire()
        sync_lab.wait_for("connected", connected, 20, 0.002)
        began = time.monotonic()
        sync_lab.wait_for("in sync", lambda: self.settled(flows), 180, 0.01)
        return time.monotonic() - began, self.bed.wire() - before

    def promote(self):
        self.lab.ip("fw1", "link", "set", "sync0", "down")
        ms = self.lab.carpds["fw2"].become_master(6, 2, "fw2")
        own_ms = self.lab.metrics("fw2")["promotion_us"] / 1000
        self.lab.ip("fw1", "link", "set", "sync0", "up")
        return ms, own_ms


class Conntrackd:
    name = "conntrackd"

    def __init__(self, bed):
        self.bed, self.lab = bed, bed.lab
        self.procs = {}

    def config(self, node):
        return os.path.join(self.lab.dir, "conntrackd-%s.conf" % node)

    def ask(self, node, *args):
        return self.lab.sh(node, "conntrackd -C %s %s" % (self.config(node), " ".join(args)), check=False).stdout

    def start(self):
        for number, node in enumerate(NODES, 1):
            with open(self.config(node), "w") as out:
                out.write(CONNTRACKD % {"self": number, "peer": 3 - number, "dir": self.lab.dir})
            # Left by a kill; with it conntrackd does not start.
            for end in ("lock", "ctl"):
                path = "%s/ct%d.%s" % (self.lab.dir, number, end)
                if os.path.exists(path):
                    os.unlink(path)
            self.procs[node] = subprocess.Popen(["ip", "netns", "exec", self.lab.ns[node], "conntrackd", "-C",
                                                 self.config(node)], stdout=subprocess.DEVNULL,
                                                stderr=open(self.lab.dir + "/conntrackd.err", "a"))
        sync_lab.wait_for("conntrackd answers", lambda: all("cache" in self.ask(node, "-s") for node in NODES))
        time.sleep(2)  # the hello
        self.pids = {node: self.procs[node].pid for node in NODES}

    def stop(self):
        for process in self.procs.values():
            process.kill()
            process.wait()
        self.procs = {}

    def standby_flows(self):
        return int(re.search(r"cache external:\s+current active connections:\s+(\d+)", self.ask("fw2", "-s")).group(1))

    def settled(self, flows):
        return self.standby_flows() == flows

    def events(self):
        text = self.ask("fw1", "-s", "runtime")
        got = re.search(r"events received:\s+(\d+)", text)
        overflow = re.search(r"netlink overflow:\s+(\d+)", text) or re.search(r"resynchronizations? .*?(\d+)", text)
        lost = re.search(r"lost messages:\s+(\d+)|Lost msgs[^\d]+(\d+)", self.ask("fw2", "-s", "network"))
        gone = sum(int(value) for value in (lost.groups() if lost else ()) if value)
        return int(got.group(1)) if got else -1, gone + (int(overflow.group(1)) if overflow else 0)

    def reconnect(self, flows):
        before, began = self.bed.wire(), time.monotonic()
        self.ask("fw2", "-n")
        last, quiet = before, time.monotonic()
        while time.monotonic() - quiet < 1.5:  # it has no end mark
            time.sleep(0.05)
            now = self.bed.wire()
            if now - last > 2000:
                last, quiet = now, time.monotonic()
        return quiet - began, self.bed.wire() - before

    def promote(self):
        began = time.monotonic()
        self.ask("fw2", "-c")
        ms = (time.monotonic() - began) * 1000
        return ms, ms


def settle(system, flows, deadline_s=60):
    sync_lab.wait_for("%s has %d flows (it has %d)" % (system.name, flows, system.standby_flows()),
                      lambda: system.settled(flows), deadline_s, 0.05)


def measured(bed, system, work, flows, deadline_s=60):
    """CPU on either side and wire bytes of one piece of work, until the standby has `flows`."""
    before = [cpu_us(system.pids[node]) for node in NODES] + [bed.wire()]
    began = time.monotonic()
    done = work()
    settle(system, flows, deadline_s)
    seconds = time.monotonic() - began
    after = [cpu_us(system.pids[node]) for node in NODES] + [bed.wire()]
    source, standby, wire = (b - a for a, b in zip(before, after))
    return {"source_us": source, "standby_us": standby, "wire_bytes": wire, "seconds": seconds,
            "generator_us": done["cpu_us"]}


def each(figures, count, prefix):
    return {prefix + name: figures[name] / count for name in ("source_us", "standby_us", "wire_bytes", "generator_us")}


# ---- parts: each returns one round's figures of a system ----

def part_load(bed, system, options):
    count, rate = options.load_flows, options.load_rate
    system.start()
    found = each(measured(bed, system, lambda: bed.load("fw1", "create", count, rate), count), count, "create_")
    found.update(each(measured(bed, system, lambda: bed.load("fw1", "touch", count, rate), count), count, "update_"))
    if system.name == "conntrackd":
        before = cpu_us(system.pids["fw2"])
        system.promote()
        found["commit_us"] = (cpu_us(system.pids["fw2"]) - before) / count
    found["standby_all_us"] = found["create_standby_us"] + found.get("commit_us", 0)
    return found


def part_lives(bed, system, options):
    count = options.life_rate * 5
    system.start()
    found = each(measured(bed, system, lambda: bed.load("fw1", "lives", count, options.life_rate, 50), 0), count, "life_")
    found["event_source_us"] = found["life_source_us"] / LIFE_EVENTS
    found["life_both_us"] = found["life_source_us"] + found["life_standby_us"]
    return found


def holds_rate(bed, system, rate):
    """Whether three seconds of `rate` whole connections a second were replicated, and nothing of them lost."""
    count = rate * 3
    system.start()
    try:
        before, _ = system.events()
        done = bed.load("fw1", "lives", count, rate, 50)
        settle(system, 0, 5)
        events, lost = system.events()
        late = done["seconds"] >= 1.1 * (3 + 0.05 * LIFE_EVENTS)
        missing = count * LIFE_EVENTS - (events - before)
        if late or lost or missing > 0:
            print("%s, %d/s: the load took %.2f s%s, %d events lost, %d unheard" % (
                system.name, rate, done["seconds"], " (too long)" if late else "", lost, missing), file=sys.stderr)
        return not (late or lost or missing > 0)
    except AssertionError as error:
        print("%s, %d/s: %s" % (system.name, rate, error), file=sys.stderr)
        return False
    finally:
        system.stop()
        bed.flush()


def part_rate(bed, system, options):
    low, high = 0, options.rate_first
    while high <= 64000 and holds_rate(bed, system, high):
        low, high = high, high + 4000
    if low and holds_rate(bed, system, high - 2000):
        low = high - 2000
    return {"lives_per_s": low}


def part_table(bed, system, options):
    count = options.flows
    system.start()
    empty = {node: rss_bytes(system.pids[node]) for node in NODES}
    bulk = measured(bed, system, lambda: bed.load("fw1", "create", count, 0), count, 120)
    found = {"bulk_s": bulk["seconds"], "bulk_wire_bytes": bulk["wire_bytes"] / count}
    for node, role in zip(NODES, ("source", "standby")):
        found[role + "_rss_bytes"] = (rss_bytes(system.pids[node]) - empty[node]) / count
    found["reconnect_s"], found["reconnect_bytes"] = system.reconnect(count)
    found["promotion_ms"], found["promotion_own_ms"] = system.promote()
    found["promotion_missing"] = max(0, count - bed.count("fw2"))
    return found


def part_cold(bed, system, options):
    count = options.flows
    system.start()
    bed.load("fw1", "create", count, 0)
    settle(system, count, 120)
    bare = bed.load("s", "create", count, 0)
    bed.lab.sh("s", "conntrack -F", check=False)
    before = cpu_us(system.pids["fw2"])
    _, own_ms = system.promote()
    cold_us = cpu_us(system.pids["fw2"]) - before
    if bed.count("fw2") < count:
        raise RuntimeError("not every flow is in the kernel")
    return {"inject_per_s": count / own_ms * 1000, "inject_us": cold_us / count, "bare_per_s": count / bare["seconds"],
            "bare_us": bare["cpu_us"] / count, "of_bare_percent": 100 * count / own_ms * 1000 / (count / bare["seconds"])}


PARTS = {"load": part_load, "lives": part_lives, "rate": part_rate, "table": part_table, "cold": part_cold}


def floor(options):
    """A listener that looks at nothing, on the same events."""
    bed = Bed()
    try:
        listener = subprocess.Popen(["ip", "netns", "exec", bed.lab.ns["fw1"], LOAD, "listen"], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        for verb in ("create", "touch"):
            bed.load("fw1", verb, options.load_flows, options.load_rate)
        time.sleep(0.3)
        words = listener.communicate()[0].split()
        return {"listener_us": float(words[3]) / int(words[2]), "listener_events": int(words[2])}
    finally:
        bed.close()


def one(part, kind, options):
    bed = Bed("on-promotion" if part == "cold" else "warm")
    try:
        system = kind(bed)
        try:
            return PARTS[part](bed, system, options)
        finally:
            if part != "rate":
                system.stop()
    finally:
        bed.close()


def run_part(part, options):
    rounds = {kind.name: [] for kind in (Syncd, Conntrackd) if kind.name in options.only}
    found = {"part": part, "machine": machine(), "rounds": rounds, "floor": []}
    for number in range(options.rounds):
        for kind in (Syncd, Conntrackd):
            if kind.name in rounds:
                rounds[kind.name].append(one(part, kind, options))
        if part == "load":
            found["floor"].append(floor(options))
        print("%s: round %d of %d done" % (part, number + 1, options.rounds), file=sys.stderr)
    found["machine_after"] = machine()
    found["median"] = {name: medians(figures) for name, figures in rounds.items()}
    found["floor_median"] = medians(found["floor"])
    return found


def medians(figures):
    names = {name for one_round in figures for name in one_round}
    return {name: statistics.median(f[name] for f in figures if name in f) for name in sorted(names)}


def say(found):
    load = found["machine"]
    print("\n%s: %d processors, load %.1f before and %.1f after, Linux %s, conntrack buckets %d" % (
        found["part"], load["processors"], load["loadavg_1m"], found["machine_after"]["loadavg_1m"], load["kernel"],
        load["nf_conntrack"]["buckets"]))
    ours, theirs = found["median"].get("syncd", {}), found["median"].get("conntrackd", {})
    print("  %-26s %14s %14s %10s" % ("", "syncd", "conntrackd", "ratio"))
    for name in sorted(set(ours) | set(theirs)):
        mine, other = ours.get(name), theirs.get(name)
        print("  %-26s %14s %14s %10s" % (
            name, "-" if mine is None else "%.2f" % mine, "-" if other is None else "%.2f" % other,
            "%.2f" % (mine / other) if mine is not None and other else "-"))
    for name, value in found["floor_median"].items():
        print("  floor: %-19s %14.2f" % (name, value))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--only", type=lambda text: text.split(","), default=["syncd", "conntrackd"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flows", type=int, default=500000)
    parser.add_argument("--load-flows", type=int, default=100000)
    parser.add_argument("--load-rate", type=int, default=20000)
    parser.add_argument("--life-rate", type=int, default=2000)
    parser.add_argument("--rate-first", type=int, default=8000)
    parser.add_argument("--json")
    options = parser.parse_args()
    for part in options.part:
        if part not in PARTS:
            parser.error("no part %r: %s" % (part, ", ".join(PARTS)))
    if "conntrackd" in options.only and not shutil.which("conntrackd"):
        parser.error("conntrackd is not installed: use ./dev bench sync, or --only syncd")
    document = []
    for part in options.part:
        document.append(run_part(part, options))
        say(document[-1])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(document, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
