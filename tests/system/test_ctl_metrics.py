#!/usr/bin/env python3
"""`carpool metrics` and `carpool exporter` against daemons that say what the test wants; the alert rules and the
dashboard against the names that come out. promtool and Prometheus judge where they are installed."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

import test_ctl_verbs
from test_ctl_verbs import CARPOOL, golden, ok

MONITORING = os.environ["MONITORING"]
CARPD = {"groups": [{"group": "edge", "carpool_group_state": "master", "carpool_transitions_total": {"MASTER_DEAD": 2},
                     "carpool_dual_master_seconds_total": 0.5, "carpool_became_master_total": 2,
                     "carpool_released_master_total": 1,
                     "carpool_stage_seconds": [{"stage": "rules", "to": "master", "count": 2, "sum_us": 480}]}],
         "paths": [{"via": "lan0", "up": True, "sent": 10, "received": 9, "send_errors": 0, "floods": 0}],
         "carpool_adverts_dropped_total": {"AUTH": 3}, "carpool_adverts_accepted_total": 90,
         "carpool_adverts_sent_total": 100, "carpool_history_lost_total": 0, "carpool_handler_answers_ignored_total": 0}
SYNCD = {"flows": 5, "capacity": 1000, "kernel_events": 7, "dropped": {"STALE": 1}, "injection_errors": {"ENOMEM": 1},
         "connections_closed": {"BROKEN": 1}, "peers": [{"node": "fw2", "sent": 1, "received": 2, "bytes_in": 3, "bytes_out": 4}]}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Metrics(test_ctl_verbs.Verbs):
    def setUp(self):
        super().setUp()
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            process.kill()
            process.wait()
        super().tearDown()

    def daemons_up(self):
        status = golden("status-master")
        sync = status.pop("sync")
        self.start("carpd", {"status": [ok(status)], "metrics": [ok(CARPD)]})
        self.start("syncd", {"status": [ok(sync)], "metrics": [ok(SYNCD)]})
        for name in ("carpd", "syncd"):
            os.chmod(f"{self.dir.name}/{name}.sock", 0o666)
        os.chmod(self.dir.name, 0o755)

    def exporter(self):
        port = free_port()
        process = subprocess.Popen([CARPOOL, "exporter", "--runtime-dir", self.dir.name, "--listen", f"127.0.0.1:{port}"])
        self.processes.append(process)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return port, process
            except OSError:
                time.sleep(0.02)
        self.fail("the exporter does not listen")

    def get(self, port, path="/metrics", method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer, body

    @unittest.skipUnless(shutil.which("promtool"), "promtool (Debian: prometheus) is not installed")
    def test_promtool_is_content(self):
        self.daemons_up()
        for up in (True, False):
            text = self.expect(0, "metrics").stdout
            done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), up)
            for daemon in self.daemons:
                daemon.kill()
                daemon.wait()

    @unittest.skipUnless(shutil.which("promtool"), "promtool (Debian: prometheus) is not installed")
    def test_rules(self):
        for words in (["check", "rules", "carpool.rules.yml"], ["test", "rules", "carpool.rules.test.yml"]):
            done = subprocess.run(["promtool", *words], cwd=MONITORING, text=True, capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_rules_and_dashboard_use_names_that_exist(self):
        self.daemons_up()
        names = set(re.findall(r"^# TYPE (\w+)", self.expect(0, "metrics").stdout, re.M))
        names |= {"carpool_stage_seconds_sum", "carpool_stage_seconds_count", "carpool_drill_last_time_seconds",
                  "carpool_conntrack_entries", "carpool_conntrack_entries_limit"}  # by the host and its history
        for leaf in ("carpool.rules.yml", "carpool.dashboard.json"):
            with open(os.path.join(MONITORING, leaf)) as file:
                used = set(re.findall(r"\bcarpool_\w+", file.read()))
            self.assertTrue(used)
            self.assertEqual(used - names, set(), leaf)
        with open(os.path.join(MONITORING, "carpool.dashboard.json")) as file:
            self.assertGreater(len(json.load(file)["panels"]), 5)

    def test_textfile(self):
        self.daemons_up()
        path = f"{self.dir.name}/carpool.prom"
        for _ in range(2):
            self.expect(0, "metrics", "--textfile", path)
            with open(path) as file:
                self.assertIn('carpool_up{daemon="carpd"} 1', file.read())
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o644)
        self.assertEqual([n for n in os.listdir(self.dir.name) if n.startswith("carpool.prom.")], [])
        self.assertIn("No such file", self.expect(1, "metrics", "--textfile", "/nonexistent/x.prom").stderr)

    def test_exporter_serves(self):
        self.daemons_up()
        port, process = self.exporter()
        answer, body = self.get(port)
        self.assertEqual(answer.status, 200)
        self.assertIn("version=0.0.4", answer.getheader("Content-Type"))
        self.assertIn('carpool_group_state{group="edge",state="master"} 1', body)
        self.assertIn("keepalived_vrrp_state", body)
        answer, body = self.get(port, Accept="application/openmetrics-text;version=1.0.0")
        self.assertIn("openmetrics-text", answer.getheader("Content-Type"))
        self.assertTrue(body.endswith("# EOF\n"))
        self.assertEqual(self.get(port, "/")[0].status, 200)
        self.assertEqual(self.get(port, "/etc/passwd")[0].status, 404)
        self.assertEqual(self.get(port, method="HEAD")[0].status, 200)
        self.assertEqual(self.get(port, method="DELETE")[0].status, 405)
        with open(f"/proc/{process.pid}/status") as file:
            status = file.read()
        self.assertRegex(status, r"CapEff:\s+0+\n")
        self.assertRegex(status, r"CapPrm:\s+0+\n")
        self.assertRegex(status, r"NoNewPrivs:\s+1\n")
        if os.geteuid() == 0:
            self.assertNotRegex(status, r"Uid:.*\b0\b")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=10), 0)

    def test_exporter_bears_abuse(self):
        self.daemons_up()
        port, process = self.exporter()
        idle = []
        for _ in range(30):  # more than it takes: the rest is closed, and the limit is by address
            idle.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        for sock in idle:
            sock.close()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            try:
                sock.sendall(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n")
                answer = sock.recv(64)
            except ConnectionError:
                answer = b""
            self.assertNotIn(b" 200 ", answer)
        deadline = time.monotonic() + 20
        while True:  # the places of the closed ones come free at its next look
            try:
                self.assertEqual(self.get(port)[0].status, 200)
                break
            except (OSError, http.client.HTTPException):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
        self.assertIsNone(process.poll())

    def test_exporter_without_daemons(self):
        os.chmod(self.dir.name, 0o755)
        port, _ = self.exporter()
        self.assertIn('carpool_up{daemon="carpd"} 0', self.get(port)[1])

    def test_listen(self):
        for bad in ("9807", "localhost:9807", "127.0.0.1:0", "127.0.0.1:70000", "[::1:9807", "127.0.0.1:98x"):
            self.assertEqual(self.run_carpool("exporter", "--listen", bad).returncode, 2, bad)


def load_tests(loader, _tests, _pattern):
    """Those of this file alone, not those of the class that they lean on."""
    names = [name for name in loader.getTestCaseNames(Metrics) if name in vars(Metrics)]
    return unittest.TestSuite(Metrics(name) for name in names)


if __name__ == "__main__":
    unittest.main(verbosity=1)
