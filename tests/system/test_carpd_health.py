#!/usr/bin/env python3
"""What carpd knows of its own health: whom an interface's own test asks, tracked interfaces and scripts."""
import contextlib
import os
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
        with lab.Pair(daemons=False, advbase="300ms", sync=False) as pair:
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


SCRIPT = """#!/bin/sh
# Fails while {dir}/NODE.bad is there; hangs, with a child, while {dir}/NODE.hang is.
[ -e {dir}/$CARPOOL_NODE.hang ] && {{ sleep 4242 & sleep 4242; }}
[ -e {dir}/$CARPOOL_NODE.bad ] || exit 0
echo "the isp of $1 is gone"
echo 'more'
exit 3
"""

TRACK = """
    track:
      - {{ interface: dmz0, demote: 50 }}
      - {{ script: [{dir}/check-isp, "{{group}}"], every: 600ms, timeout: 500ms, demote: 100 }}
"""


class Track(unittest.TestCase):
    def demotions(self, node):
        return {demotion["name"]: demotion["weight"] for demotion in node.group()["demotions"]}

    def touch(self, pair, name):
        with open(f"{pair.dir}/{name}", "w"):
            pass

    def hanging(self):
        """Processes of a hanging script, whoever started them."""
        return subprocess.run(["pgrep", "-f", "sleep 4242"], capture_output=True, text=True).stdout.split()

    def master(self, pair, node, why):
        other = pair.fw2 if node is pair.fw1 else pair.fw1
        lab.wait(lambda: other.state() == "backup" and node.state() == "master" and node.has_vips(), 30,
                 lambda: f"{node.name} is master: {why}; now {[n.group() for n in pair.nodes]}")

    def test_interfaces_and_scripts(self):
        with lab.Pair(daemons=False, advbase="300ms", sync=False, election="  settle: 100ms\n  preempt: true",
                      group="%TRACK%") as pair:
            with open(pair.config) as file:
                plain = file.read()
            with open(pair.config, "w") as file:
                file.write(plain.replace("%TRACK%", TRACK.format(dir=pair.dir)))
            with open(pair.dir + "/check-isp", "w") as file:
                file.write(SCRIPT.format(dir=pair.dir))
            os.chmod(pair.dir + "/check-isp", 0o755)
            for node in pair.nodes:
                pair.ip(f"link add dmz0 netns {node.namespace} type veth peer name dmz1 netns {node.namespace}")
                pair.ip("link set dmz0 up", node.namespace)
                pair.ip("link set dmz1 up", node.namespace)
            pair.start_all()
            # A tracked interface loses its carrier: a healthier peer gets the group; it comes back.
            pair.ip("link set dmz1 down", pair.fw1.namespace)
            self.master(pair, pair.fw2, "fw1's dmz0 is dead")
            self.assertEqual(self.demotions(pair.fw1), {"track:dmz0": 50})
            pair.ip("link set dmz1 up", pair.fw1.namespace)
            self.master(pair, pair.fw1, "dmz0 is back, and it is preferred")
            self.assertEqual(self.demotions(pair.fw1), {})
            # A script fails: named, with its words; the group moves at once.
            self.touch(pair, "fw1.bad")
            self.master(pair, pair.fw2, "fw1's script fails")
            self.assertEqual(self.demotions(pair.fw1), {"track:check-isp": 100})
            self.assertIn("exit 3: the isp of edge is gone", pair.fw1.log("carpd"))
            self.assertEqual([t["ok"] for t in pair.fw1.group()["tracks"]], [True, False])
            # It hangs instead: killed with all its children, still failed; the election does not notice.
            self.touch(pair, "fw1.hang")
            lab.wait(lambda: any(t["last"] == "timeout" for t in pair.fw1.group()["tracks"]), 20, "a timeout")
            self.assertEqual(self.demotions(pair.fw1), {"track:check-isp": 100})
            self.assertEqual(pair.fw1.peer()["state"], "master")
            # A reload that removes it takes its demotion along, and nothing of it is left.
            with open(pair.config, "w") as file:
                file.write(plain.replace("%TRACK%", ""))
            result = pair.fw1.carpool("reload")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertIn("track:check-isp removed", result.stdout)
            self.assertEqual(self.demotions(pair.fw1), {})
            self.assertEqual(pair.fw1.group()["tracks"], [])
            lab.wait(lambda: not self.hanging(), 20, "no process of the script is left")

    def test_what_a_master_found_out_stays_with_it(self):
        """when: master: the script runs on the master alone. When its failure has moved the group, the failure stays
        with the node, with an end; two nodes with the same fault do not hand the group back and forth."""
        script = ('\n    track: [{{ script: [{dir}/check-isp, x], every: 500ms, timeout: 500ms, demote: 100, when: master, fall: 1 }}]')
        with lab.Pair(daemons=False, advbase="300ms", sync=False, group="%TRACK%") as pair:
            with open(pair.config) as file:
                plain = file.read()
            with open(pair.config, "w") as file:
                file.write(plain.replace("%TRACK%", script.format(dir=pair.dir)))
            with open(pair.dir + "/check-isp", "w") as file:
                file.write(SCRIPT.format(dir=pair.dir))
            os.chmod(pair.dir + "/check-isp", 0o755)
            self.touch(pair, "fw1.bad")
            for node in pair.nodes:
                pair.start(node)
            self.master(pair, pair.fw2, "fw1 found out as master that its script fails")
            lab.wait(lambda: pair.fw1.state() == "backup", 20, "fw1 is backup")
            demotion = pair.fw1.group()["demotions"][0]
            self.assertEqual((demotion["name"], demotion["weight"]), ("track:check-isp", 100))
            self.assertIsNotNone(demotion["expires"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
