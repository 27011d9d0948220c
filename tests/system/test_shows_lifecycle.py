#!/usr/bin/env python3
"""Shows: start order, restart of either daemon alone, SIGTERM of the master (a hand-over: no lost probe), no flow lost
at a syncd restart; and a strict ruleset that drops everything on input, which the election does not notice."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

import pair as lab

DROP_ALL = 'table inet strict {\n chain input {\n type filter hook input priority -300; policy drop;\n }\n}\n'


class Lifecycle(unittest.TestCase):
    def flows(self, node):
        return {(flow["proto"], flow["orig"]["src"], flow["orig"].get("sport"))
                for flow in node.json("flows").get("flows", [])
                if flow["orig"]["dst"] == "10.2.0.100" and flow["proto"] == "tcp"}

    def connections(self, pair, count):
        with lab.inside(pair.wan):
            server = socket.create_server(("10.2.0.100", 7777), backlog=64)
        self.addCleanup(server.close)
        with lab.inside(pair.lan):
            callers = [socket.create_connection(("10.2.0.100", 7777), timeout=5) for _ in range(count)]
        for caller in callers:
            self.addCleanup(caller.close)
        return [(caller, server.accept()[0]) for caller in callers]

    def expect_alive(self, connections, seconds=5):
        for caller, served in connections:
            self.addCleanup(served.close)
            served.settimeout(seconds)
            caller.sendall(b"x")
            self.assertEqual(served.recv(10)[:1], b"x")

    def test_syncd_first(self):
        with lab.Pair(daemons=False) as pair:
            for node in pair.nodes:
                node.start("syncd")
            time.sleep(0.5)
            for node in pair.nodes:
                self.assertIsNone(node.daemons["syncd"].poll(), "syncd waits for its carpd")
                node.start("carpd")
            pair.settle(master=None)

    def test_carpd_alone_says_what_is_missing(self):
        with lab.Pair(daemons=False) as pair:
            pair.fw1.start("carpd")
            lab.wait(pair.fw1.status, 5, "carpd answers")
            codes = [alarm["code"] for alarm in pair.fw1.status()["alarms"]]
            self.assertIn("SYNCD_DOWN", codes)
            self.assertIn(pair.fw1.carpool("status", "--check").returncode, (1, 2))
            # Availability first: alone and without its syncd it still becomes master, with an alarm.
            lab.wait(lambda: pair.fw1.state() == "master" and pair.fw1.has_vips(), 15, "a lone node becomes master")
            pair.fw1.start("syncd")
            lab.wait(lambda: pair.fw1.status()["sync"], 5, "syncd answers")

    def test_next_hops_are_known_before_the_first_packet(self):
        with lab.Pair() as pair:
            # One broadcast question for the gateway: both firewalls hear who asks.
            self.connections(pair, 1)
            pair.fw2.run("ip", "neigh", "flush", "all")
            self.assertEqual(pair.fw1.carpool("handover").returncode, 0)
            known = pair.fw2.run("ip", "neigh", "show", "to", "10.1.0.10", "dev", "lan0").stdout
            self.assertRegex(known, r"10\.1\.0\.10 lladdr [0-9a-f:]{17}", "the client's address, without a packet to it")

    def test_restart_of_either_daemon(self):
        with lab.Pair() as pair:
            connections = self.connections(pair, 10)
            lab.wait(lambda: len(self.flows(pair.fw2)) == 10, 5, "the standby has the flows")
            term = pair.fw1.group()["term"]
            for node, end in [(pair.fw2, node_term), (pair.fw2, node_kill), (pair.fw1, node_kill), (pair.fw1, node_term)]:
                end(node, "syncd")
                node.start("syncd")
                lab.wait(lambda: len(self.flows(pair.fw2)) == 10 and len(self.flows(pair.fw1)) == 10, 10,
                         f"both tables whole again after {node.name} syncd {end.__name__}")
                pair.settle()
            for end in (node_term, node_kill):
                end(pair.fw2, "carpd")
                pair.fw2.start("carpd")
                pair.settle()
            self.assertEqual(pair.fw1.group()["term"], term, "the backup's restarts moved nothing")
            self.expect_alive(connections)
            self.assertEqual(pair.fw1.carpool("handover").returncode, 0)
            self.expect_alive(connections)

    def test_sigterm_of_the_master_loses_nothing(self):
        with lab.Pair() as pair:
            connections = self.connections(pair, 3)
            lab.wait(lambda: len(self.flows(pair.fw2)) == 3, 5, "the standby has the flows")
            with lab.Probe(pair) as probe:
                probe.mark()
                self.assertEqual(pair.fw1.end("carpd"), 0)
                lab.wait(lambda: pair.fw2.state() == "master", 5, "fw2 is master")
                self.assertFalse(pair.fw1.has_any_vip())
                time.sleep(0.5)          # half a second of probes after it
            self.assertEqual(probe.lost(), [])
            self.expect_alive(connections)
            self.assertEqual(pair.fw2.group()["reason"], "HANDOVER" if pair.fw2.group()["reason"] == "HANDOVER"
                             else "SHUTDOWN")
            pair.fw1.start("carpd")
            pair.settle(master="fw2")

    def test_syncd_that_is_refused_tries_again(self):
        """Connected and not registered is no state to stay in."""
        with lab.Pair(daemons=False) as pair:
            refusal = {"ok": False, "seq": 1, "error": {"code": "NAME_TAKEN", "text": "taken"}}
            carpd = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "fake_daemon.py"),
                                      pair.fw1.socket_path("carpd")],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                carpd.stdin.write(json.dumps({"register": [refusal], "health": []}))
                carpd.stdin.close()
                self.assertEqual(carpd.stdout.readline(), "READY\n")
                pair.fw1.start("syncd")
                asked = 0
                while asked < 3:         # the test's own time limit ends a syncd that does not
                    asked += json.loads(carpd.stdout.readline())["op"] == "register"
                self.assertIn("refuses: taken", pair.fw1.log("syncd"))
            finally:
                carpd.kill()
                carpd.wait()
                carpd.stdout.close()

    def test_both_terminated_leave_nothing(self):
        with lab.Pair() as pair:
            for node in (pair.fw2, pair.fw1):
                for daemon in ("carpd", "syncd"):
                    self.assertEqual(node.end(daemon), 0, node.log(daemon)[-2000:])
                self.assertFalse(node.has_any_vip())
                self.assertFalse(os.path.exists(node.socket_path("carpd")))
                self.assertFalse(os.path.exists(node.socket_path("syncd")))

    def test_kill_of_the_masters_daemons(self):
        for daemons in (["carpd"], ["carpd", "syncd"]):
            with self.subTest(daemons), lab.Pair() as pair:
                connections = self.connections(pair, 3)
                self.expect_alive(connections)
                # What is younger than the lag dies with its node, by design: the claim is about flows that arrived.
                lab.wait(lambda: len(self.flows(pair.fw2)) == 3, 5, "the standby has the flows")
                for daemon in daemons:
                    pair.fw1.kill(daemon, signal.SIGKILL)
                start = time.monotonic()
                lab.wait(lambda: not pair.fw1.has_any_vip(), 1, "the guard has taken the addresses away")
                lab.wait(pair.fw2.has_vips, 5, "fw2 has them")
                print(f"kill -9 of {daemons}: moved within {1000 * (time.monotonic() - start):.0f} ms")
                self.expect_alive(connections)

    def test_input_that_drops_everything(self):
        with lab.Pair(sync=False) as pair:
            lab.wait(lambda: all(path["alive"] for node in pair.nodes for path in node.peer()["paths"]), 5, "all paths")
            term = pair.fw1.group()["term"]
            for node in pair.nodes:
                self.assertEqual(node.run("nft", "-f", "-", input=DROP_ALL).returncode, 0)
            for node in pair.nodes:      # twice master-down, each
                start = time.monotonic()
                while time.monotonic() - start < 2.8:
                    self.assertTrue(all(path["alive"] for path in node.peer()["paths"]), node.peer())
                    time.sleep(0.05)
            self.assertEqual((pair.fw1.state(), pair.fw2.state()), ("master", "backup"))
            self.assertEqual(pair.fw1.group()["term"], term)
            self.assertEqual(pair.fw1.carpool("handover").returncode, 0)
            pair.settle(master="fw2")


def node_term(node, daemon):
    assert node.end(daemon) == 0, node.log(daemon)[-2000:]


def node_kill(node, daemon):
    node.kill(daemon)


if __name__ == "__main__":
    lab.need_root()
    unittest.main(verbosity=1)
