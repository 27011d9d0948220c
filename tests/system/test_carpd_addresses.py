#!/usr/bin/env python3
"""What carpd has on its interfaces: hundreds of addresses, routes, interfaces that are up on a master alone; what others
do to them; what is left of them when carpd dies."""
import contextlib
import json
import re
import socket
import subprocess
import unittest

import pair as lab

CONFIG = """
cluster: edge
keys: [edge.key]
nodes:
  fw1: {{ id: 1, address: 10.9.9.1 }}
  fw2: {{ id: 2, address: 10.9.9.2, advskew: 100 }}
election:
  advbase: {advbase}
{election}
groups:
  edge:
    vhid: 51
    interfaces:
      lan0:
        addresses: [10.1.0.254/24, "fd01::fe/64", {group}]
        routes:
          - {{ to: 10.20.0.0/16, via: 10.1.0.10 }}
          - {{ to: "fd20::/16", via: "fd01::10" }}
          - {{ to: default, via: 10.1.0.10, metric: 7 }}
      wan0: {{ addresses: [10.2.0.254/24], bring_up: true }}
promotion: {{ deadlines: {{ before: 3s, state: 3s, rules: 2s, addresses: 2s }} }}
{rest}
"""

MANY = ", ".join(f"10.30.{i // 100}.{i % 100 + 1}/16" for i in range(200)) + ", " + \
       ", ".join(f'"fd30::{i + 1:x}/64"' for i in range(100))


def addresses(node, link="lan0"):
    document = json.loads(node.run("ip", "-j", "addr", "show", "dev", link).stdout or "[{}]")
    return {entry["local"]: entry for entry in document[0].get("addr_info", []) if entry["scope"] == "global"}


def routes(node):
    return {line.split()[0] for family in ("-4", "-6")
            for line in node.run("ip", family, "route", "show", "proto", "112").stdout.splitlines()}


def is_up(node, link="wan0"):
    return "UP" in json.loads(node.run("ip", "-j", "link", "show", "dev", link).stdout)[0]["flags"]


ROUTES = {"10.20.0.0/16", "fd20::/16", "default"}


def has_all(node):
    return routes(node) == ROUTES and is_up(node) and "10.1.0.254" in addresses(node)


def has_nothing(node):
    return not routes(node) and not is_up(node) and not addresses(node)


def alarms(node):
    return {alarm["code"]: alarm["text"] for alarm in node.status().get("alarms", [])}


class Addresses(unittest.TestCase):
    def pair(self, many=MANY):
        return lab.Pair(advbase="300ms", sync=False, config=CONFIG, group=many, daemons=False)

    def start(self, pair):
        # The operator's own default route, with another metric: it stays, whatever comes and goes.
        for number, node in enumerate(pair.nodes, 1):
            pair.ip(f"addr add 10.40.0.{number}/24 dev sync0", node.namespace)
            pair.ip("route add default via 10.40.0.9", node.namespace)
        for node in pair.nodes:
            pair.start(node)
        lab.wait(lambda: pair.fw1.state() == "master" and pair.fw2.state() == "backup", 30,
                 lambda: f"fw1 master; now {[n.group() for n in pair.nodes]}")

    def test_hundreds_at_once_and_their_company(self):
        with self.pair() as pair:
            self.start(pair)
            fw1, fw2 = pair.fw1, pair.fw2
            found = addresses(fw1)
            self.assertEqual(len(found), 302)
            self.assertFalse([a for a in found.values() if a.get("tentative") or a.get("dadfailed")])
            self.assertTrue(has_all(fw1))
            self.assertTrue(has_nothing(fw2), (routes(fw2), is_up(fw2), len(addresses(fw2))))
            # MLD has been told of ff02::12, for switches that snoop.
            self.assertIn("ff020000000000000000000000000012", fw2.run("cat", "/proc/net/igmp6").stdout)
            # A hand-over takes everything along.
            self.assertEqual(fw1.carpool("handover").returncode, 0)
            lab.wait(lambda: has_all(fw2) and has_nothing(fw1), 20, "everything on fw2, nothing on fw1")
            self.assertEqual(len(addresses(fw2)), 302)
            self.assertIn("10.40.0.9", fw1.run("ip", "route", "show", "default").stdout)
            stage = next(s for s in fw2.json("history")["transitions"][-1]["stages"] if s["stage"] == "addresses")
            print(f"302 addresses, 3 routes, 1 interface: {stage['us']} us", flush=True)
            # carpd dies: its guard takes all of it away, and fw1 has it.
            fw2.kill("carpd")
            lab.wait(lambda: has_nothing(fw2), 20, lambda: f"nothing is left: {routes(fw2)} {is_up(fw2)}")
            lab.wait(lambda: has_all(fw1), 20, "fw1 has everything")
            # A link that goes down takes IPv6 addresses and routes along; they come back, and nobody is accused.
            lab.wait(lambda: fw1.state() == "master", 20, "fw1 is master")
            pair.ip("link set lan0 down", fw1.namespace)
            lab.wait(lambda: "lan0 (lan0): the interface is down" in fw1.log("carpd"), 20, "fw1 sees it")
            pair.ip("link set lan0 up", fw1.namespace)
            lab.wait(lambda: has_all(fw1) and len(addresses(fw1)) == 302, 30,
                     lambda: f"everything is back: {routes(fw1)} {len(addresses(fw1))}")
            self.assertNotIn("_REMOVED", fw1.log("carpd"))
            self.assertLess(fw1.log("carpd").count("renewing:"), 4, fw1.log("carpd")[-3000:])

    def test_what_others_take_away_is_put_back_and_told(self):
        with self.pair(many='"fd01::fd/64"') as pair:
            self.start(pair)
            node = pair.fw1
            pair.ip("addr del 10.1.0.254/24 dev lan0", node.namespace)
            lab.wait(lambda: "10.1.0.254" in addresses(node) and "ADDRESS_REMOVED" in alarms(node), 20,
                     "the address is put back, and told")
            self.assertRegex(alarms(node)["ADDRESS_REMOVED"], r"10\.1\.0\.254/24 was removed")
            pair.ip("addr del fd01::fe/64 dev lan0", node.namespace)
            lab.wait(lambda: "fd01::fe" in addresses(node), 20, "the IPv6 address is put back")
            pair.ip("route del 10.20.0.0/16", node.namespace)
            lab.wait(lambda: routes(node) == ROUTES and "ROUTE_REMOVED" in alarms(node), 20,
                     "the route is put back, and told")
            # In the log once each, however often it is done.
            for _ in range(3):
                pair.ip("addr del 10.1.0.254/24 dev lan0", node.namespace)
                lab.wait(lambda: "10.1.0.254" in addresses(node), 20, "again")
            self.assertEqual(len(re.findall("alarm ADDRESS_REMOVED", node.log("carpd"))), 1)

    def test_a_failed_duplicate_test_is_repaired(self):
        with self.pair(many='"fd01::fd/64"') as pair:
            self.start(pair)
            node = pair.fw1
            pair.ip("-6 addr add fd01::fd/64 dev br0 nodad", pair.lan)
            # Somebody adds it anew with a duplicate test, which fails: carpd's own way is without one. It may put it
            # back first: then there is nothing to repair.
            for _ in range(20):
                node.run("sh", "-c", "ip -6 addr del fd01::fd/64 dev lan0; ip -6 addr add fd01::fd/64 dev lan0")
                if "duplicate test" in node.log("carpd"):
                    break
            lab.wait(lambda: "fd01::fd" in addresses(node) and not addresses(node)["fd01::fd"].get("dadfailed") and
                     not addresses(node)["fd01::fd"].get("tentative"), 20, lambda: addresses(node))

    def test_nothing_is_left_by_an_end_or_an_earlier_life(self):
        with self.pair(many='"fd01::fd/64"') as pair:
            self.start(pair)
            node = pair.fw1
            node.end("carpd", 20)
            self.assertTrue(has_nothing(node), (routes(node), is_up(node), addresses(node)))
            # Left by a life without a guard: the next one sweeps it.
            pair.ip("addr add 10.1.0.254/24 dev lan0", node.namespace)
            pair.ip("route add 10.20.0.0/16 via 10.1.0.10 proto 112", node.namespace)
            pair.ip("link set wan0 up", node.namespace)
            pair.start(node)
            lab.wait(lambda: node.state() == "backup", 20, "fw1 is a backup")
            self.assertTrue(has_nothing(node), (routes(node), is_up(node), addresses(node)))


VIRTUAL = """
cluster: edge
keys: [edge.key]
nodes:
  fw1: {{ id: 1, address: 10.9.9.1 }}
  fw2: {{ id: 2, address: 10.9.9.2, advskew: 100 }}
election:
  advbase: {advbase}
{election}
groups:
  edge:
    vhid: 51
    interfaces:
      lan0: {{ addresses: [10.1.0.254/24, "fd01::fe/64"], virtual_mac: true }}
      wan0: {{ addresses: [10.2.0.254/24], virtual_mac: true }}
{group}
promotion: {{ deadlines: {{ before: 3s, state: 3s, rules: 2s, addresses: 2s }} }}
{rest}
"""

SHARED = """
cluster: edge
keys: [edge.key]
nodes:
  fw1: {{ id: 1, address: 10.9.9.1 }}
  fw2: {{ id: 2, address: 10.9.9.2 }}
election: {{ advbase: {advbase}, preempt: true, settle: 100ms }}
groups:
  office:
    vhid: 10
    advskew: {{ fw1: 0, fw2: 100 }}
    rules: {{ master: office.nft }}
    interfaces:
      lan0: {{ addresses: [10.1.0.254/24], virtual_mac: true }}
      wan0: {{ addresses: [10.2.0.254/24], virtual_mac: true }}
  guests:
    vhid: 20
    advskew: {{ fw1: 100, fw2: 0 }}
    rules: {{ master: guests.nft }}
    interfaces:
      lan0: {{ addresses: [10.1.0.253/24], virtual_mac: true }}
      wan0: {{ addresses: [10.2.0.253/24], virtual_mac: true }}
promotion: {{ deadlines: {{ before: 3s, state: 3s, rules: 2s, addresses: 2s }} }}
{election}{group}{rest}
"""

DEVICES = {"lan0.v51": "00:00:5e:00:01:33", "lan0.w51": "00:00:5e:00:02:33", "wan0.v51": "00:00:5e:00:01:33"}


class VirtualMac(unittest.TestCase):
    def devices(self, node):
        links = json.loads(node.run("ip", "-j", "link").stdout)
        return {link["ifname"]: link["address"] for link in links if ".v" in link["ifname"] or ".w" in link["ifname"]}

    def are_up(self, node):
        return [name for name in DEVICES if is_up(node, name)]

    def cache(self, namespace, address):
        """What a host's neighbour cache says, after it has asked."""
        subprocess.run(["ip", "netns", "exec", namespace, "ping", "-c1", "-W1", address], capture_output=True)
        out = subprocess.run(["ip", "-n", namespace, "-j", "neigh", "show", address], capture_output=True, text=True)
        return [entry.get("lladdr") for entry in json.loads(out.stdout or "[]")]

    def claims(self, tap, address):
        """The Ethernet addresses under which ARP packets of the tap claim the address."""
        found = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = tap.recv(2048)
                if frame[12:14] == b"\x08\x06" and frame[28:32] == socket.inet_aton(address):
                    found.add(frame[22:28].hex(":"))
        return found

    def test_a_takeover_changes_no_cache(self):
        with lab.Pair(advbase="300ms", sync=False, config=VIRTUAL, daemons=False) as pair:
            fw1, fw2 = pair.fw1, pair.fw2
            # fw1 has an address of its own in the LAN: it must not answer for the virtual one with its own card's.
            pair.ip("addr add 10.1.0.1/24 dev lan0", fw1.namespace)
            pair.ip("-6 addr add fd01::10/64 dev br0 nodad", pair.lan)
            pair.ip("route add 10.1.0.0/24 via 10.2.0.254", pair.wan)
            for node in pair.nodes:
                pair.start(node)
            lab.wait(lambda: fw1.state() == "master" and fw2.state() == "backup", 30,
                     lambda: f"fw1 master; now {[n.group() for n in pair.nodes]}")
            for node in pair.nodes:
                self.assertEqual(self.devices(node), DEVICES)
            self.assertEqual((self.are_up(fw1), self.are_up(fw2)), (list(DEVICES), []))
            self.assertEqual(set(addresses(fw1, "lan0.v51")) | set(addresses(fw1, "lan0.w51")), {"10.1.0.254", "fd01::fe"})
            self.assertEqual(set(addresses(fw1, "lan0")), {"10.1.0.1"})

            def caches():
                return [self.cache(pair.lan, "10.1.0.254"), self.cache(pair.lan, "fd01::fe"),
                        self.cache(pair.wan, "10.2.0.254")]

            wanted = [["00:00:5e:00:01:33"], ["00:00:5e:00:02:33"], ["00:00:5e:00:01:33"]]
            lab.wait(lambda: caches() == wanted, 30, caches)
            with lab.inside(pair.lan):
                tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.addCleanup(tap.close)
            tap.bind(("fw1", 3))
            tap.setblocking(False)
            subprocess.run(["ip", "-n", pair.lan, "neigh", "flush", "all"], check=True)
            lab.wait(lambda: caches() == wanted, 30, caches)
            with lab.Probe(pair, rate=100) as probe:
                probe.mark()
                self.assertEqual(fw1.carpool("handover").returncode, 0)
                lab.wait(lambda: self.are_up(fw2) == list(DEVICES) and not self.are_up(fw1), 20, "fw2 has the devices")
                reached = len(probe.arrived)
                lab.wait(lambda: len(probe.arrived) > reached + 20, 20, "traffic goes through fw2")
            self.assertEqual(caches(), wanted)
            self.assertEqual(self.claims(tap, "10.1.0.254"), {"00:00:5e:00:01:33"})
            # Its carpd dies: the guard sets the devices down; fw1 has everything; a new life finds it in order.
            fw2.kill("carpd")
            lab.wait(lambda: not self.are_up(fw2), 20, "the guard has set them down")
            lab.wait(lambda: fw1.state() == "master" and caches() == wanted, 30, caches)
            pair.start(fw2)
            lab.wait(lambda: fw2.state() == "backup", 30, "fw2 is back")
            self.assertEqual((self.devices(fw2), self.are_up(fw2)), (DEVICES, []))
            # An interface that is made anew takes its devices along: they come back with it.
            pair.ip("link del lan0", fw1.namespace)
            lab.wait(lambda: fw2.state() == "master", 30, "fw2 takes over")
            pair.ip(f"link add lan0 netns {fw1.namespace} type veth peer name fw1 netns {pair.lan}")
            pair.ip("link set lan0 up", fw1.namespace)
            pair.ip("link set fw1 master br0 up", pair.lan)
            lab.wait(lambda: self.devices(fw1) == DEVICES, 20, lambda: self.devices(fw1))
            self.assertEqual(fw1.end("carpd", 20), 0)
            self.assertEqual(self.devices(fw1), {})

    def test_two_groups_share_the_interfaces(self):
        """Active-active on one pair of wires: each group has its own virtual Ethernet address, each shield knows its
        own group; either node carries both when the other is dead."""
        with lab.Pair(advbase="300ms", sync=False, config=SHARED, daemons=False) as pair:
            fw1, fw2 = pair.fw1, pair.fw2
            for name in ("office", "guests"):
                with open(f"{pair.dir}/{name}.nft", "w") as file:
                    file.write(f"table inet {name} {{ chain passing {{ type filter hook forward priority 0; }}; }}\n")
            for node in pair.nodes:
                pair.start(node)

            def states():
                return [[node.state(group) for group in ("office", "guests")] for node in pair.nodes]

            lab.wait(lambda: states() == [["master", "backup"], ["backup", "master"]], 40, states)
            wanted = [["00:00:5e:00:01:0a"], ["00:00:5e:00:01:14"]]

            def caches():
                return [self.cache(pair.lan, "10.1.0.254"), self.cache(pair.lan, "10.1.0.253")]

            lab.wait(lambda: caches() == wanted, 30, caches)
            self.assertEqual([is_up(fw1, "lan0.v10"), is_up(fw1, "lan0.v20")], [True, False])
            self.assertEqual(alarms(fw1), {})
            pair.ip("route add 10.1.0.0/24 via 10.2.0.253", pair.wan)
            pair.ip("route replace default via 10.1.0.253", pair.lan)
            with lab.Probe(pair, rate=100):  # through fw2, group guests
                pass
            fw1.kill("carpd")
            lab.wait(lambda: fw2.state("office") == fw2.state("guests") == "master", 30, states)
            lab.wait(lambda: caches() == wanted, 30, caches)
            self.assertEqual([is_up(fw2, "lan0.v10"), is_up(fw2, "lan0.v20")], [True, True])


if __name__ == "__main__":
    unittest.main(verbosity=2)
