#!/usr/bin/env python3
"""Shows: adverts recorded on the wire are replayed to both nodes: at once, after the sender's reboot, after the
receiver's reboot with an empty state directory, recorded before the sender's reboot and replayed after it with the
receiver untouched, and recorded on lan0 and replayed on wan0. Never accepted, the drop counters say so, and the living
peer is never locked out. Forged ones too: flipped bits, another TTL, our own id, wrong lengths, from a wrong address."""
import contextlib
import random
import select
import shutil
import os
import socket
import time
import unittest

import pair as lab

ETH_P_ALL = 3
GROUP_MAC = bytes.fromhex("01005e000012")
STRANGER = bytes.fromhex("020000000066")


class Wire:
    """A packet socket on one interface of one namespace."""

    def __init__(self, namespace, interface):
        with lab.inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))

    def record(self, seconds, is_wanted=lambda frame: True):
        """Frames of IP protocol 112 that pass within that time."""
        frames, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                frame = self.socket.recv(4096)
                if frame[12:14] == b"\x08\x00" and frame[23] == 112 and is_wanted(frame):
                    frames.append(frame)
        return frames

    def send(self, frame):
        with contextlib.suppress(OSError):
            self.socket.send(frame)

    def close(self):
        self.socket.close()


def sender(frame):
    return frame[34 + 5]


def with_checksum(frame):
    head = bytearray(frame[14:34])
    head[10:12] = b"\0\0"
    total = sum(int.from_bytes(head[i:i + 2], "big") for i in range(0, 20, 2))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    head[10:12] = (~total & 0xffff).to_bytes(2, "big")
    return frame[:14] + bytes(head) + frame[34:]


class Replay(unittest.TestCase):
    def setUp(self):
        self.pair = lab.Pair(sync=False, advbase="50ms").__enter__()
        self.fw1, self.fw2 = self.pair.fw1, self.pair.fw2
        self.lan = Wire(self.pair.lan, "br0")
        self.wan = Wire(self.pair.wan, "br0")
        self.sync = {node.name: Wire(node.namespace, "sync0") for node in self.pair.nodes}

    def tearDown(self):
        for wire in [self.lan, self.wan, *self.sync.values()]:
            wire.close()
        self.pair.__exit__(None, None, None)

    def drops(self, node):
        with lab.Line(node.socket_path("carpd")) as line:
            return line.ask("metrics")["result"]["carpool_adverts_dropped_total"]

    def expect_dropped(self, node, before, least, names):
        """At least that many more drops, all by these names."""
        def more():
            now = self.drops(node)
            return {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name, 0)}
        lab.wait(lambda: sum(count for name, count in more().items() if name in names) >= least, 5,
                 f"{least} drops {names} on {node.name}; there were {more()}")
        self.assertTrue(set(more()) <= set(names) | {"EPOCH_UNPROVEN", "REPLAY"}, more())

    def expect_peace(self, master="fw1", term=None):
        """Both hear each other on every path, one master; nothing has moved."""
        for _ in range(20):
            for node in self.pair.nodes:
                group = node.group()
                self.assertEqual(group["master"], master)
                if term is not None:
                    self.assertEqual(group["term"], term)
            time.sleep(0.02)
        lab.wait(lambda: all(path["alive"] and path["heard_by_peer"] for node in self.pair.nodes
                             for path in node.peer()["paths"]), 3, "every path alive in both directions")

    def test_at_once(self):
        frames = self.lan.record(1)
        self.assertGreater(len(frames), 10)
        self.assertEqual({sender(frame) for frame in frames}, {1, 2})
        term, before = self.fw1.group()["term"], {node.name: self.drops(node) for node in self.pair.nodes}
        for frame in frames * 3:
            self.lan.send(frame)
        from_fw1 = 3 * sum(sender(frame) == 1 for frame in frames)
        self.expect_dropped(self.fw2, before["fw2"], from_fw1, {"REPLAY", "SELF"})
        self.expect_dropped(self.fw1, before["fw1"], len(frames) * 3 - from_fw1, {"REPLAY", "SELF"})
        self.expect_peace(term=term)

    def test_on_another_path(self):
        frames = self.lan.record(0.5)
        term, before = self.fw1.group()["term"], self.drops(self.fw2)
        for frame in frames:
            self.wan.send(frame)
        self.expect_dropped(self.fw2, before, len(frames) // 3, {"PATH", "SELF", "REPLAY"})
        self.assertGreater(self.drops(self.fw2).get("PATH", 0), before.get("PATH", 0))
        self.expect_peace(term=term)

    def reboot(self, node, empty):
        node.kill("carpd")
        if empty:
            shutil.rmtree(node.state_dir)
            os.mkdir(node.state_dir)
        node.start("carpd")

    def test_after_the_senders_reboot(self):
        """fw1 was master; it reboots; its old adverts of a master must neither bring it back nor lock it out."""
        frames = self.lan.record(1, lambda frame: sender(frame) == 1)
        self.reboot(self.fw1, empty=False)
        lab.wait(lambda: self.fw2.state() == "master", 5, "fw2 takes over")
        end = time.monotonic() + 2
        while time.monotonic() < end:                 # while fw1 starts, and after it
            for frame in frames:
                self.lan.send(frame)
            self.assertEqual(self.fw2.state(), "master")
            time.sleep(0.05)
        self.pair.settle(master="fw2")
        before = self.drops(self.fw2)
        for frame in frames:
            self.lan.send(frame)
        self.expect_dropped(self.fw2, before, len(frames), {"EPOCH_UNPROVEN", "EPOCH_CLOSED", "REPLAY"})
        self.expect_peace(master="fw2")

    def test_after_the_receivers_reboot_with_nothing_left(self):
        """Both are down, then fw2 alone comes up, empty, and hears only recordings of fw1 as master: they delay it,
        they do not forbid, and an alarm says so."""
        frames = self.lan.record(1, lambda frame: sender(frame) == 1)
        for node in self.pair.nodes:
            node.kill("carpd")
        self.reboot(self.fw2, empty=True)
        start, waited = time.monotonic(), None
        while time.monotonic() - start < 30 and not waited:
            for frame in frames:
                self.lan.send(frame)
            time.sleep(0.05)
            if self.fw2.state() == "master":
                waited = time.monotonic() - start
        self.assertTrue(waited, "recordings forbid a start for ever")
        self.assertIn("UNPROVEN_PEER", [alarm["code"] for alarm in self.fw2.status()["alarms"]])
        self.assertEqual(self.fw2.peer()["state"], "unknown")
        with lab.Line(self.fw2.socket_path("carpd")) as line:
            self.assertEqual(line.ask("metrics")["result"]["carpool_adverts_accepted_total"], 0)
        self.fw1.start("carpd")
        self.pair.settle(master="fw2")

    def test_forged(self):
        random.seed(51)
        frames = self.lan.record(0.5, lambda frame: sender(frame) == 1)
        term, before = self.fw1.group()["term"], self.drops(self.fw2)
        for frame in frames[:5]:
            for _ in range(100):
                forged = bytearray(frame)
                forged[random.randrange(34, len(frame))] ^= 1 << random.randrange(8)
                self.lan.send(bytes(forged))
            for ttl in (0, 1, 64, 254):
                self.lan.send(with_checksum(frame[:22] + bytes([ttl]) + frame[23:]))
            self.lan.send(frame[:-1])
            self.lan.send(frame + b"\0")
            self.lan.send(frame[:14])
            self.lan.send(frame[:34] + b"\x41")
            self.lan.send(with_checksum(frame[:26] + bytes([224, 0, 0, 1]) + frame[30:]))
        names = {"AUTH", "KEY_UNKNOWN", "VERSION", "TYPE", "LENGTH", "SHORT", "VALUE", "FRAME_TTL", "FRAME_SHORT",
                 "FRAME_TOTAL_LENGTH", "FRAME_SOURCE", "FRAME_CHECKSUM", "FRAME_PROTOCOL", "FRAME_FRAGMENT",
                 "FRAME_HEADER_LENGTH", "FRAME_VERSION"}
        self.expect_dropped(self.fw2, before, 500, names)
        self.assertEqual(self.drops(self.fw2)["FRAME_TTL"] - before.get("FRAME_TTL", 0), 20)
        self.expect_peace(term=term)

    def test_repeats_do_not_turn_answers_away(self):
        """The frame's source address is not signed: an advert repeated from another card must not make the node send
        its unicast adverts there."""
        own = self.sync["fw2"].record(0.5, lambda frame: sender(frame) == 1)
        self.assertGreater(len(own), 5)
        term = self.fw1.group()["term"]
        theirs = self.sync["fw2"].record(0.5, lambda frame: sender(frame) == 2)
        end, astray = time.monotonic() + 1, []
        while time.monotonic() < end:
            for frame in theirs:                            # fw2's own, repeated to fw1 by a stranger
                self.sync["fw2"].send(frame[:6] + STRANGER + frame[12:])
            astray += self.sync["fw2"].record(0.02, lambda frame: frame[:6] == STRANGER)
        self.assertEqual(astray, [])
        self.expect_peace(term=term)


if __name__ == "__main__":
    lab.need_root()
    unittest.main(verbosity=1)
