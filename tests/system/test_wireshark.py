#!/usr/bin/env python3
"""The Wireshark dissector on adverts of a real pair: tshark reads what the nodes say, and finds what status says.

A node's adverts are captured by a packet socket on the sync link into a pcap file; tshark decodes it with
doc/wireshark/carpool.lua. Skips without tshark.
"""
import shutil
import socket
import struct
import subprocess
import time
import unittest
from os.path import abspath, dirname, join

import pair as pair_module
from pair import Pair

LUA = abspath(join(dirname(__file__), "../../doc/wireshark/carpool.lua"))
FIELDS = ["version", "type", "vhid", "sender", "length", "state", "term", "term_owner", "interval_us", "path_count",
          "peer", "flags.ready", "key_count", "hmac"]


def capture(node, path, count):
    """`count` adverts from the sync link, as a pcap file."""
    with node.inside():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        tap.bind(("sync0", 0))
    tap.settimeout(5)
    with tap, open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        deadline = time.monotonic() + 20
        while count and time.monotonic() < deadline:
            frame = tap.recv(65535)
            if frame[12:14] == b"\x08\x00" and frame[23] == 112:
                file.write(struct.pack("<IIII", int(time.time()), 0, len(frame), len(frame)) + frame)
                count -= 1
    assert not count, "not enough adverts"


def dissect(path, *options):
    return subprocess.run(["tshark", "-X", f"lua_script:{LUA}", "-r", path, *options], capture_output=True, text=True,
                          check=True, timeout=60)


class Wireshark(unittest.TestCase):
    def test_tshark_reads_what_the_nodes_say(self):
        with Pair(sync=False) as pair:
            path = pair.dir + "/adverts.pcap"
            capture(pair.fw1, path, 12)
            term = pair.fw1.group()["term"]
            words = [word for field in FIELDS for word in ("-e", f"carpool.{field}")]
            done = dissect(path, "-T", "fields", "-E", "separator=|", *words)
            self.assertNotIn("Lua", done.stderr)
            rows = [dict(zip(FIELDS, line.split("|"))) for line in done.stdout.splitlines()]
            self.assertEqual(len(rows), 12)
            for row in rows:
                self.assertEqual((row["version"], row["type"], row["vhid"]), ("4", "1", "51"))
                # Fixed part, keys, peers, paths, tag: only a right offset gives a length that fits.
                self.assertEqual(int(row["length"]), 140 + 4 * int(row["key_count"]) + len(row["peer"].split(",")) +
                                 6 * int(row["path_count"]) + 32)
                self.assertEqual(len(row["hmac"]), 64)
                self.assertEqual(int(row["term"]), term)
            by_sender = {row["sender"]: row for row in rows}
            self.assertEqual(set(by_sender), {"1", "2"})
            self.assertEqual((by_sender["1"]["state"], by_sender["2"]["state"]), ("3", "1"))
            self.assertEqual(by_sender["1"]["interval_us"], "400000")
            self.assertEqual(by_sender["1"]["peer"], "2")
            summary = dissect(path, "-Y", "carpool.state == 3 && !carpool.bad_length").stdout
            self.assertIn(f"vhid 51: node 1 is master, term {term}", summary)

    def test_what_is_damaged_is_said_to_be(self):
        with Pair(sync=False, daemons=False) as pair:
            advert = bytearray(172)
            advert[0], advert[2] = 0x41, 3  # three peers that are not there
            struct.pack_into("!H", advert, 6, 172)
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + 172, 0, 0, 255, 112, 0, b"\x0a\x09\x09\x01", b"\x0a\x09\x09\x02")
            frame = bytes(12) + b"\x08\x00" + head + bytes(advert)
            path = pair.dir + "/bad.pcap"
            with open(path, "wb") as file:
                file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
                file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
            self.assertIn("node 0 is init", dissect(path, "-Y", "carpool.bad_length").stdout)


if __name__ == "__main__":
    if not shutil.which("tshark"):
        pair_module.skip("tshark is not installed")
    pair_module.need_root()
    unittest.main(verbosity=2)
