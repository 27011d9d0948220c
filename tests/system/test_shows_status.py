#!/usr/bin/env python3
"""Shows: `carpool status --json` has the shape of the design's section 5 on both nodes; `carpool flows` on the standby
lists what `conntrack -L` lists on the master; every verb does what it says on a living pair."""
import json
import re
import socket
import subprocess
import time
import unittest

import pair as lab

MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


def flow_key(proto, orig):
    return (proto, orig["src"], orig["dst"], orig.get("sport", 0), orig.get("dport", 0))


class Shows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.pair.__exit__(None, None, None)

    def setUp(self):
        self.fw1, self.fw2 = self.pair.fw1, self.pair.fw2

    def home(self):
        """Every test begins and ends with fw1 as the master."""
        if self.fw1.state() != "master":
            self.fw1.carpool("handover", "--to", "fw1")
        self.pair.settle()

    def has(self, document, **types):
        for name, kind in types.items():
            self.assertIn(name, document)
            if isinstance(kind, re.Pattern):
                self.assertRegex(document[name], kind, name)
            else:
                self.assertIsInstance(document[name], kind, name)

    def test_shape(self):
        for node in self.pair.nodes:
            status = node.status()
            self.has(status, cluster=str, node=str, groups=list, alarms=list, sync=dict, rules=list)
            self.assertEqual((status["cluster"], status["node"]), ("edge", node.name))
            (group,) = status["groups"]
            self.has(group, name=str, vhid=int, state=str, term=int, master=str, reason=str, since=MOMENT, demotion=int,
                     demotions=list, peers=list)
            self.assertEqual((group["name"], group["vhid"], group["master"]), ("edge", 51, "fw1"))
            (peer,) = group["peers"]
            self.has(peer, node=str, state=str, ready=bool, not_ready=list, paths=list)
            self.assertEqual({path["via"] for path in peer["paths"]}, {"lan0", "wan0", "sync0"})
            for path in peer["paths"]:
                self.has(path, via=str, alive=bool, heard_by_peer=bool, last_ms=(int, float))
                self.assertTrue(path["alive"] and path["heard_by_peer"], path)
            self.has(status["sync"], role=str, groups=list, flows=int, peers=list)
            self.assertEqual(status["sync"]["role"], "active" if node is self.fw1 else "standby")
            (peer,) = status["sync"]["peers"]
            self.has(peer, node=str, connected=bool, in_sync=bool, lag_ms=(int, float), unacked=int)
            self.assertTrue(peer["connected"] and peer["in_sync"], peer)
            (rules,) = status["rules"]
            self.has(rules, group=str, active=str, fingerprint=str, peers_match=bool)
            self.assertEqual((rules["active"], rules["peers_match"]), ("master" if node is self.fw1 else "backup", True))
            # What a test before this one has changed in the config may still be told.
            lab.wait(lambda: node.status()["alarms"] == [], 5, lambda: node.status()["alarms"])

    def test_check_is_ok(self):
        for node in self.pair.nodes:
            done = node.carpool("status", "--check")
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_text_says_who(self):
        self.assertIn("this node is the master", self.fw1.carpool("status").stdout)
        self.assertIn("fw1 is the master, this node is a backup", self.fw2.carpool("status").stdout)

    def test_flows_equal_conntrack(self):
        with lab.inside(self.pair.wan):
            server = socket.create_server(("10.2.0.100", 7777), backlog=64)
        callers = []
        with lab.inside(self.pair.lan):
            for _ in range(20):
                callers.append(socket.create_connection(("10.2.0.100", 7777), timeout=5))
            for port in range(20):
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                udp.bind(("10.1.0.10", 20000 + port))
                udp.sendto(b"x", ("10.2.0.100", 9))
                callers.append(udp)

        def kernel():
            flows = set()
            for line in self.fw1.run("conntrack", "-L").stdout.splitlines():
                words = line.split()
                orig = {}
                for word in words:
                    name, _, value = word.partition("=")
                    if name in ("src", "dst", "sport", "dport") and name not in orig:
                        orig[name] = int(value) if name.endswith("port") else value
                if orig.get("dst") == "10.2.0.100":
                    flows.add(flow_key(words[0], orig))
            return flows

        def copies():
            return {flow_key(flow["proto"], flow["orig"]) for flow in self.fw2.json("flows")["flows"]
                    if flow["orig"]["dst"] == "10.2.0.100"}

        lab.wait(lambda: len(kernel()) >= 40, 5, "40 flows on the master")
        lab.wait(lambda: copies() == kernel(), 5, "the standby lists the same flows")
        standby = self.fw2.run("conntrack", "-L").stdout
        self.assertGreaterEqual(standby.count("dport=7777"), 20, "the standby's kernel is warm")
        for flow in self.fw2.json("flows")["flows"]:
            if flow["proto"] == "tcp" and flow["orig"].get("dport") == 7777:
                self.assertEqual(flow["state"], "ESTABLISHED")
                self.assertEqual(flow["reply"]["dst"], "10.2.0.254")
        for caller in callers + [server]:
            caller.close()

    def test_handover_there_and_back(self):
        self.home()
        before = self.fw1.group()["term"]
        done = self.fw2.carpool("handover", "--json")       # asked on the backup: it takes over
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual((self.fw1.state(), self.fw2.state()), ("backup", "master"))
        self.assertTrue(self.fw2.has_vips())
        self.assertFalse(self.fw1.has_any_vip())
        self.assertGreater(self.fw2.group()["term"], before)
        moved = json.loads(done.stdout)["groups"]
        self.assertEqual([(move["group"], move["from"], move["to"]) for move in moved], [("edge", "fw1", "fw2")])
        self.pair.settle(master="fw2")
        done = self.fw2.carpool("handover", "--to", "fw1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.fw1.group()["reason"], "HANDOVER")
        self.pair.settle()
        last = self.fw1.json("history")["transitions"][-1]
        self.has(last, time=MOMENT, group=str, reason=str, facts=dict, term=int, stages=list)
        self.assertEqual((last["from"], last["to"], last["reason"]), ("backup", "master", "HANDOVER"))
        self.assertEqual([stage["stage"] for stage in last["stages"] if stage["stage"] in
                          ("state", "rules", "addresses", "announce")], ["state", "rules", "addresses", "announce"])

    def test_handover_to_nobody(self):
        self.home()
        for words in (["--to", "fw9"], ["--group", "nothing"]):
            done = self.fw1.carpool("handover", *words)
            self.assertEqual(done.returncode, 1, words)
            self.assertTrue(done.stderr.strip())
        self.assertEqual(self.fw1.state(), "master")

    def test_handover_to_the_master_is_nothing(self):
        self.home()
        done = self.fw1.carpool("handover", "--to", "fw1")
        self.assertEqual((done.returncode, done.stdout), (0, "no group had to move\n"), done.stderr)

    def test_maintenance(self):
        self.home()
        done = self.fw1.carpool("maintenance", "on", "--for", "30m")
        self.assertEqual(done.returncode, 0, done.stderr)
        try:
            self.assertEqual((self.fw1.state(), self.fw2.state()), ("maintenance", "master"))
            self.assertTrue(self.fw2.has_vips())
            self.assertEqual(self.fw1.carpool("status", "--check").returncode, 1)
            done = self.fw2.carpool("maintenance", "on")
            self.assertEqual(done.returncode, 1, "the last eligible node may not go")
            self.assertEqual(self.fw2.state(), "master")
        finally:
            self.assertEqual(self.fw1.carpool("maintenance", "off").returncode, 0)
        lab.wait(lambda: self.fw1.state() == "backup", 5, "fw1 takes part again")
        self.pair.settle(master="fw2")
        self.home()

    def test_reload(self):
        self.home()
        with open(self.pair.config) as file:
            before = file.read()

        def reload(text, *words):
            with open(self.pair.config, "w") as file:
                file.write(text)
            return self.fw1.carpool("reload", *words)

        try:
            self.assertEqual(reload(before).stdout, "nothing changed\n")
            wrong = reload(before.replace("advbase:", "advbasse:"))
            self.assertEqual(wrong.returncode, 1)
            self.assertIn("cluster.yaml:8:3: unknown key 'advbasse'", wrong.stderr)
            preempt = before.replace("  advbase:", "  preempt: true\n  advbase:")
            self.assertIn("would change:\n  * preempt: false -> true", reload(preempt, "--diff").stdout)
            self.assertIn("changed:\n  * preempt: false -> true", reload(preempt).stdout)
            self.assertIn("restart", reload(before.replace("vhid: 51", "vhid: 52")).stderr)
            self.assertIn("preempt: true -> false", reload(before).stdout)
            self.assertEqual(self.fw1.state(), "master")
        finally:
            reload(before)

    def test_events_tell_a_handover(self):
        self.home()
        stream = subprocess.Popen([f"{lab.BUILD}/ctl/carpool", "events", "--runtime-dir", self.fw2.runtime, "--json"],
                                  stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(0.2)      # the subscription has no answer to wait for
            self.assertEqual(self.fw1.carpool("handover", "--to", "fw2").returncode, 0)
            while True:
                event = json.loads(stream.stdout.readline())
                if event["event"] == "transition" and event["to"] == "master":
                    break
            self.assertEqual((event["group"], event["reason"]), ("edge", "HANDOVER"))
        finally:
            stream.kill()
            stream.wait()
            stream.stdout.close()
        self.pair.settle(master="fw2")
        self.home()


if __name__ == "__main__":
    lab.need_root()
    unittest.main(verbosity=1)
