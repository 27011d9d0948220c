#!/usr/bin/env python3
"""What a control socket must survive: garbage, half-open callers, floods, slow readers, oversized and deep lines,
callers without rights. After each, and during each, a well-behaved caller must get its answer at once, and the
server's memory and descriptors must be back where they were.

CONTROL_SERVER names the program under test: control_server_bare, which is common/io/control_server.c alone. Callers of
another uid need root; without it those cases are skipped (exit 77 if nothing else is left to say)."""
import contextlib
import json
import os
import random
import resource
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from pair import Line

SERVER = os.environ.get("CONTROL_SERVER", "control_server_bare")
LINE_BYTES = 65536
NOBODY = 65534
SANITIZED = os.environ.get("SANITIZED", "none") != "none"       # then memory is kept back on purpose
ANSWER_S = 0.5          # a well-behaved caller's longest wait while others misbehave (two shared cores)


class Abuse(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="ctl-")
        os.chmod(self.dir.name, 0o755)
        self.path = self.dir.name + "/x.sock"
        self.log = open(self.dir.name + "/log", "w+")
        self.server = subprocess.Popen([SERVER, self.path], stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.assertEqual(self.server.stdout.readline(), "READY\n")
        self.callers = []
        self.good = self.call()
        self.assertTrue(self.good.ask("status")["ok"])
        self.fds, self.rss_kb = self.measure()

    def tearDown(self):
        for caller in self.callers:
            caller.close()
        self.server.terminate()
        self.assertEqual(self.server.wait(10), 0, "the server did not end well:\n" + self.read_log())
        self.server.stdout.close()
        self.log.close()
        self.dir.cleanup()

    def call(self, uid=None):
        caller = Line(self.path, uid)
        self.callers.append(caller)
        return caller

    def read_log(self):
        with open(self.dir.name + "/log") as log:
            return log.read()

    def measure(self):
        with open(f"/proc/{self.server.pid}/status") as status:
            rss = next(line for line in status if line.startswith("VmRSS"))
        rss_kb = 0 if SANITIZED else int(rss.split()[1])
        return len(os.listdir(f"/proc/{self.server.pid}/fd")), rss_kb

    def expect_well(self):
        """The one who behaves is served, at once."""
        start = time.monotonic()
        self.assertTrue(self.good.ask("status")["ok"])
        self.assertLess(time.monotonic() - start, ANSWER_S)

    def expect_clean(self, rss_more_kb=4096):
        """Nothing is left of those who did not, once they are gone."""
        for caller in self.callers[1:]:
            caller.close()
        deadline = time.monotonic() + 15
        while self.good.ask("status")["result"]["connections"] > 1:
            self.assertLess(time.monotonic(), deadline, "connections are left over")
            time.sleep(0.01)
        fds, rss_kb = self.measure()
        self.assertEqual(fds, self.fds)
        self.assertLess(rss_kb - self.rss_kb, rss_more_kb)

    @contextlib.contextmanager
    def watched(self):
        """During the block another thread checks, all the time, that the good caller is served."""
        stop, waits = threading.Event(), []

        def watch():
            with contextlib.closing(Line(self.path)) as caller:
                while not stop.is_set():
                    start = time.monotonic()
                    if not caller.ask("status")["ok"]:
                        return
                    waits.append(time.monotonic() - start)
                    time.sleep(0.005)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        self.assertGreater(len(waits), 3)
        self.assertLess(max(waits), ANSWER_S)

    def expect_refused_line(self, line, code):
        caller = self.call()
        caller.say(line)
        answer = caller.hear()
        self.assertEqual((answer["ok"], answer["error"]["code"]), (False, code), line[:40])
        self.assertTrue(caller.ended(2), line[:40])
        self.expect_well()

    def test_garbage(self):
        lines = [b"\n", b"x\n", b"[]\n", b"7\n", b'"status"\n', b"null\n", b"{\n", b'{"op":"status"}{"op":"status"}\n',
                 b'{"op":"status","op":"root"}\n', b"\0\n", b'{"op":"\0status"}\n', b'{"op":"\xff"}\n',
                 b'{"op":"st\\u0000atus"}\n', b"\xef\xbb\xbf{}\n", b'{"op":"status","x":1e999}\n', b"GET / HTTP/1.1\r\n"]
        for line in lines:
            self.expect_refused_line(line, "BAD_REQUEST")
        self.expect_clean()

    def test_wrong_requests_keep_the_connection(self):
        caller = self.call()
        for request, code in [({}, "BAD_REQUEST"), ({"op": 7}, "BAD_REQUEST"), ({"op": "x"}, "UNKNOWN_OP"),
                              ({"op": "status", "seq": "1"}, "BAD_REQUEST"), ({"op": ""}, "UNKNOWN_OP")]:
            caller.say(request)
            self.assertEqual(caller.hear()["error"]["code"], code)
        self.assertEqual(caller.ask("status", seq=-5)["seq"], -5)
        self.assertEqual(caller.ask("nothing", seq=2**62)["seq"], 2**62)
        self.expect_clean()

    def test_random_bytes(self):
        random.seed(51)
        with self.watched():
            for _ in range(300):
                caller = Line(self.path)
                with contextlib.suppress(OSError):
                    caller.say(random.randbytes(random.choice([1, 10, 1000, 70000])))
                caller.close()
        self.expect_clean()

    def test_long_lines(self):
        fits = b'{"op":"status","x":"' + b"y" * (LINE_BYTES - 24) + b'"}\n'
        caller = self.call()
        for line, ok in [(fits[:-4] + b'"}\n', True), (fits, True)]:
            self.assertLessEqual(len(line), LINE_BYTES)
            caller.say(line)
            self.assertEqual(caller.hear()["ok"], ok)
        for length in [LINE_BYTES + 1, LINE_BYTES + 2, 2 * LINE_BYTES, 10 * LINE_BYTES]:
            caller = self.call()
            with contextlib.suppress(OSError):
                caller.say(b'{"op":"' + b"y" * length)
            answer = caller.hear()
            self.assertTrue(answer is None or answer["error"]["code"] == "TOO_LONG", answer)
            self.assertTrue(caller.ended(2))
            self.expect_well()
        self.assertIn("longer than", self.read_log())
        self.expect_clean()

    def test_deep_lines(self):
        for text in [b"[" * 60000, b'{"a":' * 12000, b"[" * 30000 + b"]" * 30000]:
            self.expect_refused_line(b'{"op":"status","x":' + text + b"}\n", "BAD_REQUEST")
        self.expect_clean()

    def test_half_open(self):
        torn, silent, ended = self.call(), self.call(), self.call()
        torn.say(b'{"op":"sta')
        ended.say(b'{"op":"status"}\n')
        ended.socket.shutdown(socket.SHUT_WR)
        self.assertTrue(ended.hear()["ok"])
        self.assertTrue(ended.ended(2))
        start = time.monotonic()
        with self.watched():
            self.assertTrue(torn.ended(7))
            self.assertGreater(time.monotonic() - start, 4)
            self.assertTrue(silent.ended(12))
            self.assertGreater(time.monotonic() - start, 9)
        self.assertEqual(self.read_log().count("half-open"), 2)
        self.expect_clean()

    def test_drip(self):
        """A byte a time, for ever, is a torn line too."""
        caller, start = self.call(), time.monotonic()
        with self.watched(), contextlib.suppress(OSError):
            while time.monotonic() - start < 8:
                caller.say(b" ")
                time.sleep(0.05)
        self.assertLess(time.monotonic() - start, 7)
        self.expect_clean()

    def test_one_uid_has_sixteen(self):
        callers = [self.call() for _ in range(40)]
        refused = []
        for caller in callers:
            with contextlib.suppress(BrokenPipeError):
                caller.say({"op": "status"})
            answer = caller.hear()
            if not (answer and answer["ok"]):
                refused.append(answer)
        self.assertEqual(len(refused), 40 - 15)
        self.assertEqual({answer["error"]["code"] for answer in refused if answer}, {"TOO_MANY"})
        self.expect_clean()

    @unittest.skipIf(os.getuid() != 0, "needs root to be another user")
    def test_all_slots_taken_by_others(self):
        """Any number of users may fill the table; root still gets in."""
        for uid in range(NOBODY - 10, NOBODY):
            for _ in range(16):
                with contextlib.suppress(OSError):
                    self.call(uid).say(b" ")
        root = self.call()
        self.assertTrue(root.ask("status")["ok"])
        self.expect_well()
        self.assertLess(self.good.ask("status")["result"]["connections"], 65)
        self.expect_clean()

    @unittest.skipIf(os.getuid() != 0, "needs root to be another user")
    def test_rights(self):
        nobody = self.call(NOBODY)
        self.assertEqual(nobody.ask("status")["result"]["uid"], NOBODY)
        for op in ["stream", "events", "root"]:
            self.assertEqual(nobody.ask(op)["error"]["code"], "FORBIDDEN", op)
        self.assertTrue(self.good.ask("root")["ok"])

    def test_slow_reader_of_events(self):
        caller = self.call()
        caller.say({"op": "events"})
        with self.watched():
            deadline = time.monotonic() + 15
            while "slow reader" not in self.read_log():
                self.assertLess(time.monotonic(), deadline, "a slow reader is kept for ever")
                self.assertLess(self.measure()[1] - self.rss_kb, 6000)
                time.sleep(0.05)
        self.expect_clean()

    def test_slow_reader_of_answers(self):
        """Asks and never reads: neither its answers nor its questions pile up."""
        callers = [self.call() for _ in range(12)]
        for caller in callers:
            caller.socket.settimeout(0.2)
            with contextlib.suppress(OSError):
                for _ in range(2000):
                    caller.say(b'{"op":"big"}\n' * 10)
        with self.watched():
            time.sleep(0.5)
        self.assertLess(self.measure()[1] - self.rss_kb, 12 * 700)
        deadline = time.monotonic() + 15
        while self.good.ask("status")["result"]["connections"] > 1:
            self.assertLess(time.monotonic(), deadline, "slow readers are kept for ever")
            self.assertLess(self.measure()[1] - self.rss_kb, 12 * 700)
            time.sleep(0.05)
        self.assertEqual(self.read_log().count("slow reader"), 12)
        self.expect_clean()

    def test_stream_to_a_reader_who_leaves(self):
        for pause in [0, 0.01, 0.05]:
            caller = self.call()
            caller.say({"op": "stream"})
            time.sleep(pause)
            caller.close()
            self.expect_well()
        caller = self.call()
        with self.watched():
            caller.say({"op": "stream", "seq": 9})
            caller.say({"op": "stream", "seq": 10})
            lines = [caller.hear() for _ in range(100002)]
        refused = next(line for line in lines if line["seq"] == 10)
        self.assertEqual(refused["error"]["code"], "BUSY")
        items = [line["item"]["n"] for line in lines if "item" in line]
        self.assertEqual(items, list(range(100000)))
        self.assertEqual(lines[-1]["result"], {"items": 100000})
        self.expect_clean()

    def test_pipelining(self):
        caller = self.call()
        sender = threading.Thread(target=caller.say, args=(b"".join(
            b'{"op":"status","seq":%d}\n' % n for n in range(20000)),))
        with self.watched():
            sender.start()
            self.assertEqual([caller.hear()["seq"] for n in range(20000)], list(range(20000)))
            sender.join()
        self.expect_clean()

    def test_flood_of_connections(self):
        def flood():
            for _ in range(1500):
                with contextlib.suppress(OSError), contextlib.closing(socket.socket(socket.AF_UNIX)) as caller:
                    caller.connect(self.path)

        floods = [threading.Thread(target=flood) for _ in range(4)]
        with contextlib.closing(Line(self.path)) as keeps:      # connected before the flood: must stay served
            keeps.ask("status")
            for thread in floods:
                thread.start()
            while any(thread.is_alive() for thread in floods):
                start = time.monotonic()
                self.assertTrue(keeps.ask("status")["ok"])
                self.assertLess(time.monotonic() - start, ANSWER_S)
                time.sleep(0.01)
            for thread in floods:
                thread.join()
        self.assertLess(len(self.read_log().splitlines()), 500, "a flood of callers is a flood of log lines")
        self.expect_clean()

    def test_passed_descriptors_are_not_kept(self):
        caller = self.call()
        with open("/dev/null") as null:
            for _ in range(50):
                socket.send_fds(caller.socket, [b'{"op":"status"}\n'], [null.fileno()] * 10)
                self.assertTrue(caller.hear()["ok"])
        self.expect_clean()

    def test_out_of_descriptors(self):
        """The server runs out of descriptors: it neither spins nor dies, and recovers."""
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (self.fds + 2, 1024))
        callers = [self.call() for _ in range(6)]
        time.sleep(0.3)
        self.expect_well()
        for caller in callers:
            caller.close()
        self.expect_well()
        late = self.call()
        self.assertTrue(late.ask("status")["ok"])
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        self.expect_clean()


if __name__ == "__main__":
    unittest.main(verbosity=1)
