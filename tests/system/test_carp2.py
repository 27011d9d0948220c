#!/usr/bin/env python3
"""carpool and Debian's real ucarp share an address: who has it, in every case of doc/protocol-carp2.md; and what a pair
of carpool nodes makes of the same wire.

The cases run side by side, each on a segment of its own (carp2_lab.py): a second is ucarp's unit, so they wait and do
not work. No case judges a time by more than a deadline; the times that were seen are printed, for the table in the doc.
With CARP2_PCAP=FOLDER what was on the wire is left there; where tshark is installed its dissector reads all of it.
"""
import concurrent.futures
import hashlib
import hmac
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from carp2_lab import PASSPHRASE, VHID, VIP, Carp2Lab, Tap, inside, wait

SLOW = 60  # a machine that is ten times slower
HOLD = "startup_hold: 5s, settle: 100ms"
SEEN = []


def seen(case, ours, theirs, result):
    SEEN.append(f"| {case} | {ours} | {theirs} | {result} |")


def steady(lab, host, seconds=3):
    """Nobody else takes it meanwhile."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert lab.holders() == [host.name], (lab.holders(), host.name)
        time.sleep(0.25)


def reason(node):
    return node.json("history")["transitions"][-1]["reason"]


def ucarp_dies(folder):
    """ucarp is master; carpool starts as its backup, without preempt; ucarp loses its power, comes back as the
    lesser one, then as the better one without -P."""
    with Carp2Lab(skews=(10, 20), election=f"preempt: false, {HOLD}") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        ucarp.start(100)
        lab.wait_holder(ucarp, SLOW, "ucarp alone")
        fw1.start("carpd")
        wait(lambda: fw1.state() == "backup" and fw1.group("office")["carp2"]["alive"], SLOW, "fw1 a backup that hears ucarp")
        check = fw1.carpool("status", "--check")
        assert check.returncode == 0, (check.returncode, check.stdout, check.stderr)
        assert "by CARPv2 alone" in fw1.carpool("status").stdout, fw1.carpool("status").stdout
        steady(lab, ucarp)
        seen("start beside a lesser master", "backup, skew 10, no preempt", "master, skew 100", "ucarp keeps it")
        ucarp.kill()
        took = lab.wait_holder(fw1, SLOW, "after ucarp's end")
        assert reason(fw1) == "MASTER_DEAD", fw1.json("history")
        seen("the master loses its power", "backup", "master", f"carpool has it after {took:.1f} s (MASTER_DEAD)")
        ucarp.start(0)
        steady(lab, fw1, 6)
        seen("it comes back as the better one", "master, skew 10", "backup, skew 0, without -P", "carpool keeps it")
        tap.write_pcap(f"{folder}/ucarp_dies.pcap")


def carpool_dies(folder):
    """carpool is master: kill -9 (its guard bows out), power loss, and back as a backup each time."""
    with Carp2Lab(skews=(10, 20), election=f"preempt: false, {HOLD}") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        fw1.start("carpd")
        lab.wait_holder(fw1, SLOW, "fw1 alone")
        ucarp.start(100)
        wait(lambda: "BACKUP" in ucarp.switches(), SLOW, "ucarp a backup")
        steady(lab, fw1)
        check = fw1.carpool("status", "--check")
        assert check.returncode == 0, (check.returncode, check.stdout, check.stderr)
        seen("start beside a better master", "master, skew 10", "backup, skew 100", "carpool keeps it")
        fw1.kill("carpd")
        took = lab.wait_holder(ucarp, SLOW, "after kill -9")
        bows = [frame for _, frame in tap.of("10.1.0.1") if frame[36] == 255 and frame[39] == 255]
        assert bows, "the guard has not bowed out"
        seen("kill -9 on carpd", "master", "backup", f"ucarp has it after {took:.1f} s (the guard bows out)")
        fw1.start("carpd")
        wait(lambda: fw1.state() == "backup", SLOW, "fw1 a backup")
        steady(lab, ucarp, 2)
        seen("restart", "backup, skew 10, no preempt", "master, skew 100", "ucarp keeps it")
        tap.write_pcap(f"{folder}/carpool_dies.pcap")


def power_loss_and_sigterm(folder):
    """carpool is master and is cut off without a word; then it is told to stop in order."""
    with Carp2Lab(skews=(10, 20), election=f"preempt: true, {HOLD}") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        fw1.start("carpd")
        lab.wait_holder(fw1, SLOW, "fw1 alone")
        ucarp.start(100, "-P")
        wait(lambda: "BACKUP" in ucarp.switches(), SLOW, "ucarp a backup")
        lab.cut(fw1)
        took = lab.wait_holder(ucarp, SLOW, "after the cut")
        seen("the master's cable is pulled", "master", "backup", f"ucarp has it after {took:.1f} s")
        lab.cut(fw1, up=True)
        took = lab.wait_holder(fw1, SLOW, "fw1 preempts")
        assert reason(fw1) == "BETTER_PEER", fw1.json("history")
        steady(lab, fw1, 4)
        seen("and plugged in again", "backup, skew 10, preempt", "master, skew 100",
             f"carpool has it after {took:.1f} s (BETTER_PEER)")
        assert fw1.end("carpd", SLOW) == 0
        took = lab.wait_holder(ucarp, SLOW, "after SIGTERM")
        seen("SIGTERM", "master", "backup", f"ucarp has it after {took:.1f} s (bow-out)")
        tap.write_pcap(f"{folder}/power_loss.pcap")


def ucarp_preempts(folder):
    """The better ucarp with -P takes it from carpool, which leaves at once."""
    with Carp2Lab(skews=(100, 20), election=f"preempt: true, {HOLD}") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        fw1.start("carpd")
        lab.wait_holder(fw1, SLOW, "fw1 alone")
        ucarp.start(10, "-P")
        took = lab.wait_holder(ucarp, SLOW, "ucarp preempts")
        assert reason(fw1) == "BETTER_PEER", fw1.json("history")
        steady(lab, ucarp, 4)
        seen("ucarp preempts", "master, skew 100, preempt", "backup, skew 10, -P", f"ucarp has it after {took:.1f} s")
        tap.write_pcap(f"{folder}/ucarp_preempts.pcap")


def both_start(folder, skew, theirs):
    """Both preempt and start together: the lower skew has it in the end, and it stays there."""
    with Carp2Lab(skews=(skew, 20), election=f"preempt: true, {HOLD}") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        fw1.start("carpd")
        ucarp.start(theirs, "-P")
        winner = fw1 if skew < theirs else ucarp
        wait(lambda: fw1.state() in ("backup", "master"), SLOW, "fw1 past its hold")
        lab.wait_holder(winner, SLOW, "the lower skew")
        steady(lab, winner, 4)
        seen("both start at once", f"skew {skew}, preempt", f"skew {theirs}, -P",
             f"{'carpool' if winner is fw1 else 'ucarp'} has it")
        tap.write_pcap(f"{folder}/both_start_{skew}.pcap")


def tie(folder):
    """Equal skews, both masters after a cut of the wire between living carriers: the lower address stays."""
    with Carp2Lab(skews=(50, 20), election=f"preempt: true, {HOLD}") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        fw1.start("carpd")
        lab.wait_holder(fw1, SLOW, "fw1 alone")
        lab.block(fw1, ucarp)
        ucarp.start(50, "-P")
        wait(lambda: lab.holders() == ["fw1", ucarp.name], SLOW, "two masters")
        lab.unblock()
        took = lab.wait_holder(fw1, SLOW, "the tie")
        steady(lab, fw1, 4)
        seen("two masters meet, equal skews", "10.1.0.1", "10.1.0.11",
             f"carpool (the lower address) alone after {took:.1f} s")
        tap.write_pcap(f"{folder}/tie.pcap")


def virtual_mac(folder):
    """The virtual Ethernet address is the source of a master's adverts, as with the BSDs."""
    with Carp2Lab(skews=(10, 20), election=f"preempt: false, {HOLD}") as lab, Tap(lab) as tap:
        ucarp, fw1 = lab.ucarps[0], lab.fw1
        if fw1.run("ip", "link", "add", "m0", "link", "lan0", "type", "macvlan").returncode:
            print("no macvlan here: virtual_mac is left out")
            return
        fw1.run("ip", "link", "del", "m0")
        with open(lab.config) as file:
            text = file.read().replace(f"[{VIP}/24]", f"{{ addresses: [{VIP}/24], virtual_mac: true }}")
        with open(lab.config, "w") as file:
            file.write(text)
        ucarp.start(100, "-P")
        lab.wait_holder(ucarp, SLOW, "ucarp alone")
        fw1.start("carpd")
        wait(lambda: fw1.state() == "backup", SLOW, "fw1 a backup")
        ucarp.kill()
        lab.wait_holder(fw1, SLOW, "after ucarp's end")
        wait(lambda: bytes.fromhex("00005e00012a") in {frame[6:12] for _, frame in tap.of("10.1.0.1")}, SLOW,
             "an advert from the virtual Ethernet address")


def others(folder):
    """Another passphrase and another vhid are no masters; each has its name."""
    with Carp2Lab(skews=(100, 20), ucarps=2, election=f"preempt: false, {HOLD}") as lab, Tap(lab) as tap:
        fw1 = lab.fw1
        fw1.start("carpd")
        lab.wait_holder(fw1, SLOW, "fw1 alone")
        lab.ucarps[0].start(0, "-P", "-p", "hate", address="10.1.0.250")
        lab.ucarps[1].start(0, "-P", "-v", "43", address="10.1.0.251")
        wait(lambda: {"CARP2_AUTH", "CARP2_VHID"} <= set(fw1.drops()), SLOW, lambda: f"both drops, now {fw1.drops()}")
        assert fw1.has_vip() and fw1.state() == "master"
        seen("another passphrase; another vhid", "master", "master of its own", "dropped: CARP2_AUTH, CARP2_VHID")
        tap.write_pcap(f"{folder}/others.pcap")


def body(frame):
    return frame[34:70]


def counter(frame):
    return int.from_bytes(body(frame)[8:16], "big")


def crafted(number, base=1, skew=0, v6="fd01::fe", source="10.1.0.99"):
    """A foreign node's advert, written a second time from the format."""
    message = bytes([2, 1, VHID]) + socket.inet_aton(VIP) + socket.inet_pton(socket.AF_INET6, v6) + \
        number.to_bytes(8, "big")
    tag = hmac.new(PASSPHRASE.encode().ljust(20, b"\0"), message, hashlib.sha1).digest()
    carp = struct.pack("!BBBBBBH", 0x21, VHID, skew, 7, 0, base, 0) + number.to_bytes(8, "big") + tag
    carp = carp[:6] + checksum(carp) + carp[8:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0x10, 56, 1, 0x4000, 255, 112, 0) + socket.inet_aton(source) + \
        socket.inet_aton("224.0.0.18")
    ip = ip[:10] + checksum(ip) + ip[12:]
    return bytes.fromhex("01005e000012" "00005e00002a" "0800") + ip + carp


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack("!H", ~total & 0xffff)


def inject(lab, node, frames):
    """To that node alone."""
    with inside(lab.lan), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((node.name, 0))
        for frame in frames:
            wire.send(frame)


def dropped(node, name, count, frames):
    wait(lambda: node.drops().get(name, 0) >= count, SLOW, lambda: f"{count} of {name}: {node.drops()}, {len(frames)}")


def settled(lab):
    """fw1 has it, fw2 is a proven backup of it."""
    wait(lambda: lab.fw1.state() == "master" and lab.fw2.state() == "backup" and lab.fw2.peer("office").get("alive"),
         SLOW, lambda: f"fw1 master, fw2 backup: {lab.fw1.group('office')} {lab.fw2.group('office')}")


def strict_pair(folder):
    """counter: strict: one sender, one growing counter; nothing twice, not after a reboot either; no strangers."""
    with Carp2Lab(ucarps=0, skews=(10, 20), election=f"counter: strict, {HOLD}", more=", 'fd01::fe/64'") as lab, Tap(lab) as tap:
        fw1, fw2 = lab.firewalls
        fw1.start("carpd")
        fw2.start("carpd")
        settled(lab)
        wait(lambda: len(tap.of("10.1.0.1")) >= 3, SLOW, "three adverts of fw1")
        frames = [frame for _, frame in tap.of("10.1.0.1")]
        numbers = [counter(frame) for frame in frames]
        assert numbers == sorted(set(numbers)) and {n >> 56 for n in numbers} == {1}, numbers
        assert not tap.of("10.1.0.2"), "a backup has spoken"
        assert "CARP2_REPLAY" not in fw2.drops(), "both families are heard, each advert once"
        inject(lab, fw2, frames)
        dropped(fw2, "CARP2_REPLAY", len(frames), frames)
        inject(lab, fw2, [crafted(7), crafted(numbers[-1] + 1000, base=255, skew=255)])
        dropped(fw2, "CARP2_FOREIGN", 1, [])
        assert fw2.state() == "backup" and fw1.state() == "master"
        assert fw2.carpool("handover", "--to", "fw2").returncode == 0
        assert lab.holders() == ["fw2"], lab.holders()
        assert not [f for _, f in tap.of("10.1.0.1") if body(f)[5] == 255], "a hand-over is no bow-out"
        fw2.kill("carpd")
        took = lab.wait_holder(fw1, SLOW, "after kill -9 of fw2")
        assert reason(fw1) == "MASTER_RESIGNED", fw1.json("history")
        frames = [frame for _, frame in tap.of("10.1.0.2")]
        assert frames and not [f for f in frames if body(f)[5] == 255], "a peer was there: no bow-out"
        fw2.start("carpd")
        wait(lambda: fw1.peer("office").get("alive"), SLOW, "fw2's new life is proven")
        before = fw1.drops().get("CARP2_UNPROVEN", 0)
        inject(lab, fw1, frames)
        dropped(fw1, "CARP2_UNPROVEN", before + len(frames), frames)
        assert fw1.state() == "master" and lab.holders() == ["fw1"]
        print(f"strict pair: kill -9 cost {took:.2f} s")


def pair_without_sync(folder):
    """The sync link is cut: CARPv2 alone tells fw2 that fw1 lives; then fw1 dies, and a replay does not revive it."""
    with Carp2Lab(ucarps=0, skews=(10, 20), election=f"counter: lenient, {HOLD}") as lab, Tap(lab) as tap:
        fw1, fw2 = lab.firewalls
        fw1.start("carpd")
        fw2.start("carpd")
        settled(lab)
        lab.ip("link set sync0 down", fw1.namespace)
        wait(lambda: not fw2.peer("office").get("alive"), SLOW, "no native advert any more")
        steady(lab, fw1, 5)
        assert fw2.state() == "backup" and fw2.group("office")["carp2"]["node"] == "fw1", fw2.group("office")
        lab.block(fw1, fw2)
        frames = [frame for _, frame in tap.of("10.1.0.1")]
        begun = time.monotonic()

        def taken():
            inject(lab, fw2, frames)
            return fw2.state() == "master"
        wait(taken, SLOW, lambda: f"fw2 master in spite of replays: {fw2.group('office')} {fw2.drops()}")
        print(f"pair without a sync link: taken over after {time.monotonic() - begun:.1f} s")
        assert fw2.drops()["CARP2_REPLAY"] >= len(frames), fw2.drops()
        assert reason(fw2) == "MASTER_DEAD", fw2.json("history")
        lab.unblock()
        lab.wait_holder(fw1, SLOW, "the rule of CARP: the lower skew")


def dissect(folder):
    """tshark's CARP dissector reads every packet of ours and finds nothing wrong."""
    if not shutil.which("tshark"):
        print("tshark is not installed: nothing dissected")
        return
    for name in sorted(os.listdir(folder)):
        words = ["tshark", "-r", f"{folder}/{name}", "-d", "ip.proto==112,carp", "-T", "fields", "-e", "carp.vhid",
                 "-e", "carp.checksum.status", "-e", "_ws.malformed", "-e", "_ws.expert.severity"]
        lines = subprocess.run(words, capture_output=True, text=True, timeout=120).stdout.splitlines()
        assert lines, name
        for line in lines:
            vhid, status, malformed, expert = (line.split("\t") + [""] * 4)[:4]
            assert vhid in ("42", "43") and status in ("1", "Good") and not malformed and not expert, (name, line)
        print(f"tshark: {name}: {len(lines)} packets, no error")


def main():
    keep = os.environ.get("CARP2_PCAP")
    with tempfile.TemporaryDirectory(prefix="carp2-pcap-") as own:
        folder = keep or own
        cases = [(strict_pair,), (pair_without_sync,)]
        if shutil.which("ucarp"):
            cases += [(ucarp_dies,), (carpool_dies,), (power_loss_and_sigterm,), (ucarp_preempts,), (both_start, 10, 100),
                      (both_start, 100, 10), (tie,), (virtual_mac,), (others,)]
        else:
            print("ucarp is not installed: its cases are left out")
        failed = 0
        with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
            jobs = {pool.submit(case, folder, *rest): (case.__name__, *rest) for case, *rest in cases}
            for job in concurrent.futures.as_completed(jobs):
                try:
                    job.result()
                    print("ok   ", *jobs[job], flush=True)
                except SystemExit:
                    return 77
                except Exception:
                    failed += 1
                    print("FAILED", *jobs[job], flush=True)
                    traceback.print_exc()
        if not failed:
            dissect(folder)
        print("\n".join(SEEN))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
