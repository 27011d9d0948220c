#!/usr/bin/env python3
"""The real carpool command against daemons that say what the test wants (fake_daemon.py): arguments, exit codes,
one JSON document whatever happens, and complaints that tell what to do. Needs neither root nor namespaces."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CARPOOL = os.environ.get("CARPOOL_COMMAND", "carpool")
GOLDEN = os.path.join(HERE, "..", "unit", "ctl", "golden")


def golden(name):
    with open(os.path.join(GOLDEN, name + ".json")) as file:
        return json.load(file)


def ok(result):
    return {"ok": True, "result": result}


def no(code, text="why"):
    return {"ok": False, "error": {"code": code, "text": text}}


class Verbs(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="ctl-")
        self.daemons = []

    def tearDown(self):
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        self.dir.cleanup()

    def start(self, name, script):
        daemon = subprocess.Popen([sys.executable, os.path.join(HERE, "fake_daemon.py"),
                                   f"{self.dir.name}/{name}.sock"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.daemons.append(daemon)
        daemon.stdin.write(json.dumps(script))
        daemon.stdin.close()
        self.assertEqual(daemon.stdout.readline(), "READY\n")
        return daemon

    def run_carpool(self, *words, timeout=20, **options):
        return subprocess.run([CARPOOL, words[0], "--runtime-dir", self.dir.name, *words[1:]], text=True,
                              capture_output=True, timeout=timeout, **options)

    def expect(self, exit_status, *words):
        done = self.run_carpool(*words)
        self.assertEqual(done.returncode, exit_status, f"{words}: {done.stdout}{done.stderr}")
        return done

    def expect_json(self, exit_status, *words):
        return json.loads(self.expect(exit_status, *words, "--json").stdout)

    # What every verb has in common.

    VERBS = [("status",), ("handover",), ("maintenance", "on"), ("maintenance", "off"), ("history",), ("events",),
             ("sync",), ("sync", "resync"), ("flows",), ("reload",), ("reload", "--diff")]

    def test_nobody_there(self):
        for words in self.VERBS:
            document = self.expect_json(1, *words)
            self.assertEqual(document["error"]["code"], "NOT_RUNNING", words)
            self.assertIn("does not run here", self.expect(1, *words).stderr)

    def test_help(self):
        for words in self.VERBS:
            done = self.expect(0, *words, "--help")
            self.assertIn("usage: carpool " + words[0], done.stdout)
            self.assertEqual(done.stderr, "")

    def test_usage(self):
        for words in [("status", "--chekc"), ("status", "x"), ("status", "--check", "--watch"), ("handover", "--to"),
                      ("maintenance",), ("maintenance", "maybe"), ("maintenance", "off", "--for", "1h"),
                      ("maintenance", "on", "--for", "30"), ("maintenance", "on", "--for", "0s"),
                      ("sync", "everything"), ("handover", "--to", "")]:
            self.assertEqual(self.expect_json(2, *words)["error"]["code"], "USAGE", words)
        self.assertIn("did you mean --check?", self.expect(2, "status", "--chekc").stderr)
        self.assertIn("did you mean 'status'?", self.expect(2, "statsu").stderr)

    def test_refused(self):
        refusal = [no("NOT_READY", "fw2: SYNC_NOT_CONNECTED")]
        script = {op: refusal for op in
                  ["status", "handover", "maintenance", "history", "events", "reload", "flows", "resync"]}
        self.start("carpd", script)
        self.start("syncd", script)
        for words in self.VERBS:
            self.assertEqual(self.expect_json(1, *words)["error"],
                             {"code": "NOT_READY", "text": "fw2: SYNC_NOT_CONNECTED"}, words)
            self.assertIn("SYNC_NOT_CONNECTED", self.expect(1, *words).stderr)

    def test_nonsense(self):
        for answer in ["x\n", "[]\n", "{}\n", '{"ok":7}\n', '{"ok":true', "close", '{"ok":false}\n', "\0\n",
                       '{"a":' * 10000 + "\n", "y" * 70000 + "\n"]:
            script = {op: [answer, "close"] for op in ["status", "handover", "maintenance", "reload", "flows"]}
            with self.subTest(answer=answer[:20]):
                self.tearDown()
                self.setUp()
                self.start("carpd", script)
                self.start("syncd", script)
                for words in [("status",), ("handover",), ("maintenance", "on"), ("reload",), ("flows",), ("sync",)]:
                    self.assertIn("error", self.expect_json(1, *words))

    # Each verb.

    def carpd_status(self):
        status = golden("status-master")
        sync = status.pop("sync")
        return status, sync

    def test_status(self):
        status, sync = self.carpd_status()
        self.start("carpd", {"status": [ok(status)]})
        self.start("syncd", {"status": [ok(sync)]})
        self.assertEqual(self.expect_json(0, "status"), golden("status-master"))
        self.assertIn("cluster edge, seen from fw1: OK", self.expect(0, "status").stdout)
        check = self.expect(0, "status", "--check").stdout
        self.assertEqual(check, "CARPOOL OK - edge: fw1 | problems=0 flows=1234 lag_ms=0.400\n")

    def test_status_without_syncd(self):
        status, _ = self.carpd_status()
        self.start("carpd", {"status": [ok(status)]})
        document = self.expect_json(0, "status")
        self.assertIsNone(document["sync"])
        self.assertEqual([alarm["code"] for alarm in document["alarms"]], ["SYNCD_DOWN"])
        self.expect(1, "status", "--check")
        self.assertIn("syncd DOES NOT ANSWER", self.expect(0, "status").stdout)

    def test_status_where_no_sync_is_configured(self):
        status, _ = self.carpd_status()
        status["sync_configured"] = False
        self.start("carpd", {"status": [ok(status)]})
        document = self.expect_json(0, "status")
        self.assertIsNone(document["sync"])
        self.assertEqual(document["alarms"], [])
        self.assertNotIn("sync", self.expect(0, "status").stdout.lower().replace("sync0", ""))

    def test_check_levels(self):
        for name, level in [("status-master", 0), ("status-backup", 1), ("status-night", 2), ("status-promoting", 2),
                            ("status-two-masters", 2), ("status-empty", 3)]:
            with self.subTest(name):
                self.tearDown()
                self.setUp()
                status = golden(name)
                sync = status.pop("sync", {})
                self.start("carpd", {"status": [ok(status)]})
                self.start("syncd", {"status": [ok(sync or {})]})
                self.assertEqual(self.expect(level, "status", "--check").stdout.count("\n"), 1)
                self.expect(level, "status", "--check", "--json")

    def test_check_without_carpd_is_unknown(self):
        self.assertIn("CARPOOL UNKNOWN", self.expect(3, "status", "--check").stdout)
        self.assertEqual(self.expect_json(3, "status", "--check")["error"]["code"], "NOT_RUNNING")

    def test_handover(self):
        carpd = self.start("carpd", {"handover": [{"pause_ms": 300}, ok(golden("moves-one"))]})
        self.assertEqual(self.expect(0, "handover").stdout, "edge: fw1 -> fw2, complete in 32 ms\n")
        self.assertEqual(json.loads(carpd.stdout.readline()), {"op": "handover", "force": False})
        self.assertEqual(self.expect_json(0, "handover", "--to", "fw2", "--group", "edge", "--force"),
                         golden("moves-one"))
        self.assertEqual(json.loads(carpd.stdout.readline()),
                         {"op": "handover", "to": "fw2", "group": "edge", "force": True})

    def test_maintenance(self):
        carpd = self.start("carpd", {"maintenance": [ok({"on": True, "until": "2026-01-01T00:30:00.000000Z",
                                                         "groups": golden("moves-one")["groups"]})]})
        done = self.expect(0, "maintenance", "on", "--for", "30m")
        self.assertEqual(done.stdout, "edge: fw1 -> fw2, complete in 32 ms\n"
                                      "maintenance is on until 2026-01-01 00:30:00 UTC\n")
        self.assertEqual(json.loads(carpd.stdout.readline()),
                         {"op": "maintenance", "on": True, "force": False, "for_ms": 1800000})
        self.expect(0, "maintenance", "off")
        self.assertEqual(json.loads(carpd.stdout.readline()), {"op": "maintenance", "on": False, "force": False})

    def test_history(self):
        items = [dict(golden("history-promotion"), term=n, group="edge" if n % 2 else "dmz") for n in range(1000)]
        self.start("carpd", {"history": [{"item": item} for item in items] + [ok({"items": 1000})]})
        self.assertEqual(self.expect_json(0, "history"), {"transitions": items})
        self.assertEqual(self.expect_json(0, "history", "--group", "dmz"), {"transitions": items[::2]})
        self.assertEqual(self.expect(0, "history").stdout.count("\n"), 2000)

    def test_empty_lists(self):
        self.start("carpd", {"history": [ok({"items": 0})]})
        self.start("syncd", {"flows": [ok({"items": 0})]})
        self.assertEqual(self.expect_json(0, "history"), {"transitions": []})
        self.assertEqual(self.expect_json(0, "flows"), {"flows": []})
        self.assertEqual(self.expect(0, "flows").stdout, "")

    def test_list_that_breaks_is_still_a_document(self):
        self.start("syncd", {"flows": [{"item": golden("flow-icmp")}, no("FAILED", "the dump broke")]})
        document = self.expect_json(1, "flows")
        self.assertEqual(len(document["flows"]), 1)
        self.assertEqual(document["error"], {"code": "FAILED", "text": "the dump broke"})

    def test_events(self):
        self.start("carpd", {"events": [golden("event-alarm"), golden("event-transition"), "close"]})
        done = self.run_carpool("events", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(lines[:2], [golden("event-alarm"), golden("event-transition")])
        self.assertEqual(lines[2]["error"]["code"], "CLOSED")
        self.assertEqual(done.returncode, 1)

    def test_sync(self):
        self.start("syncd", {"status": [ok(golden("sync-active"))], "resync": [ok({})]})
        self.assertEqual(self.expect_json(0, "sync"), golden("sync-active"))
        self.assertIn("lag 0.4 ms", self.expect(0, "sync").stdout)
        self.expect(0, "sync", "resync")

    def verify_script(self, differences, compared=True):
        flow = golden("flow-icmp")
        items = [{"item": {**flow, "node": "fw2", "where": "kernel", "kind": "missing", "fields": []}}] if differences else []
        summary = {"node": "fw1", "flows": 7, "differences": differences, "kernel_read": True,
                   "peers": [{"node": "fw2", "compared": compared, "reason": "" if compared else "not connected"}]}
        return {"verify": items + [{"item": {"summary": summary}}, ok({"items": len(items) + 1})]}

    def test_sync_verify(self):
        self.start("syncd", self.verify_script(0))
        verify = self.expect_json(0, "sync", "verify")["verify"]
        self.assertEqual((verify["equal"], verify["passes"], verify["differences"]), (True, 1, []))
        self.assertIn("7 flows: equal", self.expect(0, "sync", "verify").stdout)

    def test_sync_verify_persisting(self):
        self.start("syncd", self.verify_script(1))
        verify = self.expect_json(1, "sync", "verify")["verify"]
        self.assertEqual((verify["equal"], verify["passes"], verify["unlisted"]), (False, 3, 0))
        self.assertEqual([d["where"] for d in verify["differences"]], ["kernel"])

    def test_sync_verify_unlisted(self):
        self.start("syncd", self.verify_script(5))
        self.assertIn("4 differences that are not listed", self.expect(1, "sync", "verify").stdout)

    def test_sync_verify_unproven(self):
        self.start("syncd", self.verify_script(0, compared=False))
        self.assertIn("not proven: fw2: not connected", self.expect(1, "sync", "verify").stdout)

    def test_reload(self):
        carpd = self.start("carpd", {"reload": [ok(golden("diff-one"))]})
        self.assertIn("would change:", self.expect(0, "reload", "--diff").stdout)
        self.assertEqual(json.loads(carpd.stdout.readline()), {"op": "reload", "diff": True, "force": False})
        self.assertIn("changed:", self.expect(0, "reload").stdout)

    def test_explain(self):
        self.assertIn("fell silent on every path", self.expect(0, "explain", "master_dead").stdout)
        kinds = [c["kind"] for c in self.expect_json(0, "explain", "TABLE_FULL")["codes"]]
        self.assertEqual(kinds, ["alarm", "not-ready", "sync-drop"])
        self.assertIn("did you mean MASTER_DEAD", self.expect(1, "explain", "MASTER_DED").stderr)
        self.assertEqual(self.expect_json(1, "explain", "nonsense")["error"]["code"], "UNKNOWN_CODE")
        codes = self.expect_json(0, "explain")["codes"]
        listed = self.expect(0, "explain").stdout
        for code in codes:
            self.assertIn(f"  {code['code']} ", listed)

    def test_doctor(self):
        done = self.run_carpool("doctor", "--json", "--config", "/nonexistent/cluster.yaml")
        document = json.loads(done.stdout)
        levels = [finding["level"] for finding in document["findings"]]
        self.assertIn(document["level"], ("ok", "warning", "error"))
        self.assertEqual(done.returncode, ["ok", "warning", "error"].index(document["level"]))
        self.assertEqual(done.returncode, max(["ok", "warning", "error"].index(level) for level in levels))
        text = self.run_carpool("doctor", "--all").stdout
        for finding in document["findings"]:
            self.assertIn(finding["what"], text)

    def test_full_disk(self):
        status, sync = self.carpd_status()
        self.start("carpd", {"status": [ok(status)], "history": [{"item": golden("history-promotion")}] * 100 +
                                                                [ok({"items": 100})]})
        self.start("syncd", {"status": [ok(sync)]})
        for words in [("status",), ("status", "--json"), ("history",), ("history", "--json"), ("version",), ("flows", "--help")]:
            with open("/dev/full", "w") as full:
                done = subprocess.run([CARPOOL, words[0], "--runtime-dir", self.dir.name, *words[1:]], stdout=full,
                                      stderr=subprocess.PIPE, timeout=20)
            self.assertEqual(done.returncode, 1, words)


if __name__ == "__main__":
    unittest.main(verbosity=1)
