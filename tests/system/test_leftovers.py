#!/usr/bin/env python3
"""What a dead master leaves on the wire and on its interfaces, seen from the LAN: by an asker that wants to know every
20 ms who has the virtual address, and a tap on the dead node's cable. How the guard does its work is test_carpd_guard's;
here is what it comes to for everybody else, by cause of death. Figures are printed; the bounds are wide, because the
machine may be busy."""
import contextlib
import os
import signal
import socket
import struct
import threading
import time
import unittest

import pair as lab

VIP = "10.1.0.254"
ASK_EVERY_S = 0.02
PROTOCOL_CARP = 112
SO_TIMESTAMPNS = 35


class Wire:
    """Asks on the LAN for VIP; notes by node (the switch's port) who answers, and when a node says what else."""

    def __init__(self, pair):
        self.claims = {node.name: [] for node in pair.nodes}   # when it answered or announced for VIP
        self.announcements = {node.name: [] for node in pair.nodes}  # unasked ones alone
        self.adverts = {node.name: [] for node in pair.nodes}
        self.running = True
        with lab.inside(pair.lan):
            self.asker = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.asker.bind(("br0", 0))
            self.taps = {}
            for node in pair.nodes:
                tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                tap.bind((node.name, 3))
                tap.settimeout(0.2)
                tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                self.taps[node.name] = tap
            mac = self.asker.getsockname()[4]
        # As RFC 5227's probes: no sender address, so nobody learns anything from being asked.
        self.question = b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + \
            bytes(4) + bytes(6) + socket.inet_aton(VIP)
        self.threads = [threading.Thread(target=self.ask)] + [
            threading.Thread(target=self.listen, args=(name,)) for name in self.taps]

    def ask(self):
        while self.running:
            self.asker.send(self.question)
            time.sleep(ASK_EVERY_S)

    def listen(self, name):
        tap = self.taps[name]
        while self.running:
            try:
                frame, control, _, address = tap.recvmsg(4096, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = struct.unpack("qq", control[0][2])
            now = seconds + nanoseconds / 1e9  # when it was on the wire, however late we are
            if address[2] == socket.PACKET_OUTGOING:
                continue
            if frame[12:14] == b"\x08\x06" and frame[28:32] == socket.inet_aton(VIP):
                self.claims[name].append(now)
                if frame[38:42] == socket.inet_aton(VIP):
                    self.announcements[name].append(now)
            if frame[12:14] == b"\x08\x00" and frame[23] == PROTOCOL_CARP:
                self.adverts[name].append(now)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        lab.wait(lambda: any(self.claims.values()), 10, "somebody has the virtual address")
        return self

    def __exit__(self, *_):
        self.running = False
        for thread in self.threads:
            thread.join()
        for sock in (self.asker, *self.taps.values()):
            sock.close()

    def figures(self, dead, heir, since):
        """In ms after `since`: the dead node's last claim and last advert, the heir's first claim."""
        def after(times):
            return [1000 * (at - since) for at in list(times) if at > since]
        claims, adverts, heirs = after(self.claims[dead]), after(self.adverts[dead]), after(self.claims[heir])
        return max(claims, default=0), len(adverts), max(adverts, default=0), min(heirs, default=None)


def family(pid):
    """The process and all below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children") as file:
                    found += [int(word) for word in file.read().split()]
    return found


def kill_everything(node):
    """carpd, guard, helper and syncd at one instant: nobody may act on another's death."""
    pids = [pid for process in node.daemons.values() for pid in family(process.pid)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    for process in node.daemons.values():
        process.wait()
    return len(pids)


class Leftovers(unittest.TestCase):
    def dies(self, pair, wire, what, kill, seconds):
        """fw1 dies as told; fw2 takes over; fw1's addresses are gone within that time, and then it is silent."""
        fw1, fw2 = pair.nodes
        lab.wait(lambda: fw1.has_vips(), 5, "fw1 has the addresses")
        since = time.time()
        kill()
        lab.wait(lambda: not fw1.has_any_vip(), seconds, f"{what}: fw1's addresses are gone")
        gone = 1000 * (time.time() - since)
        lab.wait(lambda: fw2.state() == "master" and fw2.has_vips(), 10, f"{what}: fw2 takes over")
        lab.wait(lambda: wire.figures("fw1", "fw2", since)[3] is not None, 5, f"{what}: fw2 answers on the LAN")
        end = time.time()
        lab.wait(lambda: len([at for at in wire.claims["fw2"] if at > end]) >= 10, 5, "fw2 goes on answering")
        last_claim, adverts, last_advert, first_heir = wire.figures("fw1", "fw2", since)
        print(f"{what}: addresses off the interfaces after {gone:.0f} ms; on the wire: fw1's last claim of the address "
              f"{last_claim:.0f} ms, its last of {adverts} adverts {last_advert:.0f} ms, fw2's first claim "
              f"{first_heir:.0f} ms after it; both claimed it for {max(0, last_claim - first_heir):.0f} ms")
        self.assertLess(last_claim, gone + 500, "who has no address claims none")
        self.assertFalse([at for at in wire.claims["fw1"] if at > end], "fw1 claims the address no more")
        self.assertFalse(fw1.has_any_vip())
        return last_claim, last_advert

    def back(self, pair):
        """fw1 starts again, and is master again."""
        for process in pair.fw1.daemons.values():
            process.kill()
            process.wait()
        pair.start(pair.fw1)
        pair.settle("fw2")
        self.assertEqual(pair.fw1.carpool("handover", "--to", "fw1").returncode, 0)
        pair.settle("fw1")

    def test_causes_of_death(self):
        with lab.Pair() as pair, Wire(pair) as wire:
            fw1 = pair.fw1
            # The guard withdraws: nothing may be left after a moment, lifetimes need not help.
            _, last_advert = self.dies(pair, wire, "abort", lambda: fw1.kill("carpd", signal.SIGABRT), 4)
            self.assertLess(last_advert, 3000, "nothing but the resignation was said")
            self.assertEqual([e["reason"] for e in pair.fw2.json("history")["transitions"] if e["to"] == "master"][-1],
                             "MASTER_RESIGNED")
            self.back(pair)
            # Nobody is left to do anything, and nobody starts them again: the lifetimes of 5 s end it.
            killed = []
            self.dies(pair, wire, "kill of everything", lambda: killed.append(kill_everything(fw1)), 12)
            self.assertGreaterEqual(killed[0], 4, "carpd, guard, helper, syncd")
            self.assertEqual([e["reason"] for e in pair.fw2.json("history")["transitions"] if e["to"] == "master"][-1],
                             "MASTER_DEAD")


if __name__ == "__main__":
    lab.need_root()
    unittest.main(verbosity=1)
