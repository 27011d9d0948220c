#!/usr/bin/env python3
"""Bad input, and what it gets: garbage, half-open connections, floods and slow readers on the sync port and on both
real control sockets; callers without rights; configs and keys that must be refused. The running session must not
notice. (control_server.c alone is tested in test_control_abuse.py; here the daemons around it.)"""
import contextlib
import os
import random
import socket
import ssl
import threading
import time
import unittest

import pair as lab

NOBODY = 65534
# carpd's bound in the design: memory is torn down before a death is seen. Sanitizers need ten times as much.
RSS_MAX_KB = 32 * 1024 if os.environ.get("SANITIZED", "none") == "none" else 1024 * 1024


def rss_kb(process):
    """Of the daemon itself: `ip netns exec` becomes it."""
    with open(f"/proc/{process.pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def fd_count(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


class Sockets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.pair.__exit__(None, None, None)

    def setUp(self):
        self.fw1, self.fw2 = self.pair.fw1, self.pair.fw2
        self.pair.settle()
        self.term = self.fw1.group()["term"]
        self.fds = {daemon: fd_count(self.fw1.daemons[daemon]) for daemon in ("carpd", "syncd")}

    def tearDown(self):
        self.pair.settle()
        self.assertEqual(self.fw1.group()["term"], self.term, "something moved the group")
        self.assertLess(rss_kb(self.fw1.daemons["carpd"]), RSS_MAX_KB)
        for daemon, count in self.fds.items():
            lab.wait(lambda daemon=daemon, count=count: fd_count(self.fw1.daemons[daemon]) <= count, 15,
                     f"{daemon} has closed what it opened")

    def control(self):
        return [self.fw1.socket_path("carpd"), self.fw1.socket_path("syncd")]

    def test_rights(self):
        operate = {"carpd": ["handover", "maintenance", "events", "history", "reload", "config", "register", "done",
                             "health"], "syncd": ["flows", "resync"]}
        for daemon, ops in operate.items():
            with lab.Line(self.fw1.socket_path(daemon), uid=NOBODY) as line:
                self.assertTrue(line.ask("status")["ok"])
                self.assertTrue(line.ask("metrics")["ok"])
                for op in ops:
                    answer = line.ask(op, on=True, name="x", phase="after", timeout_ms=100, required=False, id=1, ok=True)
                    self.assertEqual((answer["ok"], answer["error"]["code"]), (False, "FORBIDDEN"), op)

    def test_requests_of_the_wrong_shape(self):
        strange = [None, True, -1, 2**63 - 1, 1e308, "", "\n", "x" * 5000, "../../etc", [], {}, [[]], {"a": {}}]
        fields = {"carpd": {"handover": ["to", "group", "force"], "maintenance": ["on", "for_ms", "force"],
                            "reload": ["diff", "force"], "register": ["name", "phase", "timeout_ms", "required"],
                            "done": ["id", "ok", "error"], "health": ["ready", "not_ready", "alarms"]},
                  "syncd": {"resync": ["group"], "flows": ["group"], "status": ["x"]}}
        for daemon, ops in fields.items():
            for op, names in ops.items():
                if op in ("resync", "flows", "status"):
                    continue
                for name in names:
                    for value in strange:
                        if (op, name, value) in (("handover", "force", True), ("maintenance", "on", True),
                                                 ("handover", "to", None), ("handover", "group", None)):
                            continue
                        others = {"on": False} if op == "maintenance" else {"to": "fw1"} if op == "handover" else {
                            "diff": True} if op == "reload" else {}
                        with lab.Line(self.fw1.socket_path(daemon)) as line:
                            line.say({"op": op, "seq": 1, **others, name: value})
                            line.say({"op": "status", "seq": 2})
                            answer = line.hear()
                            while answer is not None and answer.get("seq") != 2:
                                answer = line.hear()
                            self.assertTrue(answer and answer["ok"], (op, name, value))
        self.assertEqual(self.fw1.carpool("maintenance", "off").returncode, 0)

    def test_flood_of_requests(self):
        """The election does not notice a caller who asks as fast as it can, from every uid that there is."""
        stop = threading.Event()

        def flood(path):
            with lab.Line(path) as line, contextlib.suppress(OSError):
                while not stop.is_set():
                    line.say(b'{"op":"status"}\n' * 50)
                    for _ in range(50):
                        line.hear()

        def paths_alive():
            return all(path["alive"] for path in self.fw2.peer()["paths"])

        # Roles settle on the first path that is heard; the flood begins when all are.
        lab.wait(paths_alive, 15, "every path is heard")
        threads = [threading.Thread(target=flood, args=(path,)) for path in self.control()]
        for thread in threads:
            thread.start()
        try:
            start = time.monotonic()
            while time.monotonic() - start < 2:
                self.assertEqual(self.fw2.state(), "backup")
                self.assertTrue(paths_alive(), self.fw2.peer())
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_readers_who_do_not_read(self):
        lines = []
        for path in self.control():
            for op in ("status", "events", "history", "flows", "metrics"):
                with contextlib.suppress(OSError):
                    line = lab.Line(path, timeout=0.2)
                    lines.append(line)
                    line.say(b'{"op":"%s"}\n' % op.encode() * 3000)
        self.assertTrue(self.fw1.status()["sync"])
        self.assertLess(rss_kb(self.fw1.daemons["carpd"]), RSS_MAX_KB)
        for line in lines:
            line.close()

    def sync_connection(self):
        with self.fw2.inside():
            return socket.create_connection(("10.9.9.1", 3780), timeout=5)

    def expect_session(self):
        (peer,) = self.fw1.status()["sync"]["peers"]
        self.assertTrue(peer["connected"] and peer["in_sync"], peer)

    def ended(self, connection, within):
        connection.settimeout(within)
        try:
            while connection.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def test_sync_port_garbage(self):
        random.seed(51)
        for data in [b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", random.randbytes(5000), b"\x16\x03\x01\xff\xff" + b"x" * 70000,
                     b"\x16\x03\x01\x00\x05hello"]:
            with contextlib.closing(self.sync_connection()) as connection:
                with contextlib.suppress(OSError):
                    connection.sendall(data)
                self.assertTrue(self.ended(connection, 15), data[:20])
            self.expect_session()

    def test_sync_port_tls_without_the_key(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.closing(self.sync_connection()) as connection:
            with self.assertRaises((ssl.SSLError, OSError)):
                context.wrap_socket(connection)
        self.expect_session()

    def test_sync_port_half_open_and_flood(self):
        connections = []
        for _ in range(200):
            with contextlib.suppress(OSError):
                connections.append(self.sync_connection())
        self.expect_session()
        syncd = self.fw1.daemons["syncd"]
        self.assertLess(fd_count(syncd), self.fds["syncd"] + 100, "half-open connections are bounded")
        for connection in connections:
            self.assertTrue(self.ended(connection, 30), "a half-open connection is kept for ever")
            connection.close()
        self.expect_session()


class Refusals(unittest.TestCase):
    """With errors nothing starts: exit 2 and the place of the error; nothing is left behind."""

    def expect_refused(self, pair, *words):
        for daemon in ("carpd", "syncd"):
            process = pair.fw1.start(daemon)
            self.assertEqual(process.wait(10), 2, pair.fw1.log(daemon))
            for word in words:
                self.assertIn(word, pair.fw1.log(daemon))
        self.assertFalse(pair.fw1.has_any_vip())
        self.assertTrue(set(os.listdir(pair.fw1.runtime)) <= {"carpd.lock"})

    def test_config_with_errors(self):
        with lab.Pair(daemons=False, election="  advbasse: 10ms\n  dead_factor: 99") as pair:
            self.expect_refused(pair, "cluster.yaml:", "advbasse", "dead_factor")

    def test_readable_key(self):
        with lab.Pair(daemons=False) as pair:
            os.chmod(pair.dir + "/edge.key", 0o644)
            self.expect_refused(pair, "edge.key")

    def test_rules_that_do_not_compile(self):
        with lab.Pair(daemons=False) as pair:
            with open(pair.dir + "/edge.nft", "a") as file:
                file.write("table inet x { chain y { acept } }\n")
            process = pair.fw1.start("carpd")
            self.assertEqual(process.wait(20), 2, pair.fw1.log("carpd"))
            self.assertRegex(pair.fw1.log("carpd"), r"edge\.nft:20:\d+: syntax error")

    def test_second_instance(self):
        with lab.Pair(sync=False) as pair:
            first = pair.fw1.daemons["carpd"]
            second = pair.fw1.start("carpd")
            self.assertNotEqual(second.wait(10), 0)
            pair.fw1.daemons["carpd"] = first
            self.assertIsNone(first.poll())
            self.assertTrue(pair.fw1.has_vips(), "the second one did not sweep the first one's addresses away")
            pair.settle()


if __name__ == "__main__":
    lab.need_root()
    unittest.main(verbosity=1)
