#!/usr/bin/env python3
"""Shows: a handler in ten lines of Python registers on the running carpd, receives become_master in its phase, delays
it within its deadline, fails it once when `required`; the history tells. And what a handler may not do."""
import json
import os
import subprocess
import sys
import time
import unittest

import pair as lab

HERE = os.path.dirname(os.path.abspath(__file__))


class Handlers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.pair.__exit__(None, None, None)

    def setUp(self):
        self.fw1, self.fw2 = self.pair.fw1, self.pair.fw2
        self.home()

    def home(self):
        if self.fw1.state() != "master":
            lab.wait(lambda: self.fw1.carpool("handover", "--to", "fw1").returncode == 0, 70, "fw1 takes over")
        self.pair.settle()

    def register(self, node, name, phase="before", timeout_ms=400, required=False, **fields):
        line = lab.Line(node.socket_path("carpd"))
        self.addCleanup(line.close)
        answer = line.ask("register", name=name, phase=phase, timeout_ms=timeout_ms, required=required, **fields)
        self.assertTrue(answer["ok"], answer)
        return line

    def last(self, node, **fields):
        """The newest transition of the node that has these fields."""
        def find():
            for transition in reversed(node.json("history")["transitions"]):
                if all(transition.get(name) == value for name, value in fields.items()):
                    return transition
            return None
        return lab.wait(find, 5, f"a transition with {fields}")

    def test_ten_lines_of_python(self):
        example = subprocess.Popen([sys.executable, HERE + "/handler_example.py", self.fw2.socket_path("carpd"), "tell",
                                    "before"], stdout=subprocess.PIPE, text=True)
        try:
            self.assertTrue(json.loads(example.stdout.readline())["ok"])
            role = json.loads(example.stdout.readline())
            self.assertEqual((role["event"], role["group"], role["state"], role["master"]),
                             ("role", "edge", "backup", "fw1"))
            self.assertEqual(self.fw1.carpool("handover").returncode, 0)
            event = json.loads(example.stdout.readline())
            while event["event"] == "role":
                event = json.loads(example.stdout.readline())
            self.assertEqual((event["event"], event["group"], event["reason"], event["from"]),
                             ("become_master", "edge", "HANDOVER", "fw1"))
            self.assertIsInstance(event["id"], int)
            while event["event"] != "role" or event["state"] != "master":
                event = json.loads(example.stdout.readline())
            self.assertEqual((event["state"], event["master"], event["term_owner"]), ("master", "fw2", 2))
            transition = self.last(self.fw2, to="master")
            self.assertTrue(any("before" in stage["stage"] and stage["ok"] for stage in transition["stages"]),
                            transition)
        finally:
            example.kill()
            example.wait()
            example.stdout.close()
        self.home()

    def test_delay_within_the_deadline(self):
        line = self.register(self.fw2, "slow")
        move = subprocess.Popen([f"{lab.BUILD}/ctl/carpool", "handover", "--runtime-dir", self.fw2.runtime])
        event = line.hear_until("become_master")
        self.assertFalse(self.fw2.has_any_vip(), "nothing is done before the handler has answered")
        time.sleep(0.2)
        self.assertFalse(self.fw2.has_any_vip())
        line.say({"op": "done", "id": event["id"], "ok": True})
        self.assertEqual(move.wait(10), 0)
        self.assertTrue(self.fw2.has_vips())
        stage = next(stage for stage in self.last(self.fw2, to="master")["stages"] if "before" in stage["stage"])
        self.assertTrue(stage["ok"])
        self.assertGreater(stage["us"], 190000)
        self.home()

    def test_silent_one_is_not_waited_for_ever(self):
        line = self.register(self.fw2, "silent", timeout_ms=200)
        start = time.monotonic()
        self.assertEqual(self.fw2.carpool("handover").returncode, 0, "not required: goes on")
        self.assertGreater(time.monotonic() - start, 0.15)
        self.assertTrue(line.hear_until("become_master"))
        stage = next(stage for stage in self.last(self.fw2, to="master")["stages"] if "before" in stage["stage"])
        self.assertFalse(stage["ok"])
        self.home()

    def test_required_failure_aborts_a_handover(self):
        line = self.register(self.fw2, "guardian", required=True)
        move = subprocess.Popen([f"{lab.BUILD}/ctl/carpool", "handover", "--runtime-dir", self.fw1.runtime, "--json"],
                                stdout=subprocess.PIPE, text=True)
        event = line.hear_until("become_master")
        line.say({"op": "done", "id": event["id"], "ok": False, "error": "not today"})
        text, _ = move.communicate(timeout=15)
        self.assertEqual(move.returncode, 1, text)
        self.assertIn("error", json.loads(text))
        lab.wait(lambda: self.fw1.state() == "master" and self.fw1.has_vips(), 5, "fw1 is master still, or again")
        self.assertFalse(self.fw2.has_any_vip())
        self.assertIn("not today", json.dumps(self.last(self.fw2, reason="PROMOTION_FAILED")))
        self.assertTrue(any(demotion["name"] == "promotion_failed" for demotion in self.fw2.group()["demotions"]))

    def test_who_leaves_in_its_turn_has_failed(self):
        line = self.register(self.fw2, "leaver", timeout_ms=5000)
        move = subprocess.Popen([f"{lab.BUILD}/ctl/carpool", "handover", "--runtime-dir", self.fw2.runtime])
        self.assertTrue(line.hear_until("become_master"))
        start = time.monotonic()
        line.close()
        self.assertEqual(move.wait(10), 0)
        self.assertLess(time.monotonic() - start, 2, "its timeout is not waited for")
        self.home()

    def test_wrong_registrations(self):
        self.register(self.fw1, "one")
        for fields, code in [({"name": "one"}, "NAME_TAKEN"), ({"name": ""}, "BAD_REQUEST"), ({"name": 7}, "BAD_REQUEST"),
                             ({"name": "x" * 200}, "BAD_REQUEST"), ({"phase": "later"}, "BAD_REQUEST"),
                             ({"timeout_ms": 0}, "BAD_REQUEST"), ({"timeout_ms": -1}, "BAD_REQUEST"),
                             ({"timeout_ms": 2**40}, "BAD_REQUEST"), ({"required": "yes"}, "BAD_REQUEST")]:
            with lab.Line(self.fw1.socket_path("carpd")) as line:
                answer = line.ask("register", **{"name": "two", "phase": "after", "timeout_ms": 100, "required": False,
                                                 **fields})
                self.assertFalse(answer["ok"], fields)
                self.assertEqual(answer["error"]["code"], code, (fields, answer))

    def test_stray_answers_do_nothing(self):
        line = self.register(self.fw1, "stray")
        for answer in [{"id": 99999, "ok": True}, {"id": -1, "ok": False}, {"id": "x"}, {}, {"id": 1.5, "ok": True}]:
            line.say({"op": "done", **answer})
        with lab.Line(self.fw1.socket_path("carpd")) as other:
            other.say({"op": "done", "id": 1, "ok": True})          # not even registered
            self.assertTrue(other.ask("status", seq=1))
        self.assertEqual(self.fw1.state(), "master")


if __name__ == "__main__":
    lab.need_root()
    unittest.main(verbosity=1)
