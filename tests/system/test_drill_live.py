#!/usr/bin/env python3
"""The drill of a running cluster: `carpool drill run --live`, its lock, its abort rule, and the two ends of its traffic.

The cluster runs in a lab; the command is typed on one of its firewalls as an operator would, and the prober on the
client's host. No bound on time is judged but the limits that the command itself was given.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import unittest

import lab as lab_module

CARPOOL = os.path.realpath(lab_module.COMMAND)


def codes(document):
    return [reason for run in document["runs"] for reason in run["reasons"]]


def kill(process, number):
    """The command itself: nsenter waits for it as its child, in a namespace of its own."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid), encoding="ascii") as text:
            for child in text.read().split():
                os.kill(int(child), number)


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = lab_module.Lab(advbase="50ms")
        cls.addClassCleanup(cls.lab.close)
        cls.lab.steady("fw1")
        cls.reflect = cls.lab.popen("@wan0", CARPOOL, "drill", "reflect", stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.end_reflect)
        cls.probe = "ip netns exec @lan0 %s drill probe 10.2.0.100" % CARPOOL

    @classmethod
    def end_reflect(cls):
        kill(cls.reflect, signal.SIGTERM)
        cls.reflect.wait(10)

    def words(self, *more, probe=True, quiet="0"):
        words = [CARPOOL, "drill", "run", "--live", "--config", self.lab.about["config"], "--observe", "1s", "--json",
                 "--report", "/tmp/live-reports", "--operator", "alice", "--quiet", quiet, "--runtime-dir",
                 self.lab.node("fw1")["runtime_dir"], *(["--probe", self.probe] if probe else []), *more]
        return self.lab.words("fw1", words)

    def drill(self, *more, **options):
        done = subprocess.run(self.words(*more, **options), capture_output=True, text=True, timeout=120, check=False)
        print(done.stdout[:600], done.stderr[-1500:])
        return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout, done.stderr

    def lock(self, node):
        return self.lab.status(node).get("drill_lock", {})

    def connect(self, node):
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.lab.path(self.lab.node(node)["runtime_dir"] + "/carpd.sock"))
        self.addCleanup(client.close)
        return client

    @staticmethod
    def ask(client, **request):
        client.sendall((json.dumps(request) + "\n").encode())
        return json.loads(client.makefile().readline())

    def test_there_and_back(self):
        self.lab.steady("fw1")
        status, document, err = self.drill("--reason", "game day")
        self.assertEqual((status, codes(document)), (0, []), err)
        there, back = document["runs"]
        self.assertEqual([run["scenario"] for run in document["runs"]], ["live-handover", "live-return"])
        self.assertEqual((there["master"], back["master"]),
                         ({"before": "fw1", "after": "fw2"}, {"before": "fw2", "after": "fw1"}))
        self.assertEqual((there["by"], there["why"]), ("alice", "game day"))
        for run in (there, back):
            self.assertGreater(run["probes"]["sent"], 100)
            self.assertEqual(run["probes"]["lost"], 0)
            self.assertEqual(run["tcp"]["survived"], 4)
            self.assertGreater(run["connects"]["sent"], 5)
            self.assertTrue(run["timeline"])
        self.assertEqual([stage["stage"] for stage in back["stages"] if ":" not in stage["stage"]][:5],
                         ["before", "state", "rules", "addresses", "announce"])
        # Both nodes know whose drill it was, and the next one is refused for a while.
        for node in ("fw1", "fw2"):
            lab_module.wait(lambda n=node: self.lock(n)["node"] is None, 5, "the lock is over on " + node)
            self.assertEqual(self.lock(node)["last"]["node"], "fw1")
        self.assertEqual(self.lab.state("fw1"), "master")
        status, document, err = self.drill("--reason", "again", quiet="10m")
        self.assertEqual(status, 2)
        self.assertRegex(err, "NO   no other drill")
        self.assertRegex(self.lab.run("fw1", "cat", self.lab.about["logs"] + "/fw1.carpd.log", check=False),
                         "drill from this node begins: by alice: game day")
        self.assertRegex(self.lab.run("fw1", "cat", self.lab.about["logs"] + "/fw2.carpd.log", check=False),
                         "drill from fw1 begins")

    def test_dry_run(self):
        self.lab.steady("fw1")
        term = self.lab.status("fw1")["groups"][0]["term"]
        status, out, err = self.drill("--dry-run")
        self.assertEqual(status, 0, err)
        self.assertIn("group edge: fw1 -> the best ready peer", out)
        self.assertEqual(self.lab.status("fw1")["groups"][0]["term"], term)
        self.assertEqual(self.drill()[0], 2)  # no reason
        self.assertEqual(self.drill("--reason", "x", probe=False)[0], 2)  # nor that nothing is to be measured

    def test_refused_when_not_ready(self):
        self.lab.steady("fw1")
        self.lab.carpool("fw2", "maintenance", "on")
        self.addCleanup(self.lab.carpool, "fw2", "maintenance", "off")
        status, document, err = self.drill("--reason", "x")
        self.assertEqual((status, document["runs"][0]["verdict"]), (2, "error"))
        self.assertRegex(err, "NO   (healthy|ready)")
        self.assertEqual(self.lab.state("fw1"), "master")

    def test_one_at_a_time(self):
        """Two that ask at the same moment, on two nodes, again and again: never both; one that is silent frees it."""
        self.lab.steady("fw1")
        for turn in range(5):
            clients = [self.connect("fw1"), self.connect("fw2")]
            for client in clients:
                client.sendall((json.dumps({"op": "drill", "on": True, "by": "bob", "reason": "turn %d" % turn}) + "\n").encode())
            answers = [json.loads(client.makefile().readline()) for client in clients]
            held = [answer["ok"] for answer in answers]
            self.assertEqual(sum(held), 1, answers)
            self.assertEqual(answers[held.index(False)]["error"]["code"], "BUSY")
            for node in ("fw1", "fw2"):
                self.assertEqual(self.lock(node)["node"], ("fw1", "fw2")[held.index(True)])
            again = self.ask(clients[held.index(False)], op="drill", on=True, by="eve", reason="too")
            self.assertEqual(again["error"]["code"], "BUSY")
            for client in clients:
                client.shutdown(socket.SHUT_RDWR)
                client.close()
            for node in ("fw1", "fw2"):
                lab_module.wait(lambda n=node: self.lock(n)["node"] is None, 5, "nobody drills")
        bad = self.ask(self.connect("fw1"), op="drill", on=True, by="", reason="x")
        self.assertEqual(bad["error"]["code"], "BAD_REQUEST")
        short = self.connect("fw1")
        self.assertTrue(self.ask(short, op="drill", on=True, by="bob", reason="short", for_ms=500)["ok"])
        lab_module.wait(lambda: self.lock("fw2")["node"] is None, 5, "its time is over")

    def test_abort(self):
        """The probes are not answered any more while fw2 has the group: back to fw1 at once, and a verdict that says why."""
        self.lab.steady("fw1")
        process = subprocess.Popen(self.words("--reason", "abort", "--limit", "700ms", "--observe", "20s"),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.stdout.close(), process.stderr.close()))
        try:
            lab_module.wait(lambda: self.lab.state("fw2") == "master", 30, "fw2 has the group")
            self.lab.run("@wan0", "nft", "table ip mute { chain input { type filter hook input priority 0; udp dport 4243 drop; }; }")
            out, err = process.communicate(timeout=60)
        finally:
            self.lab.run("@wan0", "nft", "delete table ip mute", check=False)
            kill(process, signal.SIGKILL)
        document = json.loads(out)
        print(codes(document), err[-800:])
        self.assertEqual(process.returncode, 1)
        self.assertEqual(len(document["runs"]), 1)
        self.assertTrue(any("aborted: no probe was answered" in reason for reason in codes(document)), document)
        self.assertTrue(any("reverted" in note for note in document["runs"][0]["notes"]), document)
        self.assertEqual(self.lab.state("fw1"), "master")

    def test_interrupted(self):
        """Ctrl-C is an abort, too; and a command that is killed leaves no lock."""
        self.lab.steady("fw1")
        process = subprocess.Popen(self.words("--no-probe", "--reason", "int", "--observe", "20s", probe=False),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.stdout.close(), process.stderr.close()))
        lab_module.wait(lambda: self.lab.state("fw2") == "master", 30, "fw2 has the group")
        kill(process, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertTrue(any("stopped by the operator" in reason for reason in codes(json.loads(out))), out)
        self.assertEqual(self.lab.state("fw1"), "master")
        self.lab.steady("fw1")
        killed = subprocess.Popen(self.words("--no-probe", "--reason", "kill", "--observe", "20s", probe=False),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lab_module.wait(lambda: self.lock("fw2")["node"] == "fw1", 30, "it has begun")
        kill(killed, signal.SIGKILL)
        killed.wait(10)
        lab_module.wait(lambda: self.lock("fw2")["node"] is None, 10, "no lock is left")

    def test_ends_alone(self):
        """The prober and the reflector without a drill, as somebody with a stopwatch would use them; other bytes get nothing."""
        done = subprocess.run(self.lab.words("@lan0", [CARPOOL, "drill", "probe", "10.2.0.100", "--for", "1s"]),
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"probes +\d+ sent, 0 lost")
        done = subprocess.run(self.lab.words("@lan0", [CARPOOL, "drill", "probe", "10.2.0.100:4999", "--for", "1s", "--json"]),
                              capture_output=True, text=True, timeout=30, check=False)
        last = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((done.returncode, last["event"], last["tcp"]["survived"]), (1, "result", 0))
        self.assertGreater(last["probes"]["lost"], 0)
        with self.lab.inside("@lan0"):
            stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with stranger:
            stranger.settimeout(0.3)
            for bytes_ in (b"x", b"x" * 64, b"carprobe" + b"x" * 1400):
                stranger.sendto(bytes_, ("10.2.0.100", 4243))
            with self.assertRaises(TimeoutError):
                stranger.recv(2000)
            stranger.sendto(b"carprobe" + bytes(56), ("10.2.0.100", 4243))
            self.assertEqual(len(stranger.recv(2000)), 64)
        self.assertEqual(subprocess.run([CARPOOL, "drill", "probe", "10.2.0.100", "--rate", "0"], capture_output=True,
                                        check=False, timeout=10).returncode, 2)
        self.assertEqual(subprocess.run([CARPOOL, "drill", "probe", "10.2.0.100:0"], capture_output=True, check=False,
                                        timeout=10).returncode, 2)


if __name__ == "__main__":
    lab_module.need_root()
    unittest.main(verbosity=2)
