#!/usr/bin/env python3
"""What the systemd units rely on: the standby rules before the network, the sweep, the clearing, and what the daemons
tell their manager. carpd runs as the units run it, in a namespace of its own."""
import contextlib
import os
import re
import socket
import time
import unittest

import pair as pair_module
from pair import Pair, wait


def tables(node, latch=False):
    """{name: asleep} of what is in nftables; the latch's table, asleep while no carpd runs, only on request."""
    listing = node.run("nft", "-t", "list", "ruleset").stdout
    return {name: "flags dormant" in body.replace(" ,", ",")
            for name, body in re.findall(r"^table \w+ (\S+) \{(.*?)^\}", listing, re.M | re.S)
            if latch or name != "carpool__passed"}


def once(node, option):
    return node.start("carpd", option).wait(60)


class Standby(unittest.TestCase):
    def test_before_any_interface(self):
        """At boot: no interface but lo. The shield is up, the master's tables sleep; asking twice changes nothing."""
        with Pair(daemons=False) as pair:
            node = pair.fw1
            for link in ("lan0", "wan0", "sync0"):
                pair.ip(f"link del {link}", node.namespace)
            for _ in range(2):
                self.assertEqual(once(node, "--standby"), 0, node.log("carpd"))
                self.assertEqual(tables(node), {"carpool_edge": False, "edge": True})

    def test_rules_that_do_not_load_leave_the_shield(self):
        with Pair(daemons=False) as pair:
            with open(pair.dir + "/edge.nft", "w") as file:
                file.write("table inet edge { chain x { nonsense } }\n")
            self.assertEqual(once(pair.fw1, "--standby"), 1)
            self.assertEqual(tables(pair.fw1), {"carpool_edge": False})

    def test_a_crash_that_left_the_master_awake(self):
        """Rules awake and an address up, nobody alive: the units' ExecStopPost and a boot come to the same."""
        with Pair(daemons=False) as pair:
            node = pair.fw1
            for option in ("--sweep", "--standby"):
                self.assertEqual(once(node, "--standby"), 0)
                pair.ip("addr add 10.1.0.254/24 dev lan0", node.namespace)
                node.run("nft", "add table inet edge { flags ; }")
                self.assertEqual(once(node, option), 0, node.log("carpd"))
                self.assertEqual(tables(node), {"carpool_edge": False, "edge": True})
                self.assertFalse(node.has_any_vip())

    def test_clear_leaves_nothing_but_what_is_foreign(self):
        with Pair(daemons=False) as pair:
            node = pair.fw1
            node.run("nft", "add", "table", "inet", "foreign", check=True)
            self.assertEqual(once(node, "--standby"), 0)
            pair.ip("addr add 10.1.0.254/24 dev lan0", node.namespace)
            self.assertEqual(once(node, "--clear"), 0, node.log("carpd"))
            self.assertEqual(set(tables(node, latch=True)), {"foreign"})
            self.assertFalse(node.has_any_vip())

    def test_not_beside_a_living_carpd(self):
        with Pair(sync=False) as pair:
            living = pair.fw1.daemons["carpd"]
            for option in ("--standby", "--clear"):
                self.assertEqual(once(pair.fw1, option), 1)
            pair.fw1.daemons["carpd"] = living
            self.assertTrue(pair.fw1.has_vips())
            self.assertFalse(tables(pair.fw1)["edge"])


class Manager(unittest.TestCase):
    def test_ready_and_watchdog(self):
        """Type=notify and WatchdogSec=: READY=1 once, then WATCHDOG=1 from the loop, more often than asked for."""
        with Pair(daemons=False) as pair, contextlib.ExitStack() as stack:
            for daemon in ("carpd", "syncd"):
                heard = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                heard.bind(f"{pair.dir}/{daemon}.notify")
                os.chmod(f"{pair.dir}/{daemon}.notify", 0o777)
                heard.settimeout(20)
                pair.fw1.environment = {"NOTIFY_SOCKET": f"{pair.dir}/{daemon}.notify", "WATCHDOG_USEC": "1000000"}
                pair.fw1.start(daemon)
                lines, begun = [], None
                while lines.count("WATCHDOG=1") < 4:
                    lines += heard.recv(4096).decode().split("\n")
                    begun = begun or time.monotonic()
                self.assertEqual(lines.count("READY=1"), 1, lines)
                self.assertLess(time.monotonic() - begun, 8)
            pair.fw1.environment = {}
            # A loop that stands still says nothing: that is what the watchdog is for.
            process = pair.fw1.daemons["syncd"]
            pair.fw1.kill("syncd", 19)
            heard.settimeout(3)
            with self.assertRaises(TimeoutError):
                while True:
                    heard.recv(4096)
            pair.fw1.kill("syncd", 18)
            wait(lambda: process.poll() is None and heard.recv(4096), 10, "the watchdog is fed again")


def rights(pid, task=None):
    """{field: value} of /proc/PID/status, of a process or one of its threads."""
    with open(f"/proc/{pid}/task/{task or pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Rights(unittest.TestCase):
    """The table of doc/privileges.md, looked up in real daemons."""

    NET_ADMIN, NET_RAW, IPC_LOCK, SYS_NICE = (1 << bit for bit in (12, 13, 14, 23))

    def test_each_process_has_its_row(self):
        with Pair() as pair:
            carpd, syncd = (pair.fw1.daemons[name].pid for name in ("carpd", "syncd"))
            election = self.NET_ADMIN | self.NET_RAW | self.IPC_LOCK | self.SYS_NICE
            for task in os.listdir(f"/proc/{carpd}/task"):
                self.check(rights(carpd, task), election)
            for task in os.listdir(f"/proc/{syncd}/task"):
                self.check(rights(syncd, task), self.NET_ADMIN)
            children = {}
            for pid in open(f"/proc/{carpd}/task/{carpd}/children").read().split():
                children[rights(pid)["Name"]] = rights(pid)
            self.assertEqual(set(children), {"carpd-guard", "carpd-helper", "carpd-log"})
            self.check(children["carpd-guard"], election)
            self.check(children["carpd-log"], 0)
            # The helper makes namespaces and becomes other users: the unit's bounding set is its limit.
            self.assertTrue(int(children["carpd-helper"]["CapEff"], 16) >> 21 & 1)

    def check(self, status, wanted):
        for field in ("CapEff", "CapPrm", "CapBnd"):
            self.assertEqual(int(status[field], 16), wanted, (status["Name"], field))
        for field in ("CapInh", "CapAmb"):
            self.assertEqual(int(status[field], 16), 0, (status["Name"], field))
        self.assertEqual(status["NoNewPrivs"], "1", status["Name"])


if __name__ == "__main__":
    pair_module.need_root()
    unittest.main(verbosity=2)
