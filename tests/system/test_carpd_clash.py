#!/usr/bin/env python3
"""Others on the wire with our vhid, and nodes whose files differ: one alarm each, by name, with what to do."""
import re
import socket
import struct
import unittest

import pair as lab


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def vrrp2(vrid):
    packet = struct.pack("!BBBBBBH", 0x21, vrid, 100, 1, 0, 1, 0) + socket.inet_aton("10.1.0.253") + bytes(8)
    return packet[:6] + struct.pack("!H", checksum(packet)) + packet[8:]


def carp(vhid):
    return struct.pack("!BBBBBBH", 0x21, vhid, 0, 7, 0, 1, 0) + bytes(28)


def alarms(node):
    return {alarm["code"]: alarm["text"] for alarm in node.status().get("alarms", [])}


class Clash(unittest.TestCase):
    def send(self, pair, payload):
        with lab.inside(pair.lan):
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as out:
                out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
                out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.1.0.10"))
                out.sendto(payload, ("224.0.0.18", 0))

    def test_others_with_our_vhid(self):
        with lab.Pair(advbase="300ms", sync=False) as pair:
            self.assertEqual(alarms(pair.fw1), {})
            term = pair.fw1.group()["term"]
            # Other numbers are other people's business.
            self.send(pair, vrrp2(52))
            self.send(pair, carp(52))
            for payload, code in ((vrrp2(51), "CLASH_VRRP"), (carp(51), "CLASH_CARP"),
                                  (bytes([0x41, 51]) + bytes(190), "CLASH_CLUSTER")):
                for _ in range(3):
                    self.send(pair, payload)
                for node in pair.nodes:
                    text = lab.wait(lambda: alarms(node).get(code), 20, lambda: f"{code} at {node.name}: {alarms(node)}")
                    self.assertRegex(text, r"10\.1\.0\.10 \(.*\) on lan0.* vhid 51")
                    self.assertEqual(len(re.findall(f"alarm {code}:", node.log("carpd"))), 1)
            self.assertNotIn("52", "".join(alarms(pair.fw1).values()))
            # Nothing of it moved anything.
            self.assertEqual((pair.fw1.state(), pair.fw1.group()["term"]), ("master", term))
            self.assertEqual(pair.fw1.carpool("status", "--check").returncode, 1)

    def test_files_that_differ(self):
        with lab.Pair(daemons=False, advbase="300ms", sync=False) as pair:
            with open(pair.config) as file:
                plain = file.read()
            pair.fw2.config = pair.dir + "/other.yaml"
            with open(pair.fw2.config, "w") as file:
                file.write(plain.replace("10.1.0.254/24", "10.1.0.254/25").replace("300ms", "290ms"))
            pair.start_all()
            for node, other in ((pair.fw1, "fw2"), (pair.fw2, "fw1")):
                lab.wait(lambda: {"ADDRESSES_DIFFER", "TIMERS_DIFFER", "CONFIG_DIFFERS"} <= set(alarms(node)), 20,
                         lambda: f"three alarms at {node.name}: {alarms(node)}")
                self.assertTrue(all(f"node {other}" in text for text in alarms(node).values()), alarms(node))
            # Made the same, and restarted: over.
            pair.fw2.end("carpd", 20)
            pair.fw2.config = pair.config
            pair.start(pair.fw2)
            for node in pair.nodes:
                lab.wait(lambda: node.state() in ("master", "backup") and not alarms(node), 30,
                         lambda: f"no alarm at {node.name}: {alarms(node)}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
