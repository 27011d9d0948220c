#!/usr/bin/env python3
"""Adverts that nobody should believe, sent to real daemons: forged, damaged, foreign, and recorded ones.

What is written down here stands in design section 6 and issue 2: dropped, counted by name, nothing changes - at once,
after the sender has rebooted, after the receiver has rebooted with an empty state directory, on another path - and the
living peer is never locked out by any of it.
"""
import contextlib
import hashlib
import hmac
import json
import os
import random
import shutil
import socket
import struct
import time
import unittest

import lab as lab_module
from lab import Lab, wait

PROTOCOL = 112
TAG = 32
ETH, IP = 14, 20
BODY = ETH + IP
ADVBASE = "50ms"  # a busy machine must not move the master while we look at what adverts do


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def with_ip(frame, ttl=255, body=None):
    """The frame with another TTL or body, its IP header right again."""
    body = frame[BODY:] if body is None else body
    header = bytearray(frame[ETH:BODY])
    header[2:4] = struct.pack("!H", IP + len(body))
    header[8] = ttl
    header[10:12] = b"\0\0"
    header[10:12] = struct.pack("!H", checksum(bytes(header)))
    return frame[:ETH] + bytes(header) + body


def derive(secret, label, size):
    """HKDF-SHA-256 (RFC 5869) without salt; one block is enough here."""
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, label.encode() + b"\x01", hashlib.sha256).digest()[:size]


class Signer:
    """Signs as the daemons do, written a second time, from common/advert.h and common/keyring.h."""

    def __init__(self, secret, cluster):
        self.cluster = cluster.encode().ljust(33, b"\0")
        self.key_id = derive(secret, "carpool v1|key id|" + cluster, 4)
        self.key = derive(secret, "carpool v1|advert|" + cluster, 32)

    def sign(self, body, key_id=None):
        body = body[:8] + (key_id or self.key_id) + body[12:-TAG]
        return body + hmac.new(self.key, self.cluster + body, hashlib.sha256).digest()


class Wire(unittest.TestCase):
    def setUp(self):
        self.lab = Lab(advbase=ADVBASE)
        self.addCleanup(self.lab.close)
        self.assertEqual(self.lab.steady("fw1"), "fw1")

    def port(self, node, segment):
        return "p%dn%d" % (self.lab.about["segments"][segment], self.lab.node(node)["index"])

    @contextlib.contextmanager
    def wire(self, node, segment):
        with self.lab.inside("@switch"):
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            sock.bind((self.port(node, segment), 3))
        sock.settimeout(0.2)
        try:
            yield sock
        finally:
            sock.close()

    def capture(self, node, segment, count=1, seconds=10, wanted=lambda body: True):
        """Adverts that the node sends on the segment."""
        frames = []
        with self.wire(node, segment) as sock:
            def more():
                try:
                    frame, address = sock.recvfrom(4096)
                except socket.timeout:
                    return False
                # What comes in at the switch's port is what the node sends.
                if address[2] != socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and \
                        frame[ETH + 9] == PROTOCOL and wanted(frame[BODY:]):
                    frames.append(frame)
                return len(frames) >= count
            wait(more, seconds, "%d adverts of %s on %s" % (count, node, segment))
        return frames

    def inject(self, node, segment, frames):
        with self.wire(node, segment) as sock:
            for frame in frames:
                sock.send(frame)

    def ask(self, node, op):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(5)
            control.connect(self.lab.path(self.lab.node(node)["runtime_dir"] + "/carpd.sock"))
            control.sendall((json.dumps({"op": op}) + "\n").encode())
            return json.loads(control.makefile().readline())["result"]

    def drops(self, node):
        return self.ask(node, "metrics")["carpool_adverts_dropped_total"]

    def world(self):
        """What must not change: who is who, in which term, and how often anything has moved."""
        view = {}
        for node in ("fw1", "fw2"):
            group = self.ask(node, "status")["groups"][0]
            moved = self.ask(node, "metrics")["groups"][0]["carpool_transitions_total"]
            view[node] = (group["state"], group["term"], group["master"], moved)
        return view

    def expect_drops(self, node, segment, frames, names):
        """All of the frames are dropped, under these names; nothing changes; the peers still hear each other."""
        before, world = self.drops(node), self.world()
        self.inject(node, segment, frames)

        def counted():
            now = self.drops(node)
            return sum(now.get(name, 0) - before.get(name, 0) for name in names) >= len(frames)
        try:
            wait(counted, 3, "drops of %s" % names)
        except AssertionError:
            self.fail("%d frames, expected under %s: before %s, after %s" % (len(frames), names, before, self.drops(node)))
        self.expect_alive()
        self.assertEqual(self.world(), world)

    def expect_alive(self):
        """The living peers hear each other on every path."""
        for node in ("fw1", "fw2"):
            def heard(node=node):
                paths = self.ask(node, "status")["groups"][0]["peers"][0]["paths"]
                return all(path["alive"] and path["heard_by_peer"] for path in paths)
            wait(heard, 5, "%s hears its peer on every path" % node)

    def test_bad_input(self):
        good = self.capture("fw1", "lan0")[0]
        body = good[BODY:]
        with open(self.lab.path("/run/carpool-drill/drill.key"), encoding="ascii") as key:
            secret = bytes.fromhex(key.read().strip())
        own, foreign = Signer(secret, "edge"), Signer(secret, "other")
        self.assertEqual(own.sign(body), body)  # our second implementation agrees with the first
        cases = {
            "TTL 254": (with_ip(good, ttl=254), ["FRAME_TTL", "TTL"]),
            "IP checksum": (good[:ETH + 10] + bytes([good[ETH + 10] ^ 1]) + good[ETH + 11:], ["FRAME_CHECKSUM"]),
            "nothing": (with_ip(good, body=b""), ["SHORT", "FRAME_SHORT"]),
            "short": (with_ip(good, body=body[:100]), ["SHORT", "LENGTH"]),
            "one byte more": (with_ip(good, body=body + b"\0"), ["LENGTH"]),
            "one byte less": (with_ip(good, body=body[:-1]), ["LENGTH"]),
            "wrong length field": (with_ip(good, body=own.sign(body[:6] + b"\xff\xff" + body[8:])), ["LENGTH"]),
            "wrong version": (with_ip(good, body=own.sign(bytes([0x51]) + body[1:])), ["VERSION"]),
            "wrong type": (with_ip(good, body=own.sign(bytes([0x49]) + body[1:])), ["TYPE", "VERSION"]),
            "unknown key": (with_ip(good, body=Signer(os.urandom(32), "edge").sign(body)), ["KEY_UNKNOWN"]),
            "wrong key, known name": (with_ip(good, body=Signer(os.urandom(32), "edge").sign(body, own.key_id)), ["AUTH"]),
            "wrong cluster": (with_ip(good, body=foreign.sign(body)), ["KEY_UNKNOWN"]),
            "wrong cluster, our key's name": (with_ip(good, body=foreign.sign(body, own.key_id)), ["AUTH"]),
            "stranger": (with_ip(good, body=own.sign(body[:5] + b"\x63" + body[6:])), ["SENDER_UNKNOWN"]),
        }
        for what, (frame, names) in cases.items():
            with self.subTest(what):
                self.expect_drops("fw2", "lan0", [frame], names)
        with self.subTest("own id"):
            self.expect_drops("fw1", "lan0", [good], ["SELF"])

    def test_flipped_bits(self):
        """Every byte is covered: one bit, anywhere, and the advert is nothing."""
        good = self.capture("fw1", "wan0")[0]
        rng = random.Random(2)
        frames = []
        for _ in range(300):
            bit = rng.randrange((len(good) - BODY) * 8)
            body = bytearray(good[BODY:])
            body[bit // 8] ^= 1 << bit % 8
            frames.append(with_ip(good, body=bytes(body)))
        self.expect_drops("fw2", "wan0", frames, ["AUTH", "LENGTH", "VERSION", "TYPE", "KEY_UNKNOWN", "SHORT"])

    def test_replay_at_once(self):
        for sender, receiver in (("fw1", "fw2"), ("fw2", "fw1")):
            frames = self.capture(sender, "lan0", count=20)
            self.expect_drops(receiver, "lan0", frames, ["REPLAY"])

    def test_replay_on_another_path(self):
        """Recorded on lan0, sent on wan0: it was signed for lan0. Before wan0's own, so that a counter lost would show."""
        frames = self.capture("fw1", "lan0", count=20)
        self.expect_drops("fw2", "wan0", frames, ["PATH"])
        self.expect_drops("fw2", "wan0", frames[::-1], ["PATH"])

    def test_replay_cannot_keep_a_dead_master_alive(self):
        frames = self.capture("fw1", "lan0", count=10)
        self.lab.do("power-off", node="fw1")

        def over():
            self.inject("fw2", "lan0", frames)
            return self.ask("fw2", "status")["groups"][0]["state"] == "master"
        wait(over, 5, "fw2 takes over while fw1's adverts are replayed")

    def reboot(self, node, forget):
        self.lab.do("power-off", node=node)
        if forget:
            state = self.lab.path(self.lab.node(node)["state_dir"])
            for name in os.listdir(state):
                path = os.path.join(state, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        self.lab.do("power-on", node=node)

    def test_replay_after_the_senders_reboot(self):
        """The receiver is untouched; the old life's adverts are worth nothing, the new life's are heard."""
        frames = self.capture("fw2", "lan0", count=10)
        self.reboot("fw2", forget=False)
        self.inject("fw1", "lan0", frames)
        self.lab.do("wait-steady")
        self.expect_drops("fw1", "lan0", frames, ["EPOCH_UNPROVEN", "EPOCH_CLOSED"])

    def test_replay_after_the_receivers_reboot(self):
        """The receiver remembers nothing: what it hears first is the old record of the living master, again and again."""
        frames = self.capture("fw1", "lan0", count=10) + self.capture("fw1", "wan0", count=10)
        term = self.ask("fw1", "status")["groups"][0]["term"]
        self.reboot("fw2", forget=True)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            self.inject("fw2", "lan0", frames[:10])
            self.inject("fw2", "wan0", frames[10:])
            time.sleep(0.02)
        self.lab.do("wait-steady")
        self.assertEqual(self.ask("fw1", "status")["groups"][0]["term"], term)
        self.assertEqual(self.ask("fw2", "status")["groups"][0]["master"], "fw1")
        drops = self.drops("fw2")
        self.assertGreater(sum(drops.get(name, 0) for name in ("EPOCH_UNPROVEN", "REPLAY", "EPOCH_CLOSED")), 100, drops)
        self.expect_drops("fw2", "lan0", frames[:10], ["REPLAY", "EPOCH_UNPROVEN", "EPOCH_CLOSED"])

    def test_replay_of_a_dead_master_to_a_reborn_standby(self):
        """Both lives are over: fw1 is off for good, fw2 boots with nothing and hears fw1's record. It may wait, not for ever."""
        frames = self.capture("fw1", "lan0", count=10)
        self.lab.do("power-off", node="fw1")
        self.reboot("fw2", forget=True)

        def over():
            try:
                self.inject("fw2", "lan0", frames)
                return self.ask("fw2", "status")["groups"][0]["state"] == "master"
            except OSError:  # not up yet
                return False
        wait(over, 20, "fw2 is master although fw1's adverts are replayed")

    def test_replayed_resignation(self):
        """The last word of a life, recorded, ends no other life."""
        with self.wire("fw1", "lan0") as sock:
            self.lab.do("signal", node="fw1", daemons=["carpd"], signal=9)
            wait(lambda: self.ask("fw2", "status")["groups"][0]["state"] == "master", 5, "fw2 is master")
            said = []
            end = time.monotonic() + 1  # what was said lies in the socket's queue
            while time.monotonic() < end:
                with contextlib.suppress(socket.timeout):
                    frame, address = sock.recvfrom(4096)
                    if address[2] != socket.PACKET_OUTGOING and frame[ETH + 9] == PROTOCOL and \
                            frame[BODY + 32:BODY + 40] == b"\xff" * 8:
                        said.append(frame)
        self.assertTrue(said, "the guard has sent no resignation")
        self.lab.do("start", node="fw1", daemons=["carpd"])
        self.assertEqual(self.lab.steady("fw1"), "fw1")
        self.expect_drops("fw2", "lan0", said, ["EPOCH_CLOSED", "EPOCH_UNPROVEN", "REPLAY"])


if __name__ == "__main__":
    lab_module.need_root()
    unittest.main(verbosity=2)
