#!/usr/bin/env python3
"""`carpool drill run` as an operator types it: the document's shape, the exit status, and a cluster that must fail.

The figures themselves are the drill's business (and ./dev drill's); here a run is short and only what holds on any
machine is demanded: connections and flows survive, another node is master, the report is there.
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import lab as lab_module

BUILD = os.path.dirname(os.path.dirname(os.path.realpath(lab_module.COMMAND)))
NOBODY = 65534


def descendants(pid):
    found = [pid]
    for one in found:
        try:
            with open("/proc/%d/task/%d/children" % (one, one), encoding="ascii") as text:
                found += [int(child) for child in text.read().split()]
        except FileNotFoundError:
            pass
    return found


FIGURES = ("outage_ms", "resolution_ms", "dual_master_ms", "overlap_ms")


class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="drill-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.config = self.write(lab_module.CONFIG)

    def write(self, text):
        with open(os.path.join(self.folder, "edge.nft"), "w", encoding="ascii") as rules:
            rules.write(lab_module.RULES)
        path = os.path.join(self.folder, "cluster.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write(text % {"advbase": "10ms", "election": "", "sync": ""})
        return path

    def drill(self, *words):
        done = subprocess.run([lab_module.COMMAND, "drill", *words], capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    def run_one(self, scenario, *words):
        status, out, err = self.drill("run", scenario, "--config", self.config, "--json", "--observe", "3s", "--report",
                                      os.path.join(self.folder, "reports"), *words)
        document = json.loads(out)
        self.assertEqual(list(document), ["runs"])
        run = document["runs"][0]
        print(run["verdict"], run["reasons"], run.get("outage_ms"), run.get("probes"), err[-200:] if status == 2 else "")
        self.assertEqual(status, {"pass": 0, "fail": 1, "error": 2}[run["verdict"]])
        return run

    def expect_survival(self, run):
        self.assertNotEqual(run["verdict"], "error", run["reasons"])
        self.assertEqual(run["tcp"]["total"], 8)
        self.assertEqual(run["tcp"]["survived"], 8, run["tcp"])
        self.assertEqual(run["flows"]["survived"], run["flows"]["before"])
        self.assertNotEqual(run["master"]["before"], run["master"]["after"])
        for name in FIGURES:
            self.assertIsInstance(run[name], float, name)
        self.assertGreater(run["probes"]["sent"], 100)

    def look_at_papers(self, folder):
        """The kept report: every paper is there, in its own language, and needs nothing from outside."""
        with open(os.path.join(folder, "report.json"), encoding="utf-8") as text:
            document = json.load(text)
        self.assertEqual((document["schema"], document["what"], document["cluster"]), (1, "power-loss", "edge"))
        self.assertIn("power-off", [item["what"] for item in document["runs"][0]["timeline"]])
        case = xml.etree.ElementTree.parse(os.path.join(folder, "junit.xml")).getroot().find("testcase")
        self.assertEqual(case.find("failure") is None, document["runs"][0]["verdict"] == "pass")
        with open(os.path.join(folder, "report.html"), encoding="utf-8") as text:
            page = text.read()
        self.assertTrue(page.endswith("</html>\n"))
        self.assertNotRegex(page, r"https?:|src=|@import|<script")
        for tag in ("svg", "table", "section", "div", "tr", "td", "main"):
            self.assertEqual(len(re.findall("<%s[ >]" % tag, page)), page.count("</%s>" % tag), tag)
        with open(os.path.join(folder, "report.txt"), encoding="utf-8") as text:
            self.assertIn("power-loss: ", text.read())
        status, out, _ = self.drill("history", "--json", "--report", os.path.dirname(folder))
        self.assertEqual(status, 0)
        self.assertEqual([drill["report"] for drill in json.loads(out)["drills"]], [folder])

    def test_power_loss(self):
        run = self.run_one("power-loss", "--flows", "5000")
        self.expect_survival(run)
        self.assertEqual(run["flows"], {"before": 5008, "survived": 5008})
        self.assertEqual(run["reason"], "MASTER_DEAD")
        self.assertGreaterEqual(run["evidence"]["flows_synced"], 5008)
        self.assertEqual((run["evidence"]["tcp_reset"], list(run["evidence"]["rules"])), (0, [run["master"]["after"]]))
        self.assertLessEqual(run["split"]["decide_ms"], run["split"]["detect_ms"] + 1000)
        stages = [stage["stage"] for stage in run["stages"] if ":" not in stage["stage"]]
        self.assertEqual(stages[:5], ["before", "state", "rules", "addresses", "announce"])
        self.look_at_papers(os.path.dirname(run["report"]))
        for name in ("fw1.carpd.log", "fw2.syncd.log", "%s.history.json" % run["master"]["after"], "result.json"):
            self.assertTrue(os.path.exists(os.path.join(run["report"], name)), name)

    def test_handover(self):
        run = self.run_one("handover", "--seed", "4711")
        self.assertEqual(run["seed"], 4711)
        self.assertAlmostEqual(run["phase_ms"], 84.4035329, places=6)
        self.expect_survival(run)
        self.assertEqual(run["dual_master_ms"], 0.0)

    def test_kill_daemon(self):
        self.expect_survival(self.run_one("kill-daemon"))

    def test_kill_all(self):
        self.expect_survival(self.run_one("kill-all"))

    def test_own_scenario_that_fails(self):
        """Steps of one's own; nobody moves when the sync link dies, so a drill that expects it must fail, and say why."""
        self.config = self.write(lab_module.CONFIG.replace("%(advbase)s", "200ms"))
        path = os.path.join(self.folder, "mine.yaml")
        with open(path, "w", encoding="ascii") as out:
            out.write("expect: { master: moves, alarm: NO_SUCH_ALARM }\n"
                      "steps:\n"
                      "  - { at: 0s, do: link-down, node: fw2, interface: sync0 }\n"
                      "  - { at: 1s, do: link-up, node: fw2, interface: sync0 }\n")
        run = self.run_one(path, "--observe", "1s")
        self.assertEqual(run["scenario"], "mine")
        self.assertEqual(run["verdict"], "fail", run)
        if run["master"]["before"] == run["master"]["after"]:  # a starved machine may move by itself
            self.assertTrue(any("still master" in reason for reason in run["reasons"]), run["reasons"])
        self.assertTrue(any("NO_SUCH_ALARM" in reason for reason in run["reasons"]), run["reasons"])
        self.assertEqual([item["what"] for item in run["timeline"] if "link" in item["what"]], ["link-down", "link-up"])
        with open(path, "a", encoding="ascii") as out:
            out.write("  - { at: 0s, do: explode }\n")
        status, _, err = self.drill("run", path, "--config", self.config)
        self.assertEqual(status, 2)
        self.assertIn("mine.yaml:5:", err)

    def test_compare(self):
        """The other programs are asked for, and said to be missing before anything is built; with them, side by side."""
        words = ("run", "power-loss", "--compare", "keepalived", "--config", self.config)
        done = subprocess.run([lab_module.COMMAND, "drill", *words], env={"PATH": self.folder}, capture_output=True, text=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("apt-get install keepalived conntrackd", done.stderr)
        self.assertEqual(self.drill(*words[:3], "pacemaker", *words[4:])[0], 2)
        if not (shutil.which("keepalived") and shutil.which("conntrackd")):
            return  # the rest is for machines that have them
        run = self.run_one(*words[1:4], "--observe", "1s", "--flows", "1000")
        other = run["compare"]
        self.assertRegex(other["system"], r"keepalived \d.*conntrackd \d")
        self.assertNotEqual(other["master"]["before"], other["master"]["after"])
        self.assertEqual(other["flows"]["before"], 1008)
        self.assertGreater(other["probes"]["lost"], 0)

    def test_ordinary_user(self):
        """Nobody's drill: everything but real time; and where user namespaces are forbidden, what is missing is said."""
        for name in ("ctl", "carpd", "syncd"):
            os.mkdir(os.path.join(self.folder, name))
            program = "carpool" if name == "ctl" else name
            shutil.copy(os.path.join(BUILD, name, program), os.path.join(self.folder, name))
        for folder, _, files in os.walk(self.folder):
            for name in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(name, NOBODY, NOBODY)
        done = subprocess.run([os.path.join(self.folder, "ctl", "carpool"), "drill", "run", "power-loss", "--config", self.config,
                               "--observe", "1s", "--json"], user=NOBODY, group=NOBODY, extra_groups=[], cwd=self.folder,
                              env={"PATH": os.environ["PATH"], "HOME": self.folder}, capture_output=True, text=True, timeout=120,
                              check=False)
        run = json.loads(done.stdout)["runs"][0]
        print(run["verdict"], run["reasons"], run.get("notes"), run.get("probes"))
        if done.returncode == 2 and "no sandbox" in run["reasons"][0]:
            self.assertIn("user namespaces", run["reasons"][0])
            return
        self.expect_survival(run)
        self.assertTrue(any("no real-time priority" in note for note in run["notes"]), run["notes"])
        self.assertTrue(run["report"].startswith(os.path.join(self.folder, ".local/state/carpool/drills/")), run["report"])

    def host(self):
        """What a drill must not leave on this machine."""
        said = [subprocess.run(words, capture_output=True, text=True, check=True).stdout
                for words in (["ip", "-o", "link"], ["ip", "netns"], ["nft", "list", "tables"])]
        with open("/proc/mounts", encoding="ascii") as mounts:
            return said + [mounts.read()]

    def test_killed_in_the_middle(self):
        """SIGKILL to the command while its master is dead and probes flow: every process of it is gone, and the host as before."""
        before = self.host()
        process = subprocess.Popen([lab_module.COMMAND, "drill", "run", "power-loss", "--config", self.config, "--observe", "60s",
                                    "--report", os.path.join(self.folder, "reports")], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        with process.stderr:
            self.assertTrue(any("power-off" in line for line in process.stderr))
            family = descendants(process.pid)
            self.assertGreater(len(family), 3)  # the room's first process, and at least one node's daemons
            process.kill()
        process.wait(10)
        lab_module.wait(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in family), 20, "nothing of it runs any more")
        self.assertEqual(self.host(), before)
        self.assertEqual(self.run_one("handover", "--observe", "500ms")["tcp"]["survived"], 8)

    def test_words(self):
        self.assertEqual(self.drill("run", "no-such-thing")[0], 2)
        self.assertEqual(self.drill("run", "power-loss", "--rate", "0", "--config", self.config)[0], 2)
        self.assertEqual(self.drill("run", "power-loss", "--seed", "-1", "--config", self.config)[0], 2)
        status, _, err = self.drill("run", "power-loss", "--run-hooks", "--config", self.config)
        self.assertEqual(status, 2)
        self.assertIn("--yes", err)
        status, out, _ = self.drill("list", "--json")
        self.assertEqual(status, 0)
        names = [scenario["name"] for scenario in json.loads(out)["scenarios"]]
        self.assertTrue({"power-loss", "handover", "kill-daemon"} <= set(names), names)
        with open(self.config, "a", encoding="ascii") as out:
            out.write("nonsense: 1\n")
        status, _, err = self.drill("run", "power-loss", "--config", self.config)
        self.assertEqual(status, 2)
        self.assertRegex(err, r"cluster.yaml:\d+:\d+: ")


# Whoever opened a connection is remembered in a set of this node alone: after a failover the other one does not know.
FORGETFUL_RULES = lab_module.RULES.replace("chain forward {", """set seen {
		type ipv4_addr . inet_service
		flags dynamic, timeout
		timeout 1h
	}
	chain forward {""", 1).replace('''		ct state established,related counter accept
		iifname "lan0" oifname "wan0" ct state new counter accept
''', '''		iifname "lan0" oifname "wan0" meta l4proto udp accept
		iifname "lan0" oifname "wan0" tcp flags syn ct state new update @seen { ip saddr . tcp sport } accept
		iifname "lan0" oifname "wan0" ip saddr . tcp sport @seen accept
		iifname "wan0" oifname "lan0" ct state established accept
''', 1)
# Nothing is filtered on input, as where a firewall only translates: what has no state reaches the firewall's own stack.
OPEN_RULES = lab_module.RULES.replace("hook input priority filter; policy drop", "hook input priority filter; policy accept", 1) \
    .replace("ct state invalid counter drop\n\t\tct state established,related counter accept\n\t\tip saddr", "ip saddr", 1)


class Broken(unittest.TestCase):
    """A drill that cannot fail is worthless: each of these clusters is broken in one way, and power-loss has to say so."""
    WARM = "sync: { mode: warm }\n"
    WAYS = {  # rules, the config's sync, how a daemon is broken, the reason that must be among the reasons
        "wrong key on one node": (lab_module.RULES, WARM, "wrong-key", r"did not come to rest: group edge"),
        "rules that miss a flow": (FORGETFUL_RULES, WARM, None, r"TCP chatter: hangs"),
        "replication off": (lab_module.RULES, "", None, r"of 8 flows are gone"),
        "replication of nothing": (lab_module.RULES, "sync: { ignore: { addresses: [10.1.0.0/24] } }\n", None, r"of 8 flows are gone"),
        "addresses before states": (OPEN_RULES, "sync: { mode: on-promotion }\n", "late-states", r"TCP download: .*reset"),
    }

    def build(self, folder, way):
        """A folder with the programs of a drill: the command finds its daemons beside itself."""
        for name in ("ctl", "carpd", "syncd"):
            os.mkdir(os.path.join(folder, name))
        shutil.copy(os.path.join(BUILD, "ctl", "carpool"), os.path.join(folder, "ctl"))
        stub = os.path.join(os.path.dirname(os.path.realpath(__file__)), "stub_daemon.py")
        for name in ("carpd", "syncd"):
            real, path = os.path.join(BUILD, name, name), os.path.join(folder, name, name)
            if way is None or (way == "late-states" and name == "carpd"):
                os.symlink(real, path)
                continue
            with open(path, "w", encoding="ascii") as out:
                out.write("#!/bin/sh\nexec python3 '%s' %s '%s' \"$@\"\n" % (stub, way, real))
            os.chmod(path, 0o755)

    def prepare(self, name):
        rules, sync, way, _ = self.WAYS[name]
        folder = tempfile.TemporaryDirectory(prefix="drill-broken-")
        self.addCleanup(folder.cleanup)
        self.build(folder.name, way)
        config = re.sub(r"sync: .*\n", sync, lab_module.CONFIG % {"advbase": "20ms", "election": "", "sync": ""})
        for file, text in (("edge.nft", rules), ("cluster.yaml", config)):
            with open(os.path.join(folder.name, file), "w", encoding="ascii") as out:
                out.write(text)
        return folder.name

    def run_way(self, name, folder):
        _, _, way, reason = self.WAYS[name]
        done = subprocess.run([os.path.join(folder, "ctl", "carpool"), "drill", "run", "power-loss", "--config",
                               os.path.join(folder, "cluster.yaml"), "--report", os.path.join(folder, "reports"),
                               "--json", "--wait", "5s" if way == "wrong-key" else "30s", "--observe", "1500ms", "--link", "100"],
                              capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, json.loads(done.stdout)["runs"][0], reason, done.stderr

    def test_each_is_found(self):
        """All at once: what is judged here is no time. All are written before the first runs: a program that is being copied
        while another thread forks is "busy"."""
        folders = [self.prepare(name) for name in self.WAYS]
        with concurrent.futures.ThreadPoolExecutor(len(self.WAYS)) as pool:
            for name, (status, run, reason, err) in zip(self.WAYS, pool.map(self.run_way, self.WAYS, folders)):
                print(name, run["verdict"], run["reasons"])
                with self.subTest(name):
                    self.assertEqual((status, run["verdict"]), (1, "fail"), (run["reasons"], err[-500:]))
                    self.assertTrue(any(re.search(reason, text) for text in run["reasons"]), run["reasons"])
                    if name == "wrong key on one node":
                        self.assertTrue(any(re.search(r"fw[12] dropped \d+ adverts", text) for text in run["reasons"]))


class TableFull(unittest.TestCase):
    def test_standby_without_room(self):
        """A standby that cannot take all flows says so, and is not ready; when there is room again, it is."""
        with lab_module.Lab(advbase="50ms", start=False) as lab:
            lab.do("start", node="fw1", daemons=["carpd", "syncd"])
            lab_module.wait(lambda: lab.status("fw1").get("sync"), 10, "fw1 runs")
            config = lab.path(lab.about["config"])
            with open(config, encoding="utf-8") as text:
                smaller = re.sub(r"max_flows: \w+", "max_flows: 2000", text.read())
            with open(config, "w", encoding="utf-8") as out:
                out.write(smaller)
            lab.do("start", node="fw2", daemons=["carpd", "syncd"])
            self.assertEqual(lab.steady("fw1"), "fw1")
            lab.do("probe-start", tcp=False)
            lab.do("probe-good")
            lab.do("fill", node="fw1", count=4000, wait=False)

            def peer():
                return lab.status("fw1")["groups"][0]["peers"][0]

            def codes():
                return [alarm["code"] for alarm in lab.status("fw2").get("alarms", [])]
            lab_module.wait(lambda: "TABLE_FULL" in peer()["not_ready"], 10, "fw1 sees that fw2 is not ready")
            lab_module.wait(lambda: "TABLE_FULL" in codes(), 5, "fw2 raises the alarm")
            self.assertFalse(peer()["ready"])
            lab.run("fw1", "conntrack", "-D", "-p", "tcp", "--orig-port-dst", "20000")
            lab_module.wait(lambda: peer()["ready"], 30, "fw2 is ready again")
            lab_module.wait(lambda: "TABLE_FULL" not in codes(), 10, "the alarm is over")
            self.assertEqual(lab.do("probe-stop", watch_ms=0)["measured"]["dual_master_ms"], 0)


if __name__ == "__main__":
    lab_module.need_root()
    unittest.main(verbosity=2)
