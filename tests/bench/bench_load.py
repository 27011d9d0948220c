#!/usr/bin/env python3
"""Does a machine without a free cycle, or one whose kernel locks are busy, make carpool move a group, or miss an advert?

    ./dev bench load [--seconds 600] [--advbase 10] [--confirm off|on] [--part cpu,churn] [--json FILE]

A pair in the benches' lab (twin.py) with carpd at --advbase and SCHED_FIFO, and:
  cpu    twice as many endless loops as there are processors, for --seconds;
  churn  one process that loads and deletes 20,000 rules in a loop, and 500 links that come and go, for a tenth of
         --seconds. Both in namespaces of their own: RTNL is one lock for all, the processors are the same. With
         --rules-in fw1 the rules are loaded in the master's own tables' namespace: its commit lock is contended, too.

Three observers run beside. The witness (witness.c) stands above carpd in the scheduler and notes when the machine itself
did not run: a hypervisor that takes a processor away for 50 ms is not carpd's doing. The packet sockets note at the
standby, by the kernel's time stamps, when each of the master's adverts arrived, path by path. And carpd's histories
tell of every transition. The verdict: a failover that overlaps a stall longer than the tolerance is listed apart with
that stall; any other is a failure, and so is an advert missed (nothing came on a path for two intervals) that no stall
explains. (A kernel without preemption, `preempt=none` or `voluntary`, lets nobody run on the processor where it commits
20,000 rules: 100 ms and more, which the witness sees as well as carpd does. `preempt=full` ends that.)
"""
import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import twin

RULES_COUNT = 20000
LINKS_COUNT = 500
LIST_MAX = 12
SO_TIMESTAMPNS = 35
ETH_P_IP = 0x0800


class Adverts:
    """The arrivals of the master's adverts at the standby: per path the gaps between them."""

    def __init__(self, lab, advbase_ms):
        self.interval = advbase_ms / 1000
        self.running, self.paths, self.threads = True, {}, []
        for link in ("lan0", "wan0", "sync0"):
            with inside(lab.netns("fw2")):
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
                sock.bind((link, ETH_P_IP))
            sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE: a starved reader must not lose any
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.settimeout(0.2)
            self.paths[link] = {"arrivals": 0, "late": [], "max_ms": 0.0}
            thread = threading.Thread(target=self.read, args=(sock, self.paths[link]))
            thread.start()
            self.threads.append(thread)

    def read(self, sock, path):
        last = None
        while self.running:
            try:
                data, control, _, address = sock.recvmsg(2048, 64)
            except TimeoutError:
                continue
            if address[2] == socket.PACKET_OUTGOING or data[9] != 112:
                continue
            seconds, nanoseconds = struct.unpack("qq", control[0][2])
            at = seconds + nanoseconds / 1e9
            if last is not None:
                gap = at - last
                path["max_ms"] = max(path["max_ms"], round(gap * 1000, 3))
                if gap > 1.5 * self.interval:
                    path["late"].append((last, gap))
            path["arrivals"] += 1
            last = at
        sock.close()

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()


class inside:
    """This thread in a network namespace, for sockets."""

    def __init__(self, name):
        self.name = name

    def move(self, path):
        there = os.open(path, os.O_RDONLY)
        if twin.LIBC.setns(there, 0x40000000):
            raise OSError("setns " + path)
        os.close(there)

    def __enter__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.move("/run/netns/" + self.name)

    def __exit__(self, *_):
        twin.LIBC.setns(self.home, 0x40000000)
        os.close(self.home)


def loops(seconds):
    """Twice as many as processors; each ends by itself, whatever becomes of us."""
    return [subprocess.Popen(["timeout", "-s", "KILL", str(seconds + 60), "sh", "-c", "while :; do :; done"],
                             preexec_fn=twin.die_with_parent) for _ in range(2 * os.cpu_count())]


def shell_loop(namespace, seconds, command):
    return subprocess.Popen(["ip", "netns", "exec", namespace, "timeout", "-s", "KILL", str(seconds + 60), "sh", "-c",
                             "while :; do %s; done" % command], preexec_fn=twin.die_with_parent,
                            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def churn(lab, seconds, options):
    folder = lab.folder.name
    with open(folder + "/many.nft", "w") as out:
        out.write("table inet many {\n chain c {\n  type filter hook output priority 10;\n")
        for i in range(RULES_COUNT):
            out.write("  ip daddr 198.18.%d.%d udp dport %d counter drop\n" % (i >> 8 & 255, i & 255, 1024 + i % 60000))
        out.write(" }\n}\n")
    with open(folder + "/links.txt", "w") as out:
        out.writelines("link add d%d type dummy\n" % i for i in range(LINKS_COUNT))
        out.writelines("link set d%d up\n" % i for i in range(LINKS_COUNT))
        out.writelines("link del d%d\n" % i for i in range(LINKS_COUNT))
    for name in "xy":
        subprocess.run(["ip", "netns", "add", lab.prefix + name], check=True)
    many = "nft -f %s/many.nft; echo >> %s/loads; nft delete table inet many" % (folder, folder)
    links = "ip -force -batch %s/links.txt; echo >> %s/linkloops" % (folder, folder)
    where = lab.prefix + "x" if options.rules_in == "own" else lab.netns(options.rules_in)
    return [shell_loop(where, seconds, many), shell_loop(lab.prefix + "y", seconds, links)]


def end(processes):
    for process in processes:
        for pid in twin.descendants(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()


def count_lines(path):
    return open(path).read().count("\n") if os.path.exists(path) else 0


def late_adverts(adverts, interval, moves):
    """Gaps of two intervals and more while fw1 was master from their beginning to their end, one entry for all paths."""
    first_move = min((at for at, _ in moves), default=float("inf"))
    found = []
    for at, gap, link in sorted((last, gap, link) for link, path in adverts.paths.items() for last, gap in path["late"]):
        if gap <= 2 * interval or at + gap > first_move:
            continue
        if found and at - found[-1]["at"] < interval / 2:
            found[-1]["via"].append(link)
        else:
            found.append({"at": at, "gap_ms": round(gap * 1000, 2), "via": [link]})
    return found


def judge(part, moves, adverts, stalls, worst, options):
    """What happened, sorted into explained and not."""
    limit = twin.tolerance_ms(options.advbase, options.confirm)
    interval = options.advbase / 1000
    found = {"part": part, "tolerance_ms": limit, "witness": worst, "stalls": len(stalls),
             "stalls_over_tolerance": [stall for stall in stalls if stall["ms"] > limit],
             "paths": {link: {"adverts": path["arrivals"], "longest_gap_ms": path["max_ms"],
                              "over_1.5_intervals": len(path["late"])} for link, path in adverts.paths.items()}}
    found["moves"] = [{"at": at, "what": text, "stall": twin.explain(at, (twin.DEAD_FACTOR + 2) * interval, stalls, limit)}
                      for at, text in moves]
    found["missed"] = late_adverts(adverts, interval, moves)
    for entry in found["missed"]:
        # It was due an interval after the last one; what held it up is at most an interval shorter than the gap.
        entry["stall"] = twin.explain(entry["at"] + entry["gap_ms"] / 1000, entry["gap_ms"] / 1000, stalls,
                                 (entry["gap_ms"] - options.advbase) / 2)
    # A move begets others (the way back): the first of them is the one to be explained.
    found["unexplained"] = sum(entry["stall"] is None for entry in found["missed"] + found["moves"][:1])
    return found


def run_part(lab, pair, part, options):
    seconds = options.seconds if part == "cpu" else max(10, options.seconds // 10)
    pair.home()
    witness = twin.Witness(seconds)
    adverts = Adverts(lab, options.advbase)
    since = time.time()
    load = loops(seconds) if part == "cpu" else churn(lab, seconds, options)
    try:
        time.sleep(seconds)
        until = time.time()
    finally:
        end(load)
        adverts.stop()
        stalls, worst = witness.stop()
    time.sleep(0.5)
    found = judge(part, [move for move in pair.moves(since, until)], adverts, stalls, worst, options)
    found["seconds"] = seconds
    if part == "churn":
        found["loads_of_20000_rules"] = count_lines(lab.folder.name + "/loads")
        found["rounds_of_500_links"] = count_lines(lab.folder.name + "/linkloops")
        for name in "xy":
            subprocess.run(["ip", "netns", "del", lab.prefix + name], check=False)
    return found


def say(found):
    print("\n%s: %d s, tolerance of stalls %.1f ms" % (found["part"], found["seconds"], found["tolerance_ms"]))
    for name in ("loads_of_20000_rules", "rounds_of_500_links"):
        if name in found:
            print("  %-24s %d" % (name.replace("_", " "), found[name]))
    print("  witness: worst wake-up per processor %s ms%s; %d stalls over %g ms, %d over the tolerance" % (
        found["witness"]["worst_ms"], "" if found["witness"]["realtime"] else " (NOT real-time)", found["stalls"],
        twin.STALL_MIN_US / 1000, len(found["stalls_over_tolerance"])))
    for link, path in found["paths"].items():
        print("  adverts on %-6s %7d, longest gap %6.2f ms, %d gaps over 1.5 intervals" % (
            link, path["adverts"], path["longest_gap_ms"], path["over_1.5_intervals"]))
    for kind in ("moves", "missed"):
        for entry in found[kind][:LIST_MAX]:
            what = " ".join(str(value) for name, value in entry.items() if name != "stall")
            print("  %s %s: %s" % (kind, what, "a stall of %(ms).1f ms at %(at).3f, processor %(cpu)d" % entry["stall"]
                                   if entry["stall"] else "NO STALL EXPLAINS IT"))
        if len(found[kind]) > LIST_MAX:
            print("  ... and %d more" % (len(found[kind]) - LIST_MAX))
    print("  transitions: %d; adverts missed: %d; without an explanation: %d" % (
        len(found["moves"]), len(found["missed"]), found["unexplained"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--advbase", type=float, default=10, help="milliseconds")
    parser.add_argument("--confirm", choices=["off", "on"], default="off")
    parser.add_argument("--part", type=lambda text: text.split(","), default=["cpu", "churn"])
    parser.add_argument("--rules-in", choices=["own", "fw1", "fw2"], default="own")
    parser.add_argument("--json")
    options = parser.parse_args()
    document = []
    with twin.Lab() as lab:
        pair = twin.Carpool(lab, options.advbase, 100, twin.CONFIRM if options.confirm == "on" else "off")
        try:
            for node in twin.NODES:
                pair.start(node)
            for part in options.part:
                document.append(run_part(lab, pair, part, options))
                say(document[-1])
        finally:
            pair.stop()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(document, file, indent=1)
    return 1 if any(found["unexplained"] for found in document) else 0


if __name__ == "__main__":
    sys.exit(main())
