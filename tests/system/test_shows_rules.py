#!/usr/bin/env python3
"""Other people's hands in nftables while a real pair runs: noticed, named, never promoted over, and cured by a
reload. (What the switch itself refuses is tested in test_rules_switch.py, without daemons.)"""
import unittest

import pair as lab


def alarms(node):
    return {alarm["code"]: alarm for alarm in node.status()["alarms"]}


class Rules(unittest.TestCase):
    def setUp(self):
        self.pair = lab.Pair(advbase="300ms", daemons=False).__enter__()
        self.addCleanup(self.pair.__exit__, None, None, None)
        for node in self.pair.nodes:
            self.pair.start(node)
        self.pair.settle(master=None)  # which one it is does not matter here
        self.master = self.pair.master()
        self.standby = next(node for node in self.pair.nodes if node is not self.master)

    def entry(self, node):
        return node.status()["rules"][0]

    def test_roles_and_fingerprints(self):
        lab.wait(lambda: self.entry(self.master)["peers_match"] and self.entry(self.standby)["peers_match"], 5,
                 "both tell that their rules are the same")
        self.assertEqual(self.entry(self.master)["active"], "master")
        self.assertEqual(self.entry(self.standby)["active"], "backup")
        self.assertEqual(self.entry(self.master)["fingerprint"], self.entry(self.standby)["fingerprint"])
        self.assertNotEqual(self.entry(self.master)["fingerprint"].strip("0"), "")

    def test_flush_on_the_standby(self):
        self.standby.run("nft", "flush", "ruleset")
        lab.wait(lambda: "RULES_MISSING" in alarms(self.standby), 5, "the standby notices")
        lab.wait(lambda: not self.master.peer()["ready"], 5, "the master hears of it")
        self.assertIn("RULES_MISSING", self.master.peer()["not_ready"])
        refused = self.master.carpool("handover")
        self.assertNotEqual(refused.returncode, 0, "handed over to a node without rules")
        self.assertIs(self.pair.master(), self.master)
        reloaded = self.standby.carpool("reload")
        self.assertEqual(reloaded.returncode, 0, reloaded.stderr)
        lab.wait(lambda: self.master.peer()["ready"] and "RULES_MISSING" not in alarms(self.standby), 5, "it is cured")
        self.assertEqual(self.master.carpool("handover").returncode, 0)
        lab.wait(lambda: self.entry(self.standby)["active"] == "master", 5, "the hand-over")

    def test_flush_on_the_master(self):
        """It hands over to the one that still has rules; its own come back by a reload."""
        self.master.run("nft", "flush", "ruleset")
        lab.wait(lambda: self.pair.master() is self.standby, 15, "the standby takes over")
        self.assertEqual(self.entry(self.standby)["active"], "master")
        self.assertEqual(self.master.carpool("reload").returncode, 0)
        lab.wait(lambda: self.standby.peer()["ready"], 5, "it is cured")

    def test_flush_on_a_lonely_master(self):
        """Nobody to hand over to: a reload puts its rules back, awake."""
        for daemon in ("carpd", "syncd"):
            self.standby.end(daemon)
        self.master.run("nft", "flush", "ruleset")
        lab.wait(lambda: "RULES_MISSING" in alarms(self.master), 5, "the master notices")
        reloaded = self.master.carpool("reload")
        self.assertEqual(reloaded.returncode, 0, reloaded.stderr)
        lab.wait(lambda: "RULES_MISSING" not in alarms(self.master), 5, "it is cured")
        self.assertEqual(self.master.state(), "master")
        listing = self.master.run("nft", "list", "ruleset").stdout
        self.assertRegex(listing, r"table inet edge \{\n\t(?!flags dormant)")
        self.assertRegex(listing, r"table inet carpool_edge \{\n\tflags dormant")

    def test_foreign_rule(self):
        self.standby.run("nft", "add", "rule", "inet", "edge", "forward", "accept")
        lab.wait(lambda: "RULES_CHANGED" in alarms(self.standby), 5, "the standby notices")
        self.assertRegex(alarms(self.standby)["RULES_CHANGED"]["text"], r"nft \(\d+\) added a rule")
        self.assertIs(self.pair.master(), self.master)
        self.assertEqual(self.standby.carpool("reload").returncode, 0)
        lab.wait(lambda: "RULES_CHANGED" not in alarms(self.standby), 5, "it is cured")

    def test_others_tables_are_theirs(self):
        self.standby.run("nft", "add", "table", "ip", "docker")
        self.standby.run("nft", "add", "element", "inet", "carpool_edge", "carpool_canary", "{ 2 }")
        self.assertEqual(self.master.carpool("handover").returncode, 0)
        lab.wait(lambda: self.pair.master() is self.standby, 5, "the hand-over")
        self.assertNotIn("RULES_CHANGED", alarms(self.standby))
        self.assertEqual(self.entry(self.standby)["active"], "master")


if __name__ == "__main__":
    lab.need_root()
    unittest.main()
