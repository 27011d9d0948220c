#!/usr/bin/env python3
"""What carpd knows of its own health: whom an interface's own test asks, tracked interfaces and scripts."""
import contextlib
import socket
import subprocess
import unittest

import pair as lab


DEAD_PORT = """
table netdev dead {
	chain in { type filter hook ingress device fw1 priority 0; policy drop; }
	chain out { type filter hook egress device fw1 priority 0; policy drop; }
}
"""


class Arp:
    """Who asks for which address on an interface of a namespace: ARP requests seen by a packet socket."""

    def __init__(self, namespace, link):
        with lab.inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # all: ETH_P_ALL taps before the drop
            self.socket.bind((link, 3))
        self.socket.setblocking(False)
        self.asked = set()

    def look(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = self.socket.recv(2048)
                if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1":  # an ARP request
                    self.asked.add(socket.inet_ntoa(frame[38:42]))
        return self.asked

    def close(self):
        self.socket.close()


class OwnTest(unittest.TestCase):
    def test_gateways_of_routes_are_asked(self):
        """A switch port dies behind a live carrier. No `probe` is configured: the nodes ask the gateways of their
        routes through that interface, even one that never spoke; who gets no answer gives the group up."""
        with lab.Pair(daemons=False, advbase="200ms", sync=False) as pair:
            for number, node in enumerate(pair.nodes, 1):
                pair.ip(f"addr add 10.2.0.{number}/24 dev wan0", node.namespace)
                pair.ip("route add 10.50.0.0/16 via 10.2.0.77", node.namespace)
                pair.ip("route add default via 10.2.0.100", node.namespace)
            pair.start_all()
            arp = Arp(pair.wan, "fw1")
            self.addCleanup(arp.close)
            # fw1's port alone forwards nothing any more; its carrier stays.
            subprocess.run(["ip", "netns", "exec", pair.wan, "nft", "-f", "-"], check=True, text=True, input=DEAD_PORT)
            lab.wait(lambda: pair.fw2.state() == "master" and pair.fw1.state() == "backup", 30,
                     lambda: f"fw2 takes over; now {pair.fw1.group()}")
            self.assertLessEqual({"10.2.0.77", "10.2.0.100"}, arp.look())
            self.assertIn("own test failed", pair.fw1.log("carpd"))
            self.assertNotIn("own test failed", pair.fw2.log("carpd"))
            self.assertIn("wan0", [d["name"] for d in pair.fw1.group()["demotions"]])


if __name__ == "__main__":
    unittest.main(verbosity=2)
