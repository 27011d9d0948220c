#!/usr/bin/env python3
"""A pair is changed under traffic, node by node, as doc/operating.md tells it: rules and config, a new key in three rounds,
and new daemons with each of them. Nothing that was established is lost."""
import os
import unittest

import pair as pair_module
from pair import RULES, Pair, Probe, wait


class Rolling(unittest.TestCase):
    def write(self, node, keys, election="", rules=RULES):
        """The node's own files: what the other one has may be older."""
        text = self.text.replace("keys: [edge.key]", f"keys: [{', '.join(keys)}]").replace("election:\n", "election:\n" + election)
        for name, content, mode in [("cluster.yaml", text, 0o644), ("edge.nft", rules, 0o644),
                                    *((key, self.keys[key], 0o600) for key in keys)]:
            with open(os.open(f"{node.dir}/{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w") as file:
                file.write(content)
        node.config = f"{node.dir}/cluster.yaml"

    def restart(self, pair, node, master):
        self.assertEqual(node.end("syncd"), 0)
        self.assertEqual(node.end("carpd"), 0)
        pair.start(node)
        pair.settle(master.name, 30)

    def roll(self, pair, **files):
        """The backup, the hand-over, the other: roles are swapped after it."""
        master = pair.master()
        backup = pair.fw2 if master is pair.fw1 else pair.fw1
        self.write(backup, **files)
        self.restart(pair, backup, master)
        self.assertEqual(master.carpool("handover").returncode, 0)
        pair.settle(backup.name)
        self.write(master, **files)
        self.restart(pair, master, backup)

    def test_everything_once(self):
        with Pair() as pair:
            with open(pair.config) as file:
                self.text = file.read()
            self.keys = {"edge.key": pair.key + "\n", "new.key": os.urandom(32).hex() + "\n"}
            with Probe(pair) as probe:
                probe.mark()
                # Rules and config by a reload, one node after the other: the master is not moved.
                rules = RULES.replace("\tchain input", "\tset later { type ipv4_addr; }\n\tchain input")
                with open(pair.dir + "/edge.nft", "w") as file:
                    file.write(rules)
                with open(pair.config, "w") as file:
                    file.write(self.text.replace("election:\n", "election:\n  settle: 2s\n"))
                for node in (pair.fw2, pair.fw1):
                    done = node.carpool("reload")
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                wait(lambda: pair.fw1.status()["rules"][0]["peers_match"], 10, "both have the new rules")
                self.assertEqual(pair.fw1.state(), "master")
                # A key that the peer does not know must not begin to sign.
                self.write(pair.fw1, ["new.key"])
                with open(pair.config) as file:
                    before = file.read()
                with open(os.open(pair.dir + "/new.key", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                    file.write(self.keys["new.key"])
                with open(pair.config, "w") as file:
                    file.write(before.replace("[edge.key]", "[new.key]"))
                self.assertNotEqual(pair.fw1.carpool("reload").returncode, 0)
                # Three rounds; each is a restart of all four daemons, as an upgrade is.
                for keys in (["edge.key", "new.key"], ["new.key", "edge.key"], ["new.key"]):
                    self.roll(pair, keys=keys, election="  settle: 2s\n", rules=rules)
                peer = pair.master().peer()
                self.assertTrue(peer["ready"], peer)
            lost = probe.lost()
            print(f"{probe.sent - probe.first} probes, {len(lost)} lost across 2 reloads, 3 hand-overs, 12 restarts")
            # Each hand-over may meet a stall of a busy machine; a fault would cost hundreds (one advert is 200 probes).
            self.assertLessEqual(len(lost), 12, lost[:40])


if __name__ == "__main__":
    pair_module.need_root()
    unittest.main(verbosity=2)
