#!/usr/bin/env python3
"""Rules as an operator changes them, and as somebody else does, on a real pair: reload on a master under traffic,
bad rules, drift told, shown and repaired, interfaces that come back, nodes that differ."""
import unittest

import pair as lab

REPAIR = "      drift: repair\n"


def alarms(node):
    return {alarm["code"]: alarm for alarm in node.status()["alarms"]}


def listing(node):
    return node.run("nft", "list", "ruleset").stdout


class Drift(unittest.TestCase):
    def pair(self, rules=None, prepare=None, **options):
        pair = lab.Pair(advbase="300ms", daemons=False, sync=False, **options).__enter__()
        self.addCleanup(pair.__exit__, None, None, None)
        if rules:
            self.write(pair, rules)
        for node in pair.nodes:
            if prepare:
                prepare(node)
            pair.start(node)
        pair.settle(master=None)  # which one it is does not matter here
        self.master = pair.master()
        self.standby = next(node for node in pair.nodes if node is not self.master)
        return pair

    def write(self, pair, text):
        with open(pair.dir + "/edge.nft", "w") as file:
            file.write(text)

    def carpool(self, node, *words, status=0):
        done = node.carpool(*words, timeout=60)
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def test_reload_on_a_master_under_traffic(self):
        pair = self.pair()
        check = ("check", "--config", pair.config, "--peer")
        lab.wait(lambda: self.master.status()["rules"][0]["peers_match"], 10, "both hear that they are equal")
        self.assertEqual(self.carpool(self.master, *check).count("runs these rules"), 2)
        self.carpool(self.master, "rules")
        self.write(pair, lab.RULES.replace("\tchain forward", "\tset guests { type ipv4_addr; flags timeout; }\n\tchain forward"))
        told = self.carpool(self.master, *check, status=1)
        self.assertEqual(told.count("runs OTHER rules"), 2, told)
        with lab.Probe(pair) as probe:
            probe.mark()
            said = self.carpool(self.master, "reload")
            self.assertIn("group edge: other rules", said)
            self.assertIn("begin at zero", said, "what was not kept is told")
            self.master.run("nft", "add", "element", "inet", "edge", "guests", "{ 192.0.2.5 timeout 1h }")
            self.write(pair, lab.RULES.replace("\tchain forward", "\tset guests { type ipv4_addr; flags timeout; }\n\tset more { type mark; }\n\tchain forward"))
            self.carpool(self.master, "reload")
        self.assertEqual(self.master.state(), "master")
        lost = probe.lost()
        self.assertLessEqual(len(lost), 2, f"lost across two reloads: {len(lost)} of {probe.sent - probe.first}")
        self.assertRegex(listing(self.master), r"192\.0\.2\.5 timeout 1h expires 59m")
        self.assertNotIn("carpool_new_", listing(self.master))
        lab.wait(lambda: self.master.status()["rules"][0]["peers_match"] is False, 10, "they differ")
        self.assertIn("a peer has OTHERS", self.carpool(self.master, "status"))
        told = self.carpool(self.master, *check, status=1)
        self.assertEqual((told.count("runs these rules"), told.count("runs OTHER rules")), (1, 1), told)
        self.assertTrue(self.master.peer()["ready"], "a difference is no reason not to be ready")
        self.carpool(self.standby, "reload")
        lab.wait(lambda: self.master.status()["rules"][0]["peers_match"], 10, "equal again")
        self.assertRegex(listing(self.standby), r"table inet edge \{\n\tflags dormant")
        self.carpool(self.master, "handover")
        lab.wait(lambda: self.standby.state() == "master", 10, "the new rules are promoted")

    def test_bad_rules(self):
        pair = self.pair()
        before = listing(self.master).count("\n")
        self.write(pair, lab.RULES.replace("tcp dport 3780", "tcp dprt 3780"))
        said = self.carpool(self.master, "check", "--config", pair.config, status=2)
        self.assertRegex(said, r"edge\.nft:13:\d+: syntax error")
        said = self.carpool(self.master, "reload", status=1)
        self.assertRegex(said, r"edge\.nft:13:\d+: syntax error")
        self.assertEqual(listing(self.master).count("\n"), before)
        self.assertEqual(self.master.state(), "master")
        self.assertEqual(self.carpool(self.master, "rules").count("as they were loaded"), 1)

    def test_drift_is_told_and_repaired_on_request(self):
        self.pair()
        self.master.run("nft", "insert", "rule", "inet", "edge", "forward", "udp", "dport", "53", "accept")
        lab.wait(lambda: "RULES_CHANGED" in alarms(self.master), 10, "the master notices")
        self.assertRegex(alarms(self.master)["RULES_CHANGED"]["text"], r"nft \(\d+\) added a rule")
        said = self.carpool(self.master, "rules", "diff", status=1)
        self.assertRegex(said, r"CHANGED by nft \(\d+\) added a rule")
        self.assertIn("+ table inet edge, chain forward: udp dport 53 accept", said)
        self.assertEqual(self.master.json("rules", "diff")["groups"][0]["diff"],
                         ["+ table inet edge, chain forward: udp dport 53 accept"])
        self.assertIn("loaded again", self.carpool(self.master, "rules", "repair"))
        self.assertNotIn("udp dport 53", listing(self.master))
        self.assertEqual(self.master.state(), "master")
        self.assertNotIn("RULES_CHANGED", alarms(self.master))
        self.assertIn("as they were loaded", self.carpool(self.master, "rules", "diff"))
        self.master.run("nft", "add", "rule", "inet", "carpool_edge", "guard", "accept")
        lab.wait(lambda: "RULES_CHANGED" in alarms(self.master), 10, "the shield's, too")
        self.carpool(self.master, "rules", "repair")
        lab.wait(lambda: "RULES_CHANGED" not in alarms(self.master), 10, "the shield is mended")

    def test_repair_by_policy(self):
        pair = self.pair(group=REPAIR)
        self.master.run("nft", "delete", "chain", "inet", "edge", "postrouting")
        lab.wait(lambda: "snat" in listing(self.master), 20, "the chain is there again")
        lab.wait(lambda: "RULES_CHANGED" not in alarms(self.master), 20, "and all is well")
        self.assertEqual(self.master.state(), "master")
        self.standby.end("carpd")
        with lab.Probe(pair) as probe:
            self.master.run("nft", "flush", "ruleset")
            lab.wait(lambda: "RULES_MISSING" not in alarms(self.master)
                     and "table inet edge" in listing(self.master), 20, "they are loaded again")
            probe.mark()
            lab.wait(lambda: len(probe.arrivals) > probe.begun + 20, 20, "traffic passes again")
        self.assertEqual(self.master.state(), "master")
        self.assertNotRegex(listing(self.master), r"table inet edge \{\n\tflags dormant")

    def test_flush_on_a_lonely_master_closes(self):
        pair = self.pair()
        self.standby.end("carpd")
        with lab.Probe(pair) as probe:
            self.master.run("nft", "flush", "ruleset")
            lab.wait(lambda: "table inet carpool_edge" in listing(self.master), 20, "the shield is made again")
            lab.wait(lambda: "RULES_MISSING" in alarms(self.master), 20, "and it is told")
            self.assertRegex(alarms(self.master)["RULES_MISSING"]["text"], r"nft \(\d+\) deleted .*closed by the shield")
            probe.mark()
            lab.wait(lambda: probe.sent > probe.first + 50, 20, "probes are sent")
            self.assertEqual(len(probe.arrivals), probe.begun, "nothing passes without rules")
            self.assertIn("loaded again", self.carpool(self.master, "rules", "repair"))
            lab.wait(lambda: len(probe.arrivals) > probe.begun, 20, "traffic passes again")

    def test_an_interface_comes_back(self):
        def dmz(node):
            node.run("ip", "link", "add", "dmz0", "type", "bridge")

        rules = lab.RULES.replace("\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n",
                                  "\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n"
                                  "\t\tiif \"dmz0\" drop\n")
        self.pair(rules=rules, prepare=dmz)
        self.assertIn('iif "dmz0" drop', listing(self.master))
        self.master.run("ip", "link", "del", "dmz0")
        self.assertNotIn('iif "dmz0" drop', listing(self.master))
        self.master.run("ip", "link", "add", "dmz0", "type", "bridge")
        lab.wait(lambda: 'iif "dmz0" drop' in listing(self.master), 20, "the rules know its new index")
        self.assertEqual(self.master.state(), "master")


if __name__ == "__main__":
    lab.need_root()
    unittest.main()
