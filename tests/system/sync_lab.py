"""A lab for syncd alone: two real syncds in two network namespaces, and a fake carpd for each.

    client --- lan bridge --- fw1, fw2 --- wan bridge --- server        fw1 === sync link === fw2

The client's and the server's routes go by the virtual addresses 10.1.0.254 and 10.2.0.254, which
the test moves by hand: carpd is played by FakeCarpd, a control-socket server in this process.
Everything is named after LAB and the process, and removed at the end.
"""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SKIP = 77
SYNCD = os.environ.get("SYNCD", "build/syncd/syncd")
DEADLINE_S = 15.0


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIP)


def run(*args, check=True, text=True, **kwargs):
    done = subprocess.run(args, check=False, text=text, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **kwargs)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr}")
    return done


def wait_for(what, condition, deadline_s=DEADLINE_S, step_s=0.02):
    """Waits for a condition with a deadline; returns its (true) value."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(step_s)


class FakeCarpd:
    """carpd's control socket: registers syncd, sends roles and transitions, collects answers."""

    def __init__(self, runtime, role="backup", master=None, term=1, owner=1, group="edge"):
        self.path = os.path.join(runtime, "carpd.sock")
        self.role = dict(state=role, master=master, term=term, term_owner=owner, group=group)
        self.group = group
        self.conn = None
        self.lock = threading.Lock()
        self.done = {}
        self.health = []
        self.registered = 0
        self.next_id = 1
        self.listener = None
        self.open()

    def open(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.stopping = False
        self.thread = threading.Thread(target=self.serve, args=(self.listener,), daemon=True)
        self.thread.start()

    def close(self):
        self.stopping = True
        self.listener.close()
        with self.lock:
            if self.conn:
                self.conn.shutdown(socket.SHUT_RDWR)
                self.conn.close()
                self.conn = None
        if os.path.exists(self.path):
            os.unlink(self.path)

    def serve(self, listener):
        buffer = b""
        conn = None
        while not self.stopping:
            try:
                ready, _, _ = select.select([listener] + ([conn] if conn else []), [], [], 0.2)
                if listener in ready:
                    conn, _ = listener.accept()
                    buffer = b""
                    with self.lock:
                        self.conn = conn
                elif conn in ready:
                    data = conn.recv(65536)
                    if not data:
                        with self.lock:
                            self.conn = None
                        conn = None
                        continue
                    buffer += data
                    while b"\n" in buffer:
                        line, buffer = buffer.split(b"\n", 1)
                        self.handle(json.loads(line))
            except (OSError, ValueError):
                conn = None

    def handle(self, line):
        if line["op"] == "register":
            assert line["name"] == "syncd" and line["phase"] == "state", line
            self.send({"ok": True, "result": {}})
            self.send_role()
            self.registered += 1
        elif line["op"] == "done":
            self.done[line["id"]] = (time.monotonic(), line)
        elif line["op"] == "health":
            self.health.append(line)

    def send(self, line):
        with self.lock:
            if self.conn:
                self.conn.sendall(json.dumps(line).encode() + b"\n")

    def send_role(self):
        self.send({"event": "role", **self.role})

    def set_role(self, **changes):
        self.role.update(changes)
        self.send_role()

    def transition(self, event, **fields):
        """Sends become_master or become_backup; returns the milliseconds until its answer."""
        ident = self.next_id
        self.next_id += 1
        began = time.monotonic()
        self.send({"event": event, "id": ident, "group": self.group, **fields})
        wait_for(f"answer to {event}", lambda: ident in self.done, step_s=0.0002)
        at, answer = self.done[ident]
        assert answer["ok"], answer
        return (at - began) * 1000

    def become_master(self, term, owner, name, old=None, reason="MASTER_DEAD"):
        ms = self.transition("become_master", term=term, term_owner=owner, reason=reason,
                             **{"from": old})
        self.set_role(state="master", master=name, term=term, term_owner=owner)
        return ms

    def become_backup(self, term, owner, master, reason="HANDOVER"):
        ms = self.transition("become_backup", term=term, term_owner=owner, reason=reason,
                             to=master)
        self.set_role(state="backup", master=master, term=term, term_owner=owner)
        return ms

    def ready(self):
        return bool(self.health) and self.health[-1]["ready"]


class Lab:
    def __init__(self, mode="warm", extra="", links=1, keep=False):
        if os.geteuid() != 0:
            skip("needs root")
        for tool in ("ip", "nft", "conntrack"):
            if not shutil.which(tool):
                skip(f"needs {tool}")
        self.tag = f"sync{os.getpid() % 100000}"
        self.dir = tempfile.mkdtemp(prefix=f"sync-{self.tag}-")
        os.chmod(self.dir, 0o755)
        self.ns = {name: f"{self.tag}-{name}" for name in ("c", "s", "fw1", "fw2", "sw")}
        self.procs = {}
        self.carpds = {}
        self.others = []
        self.keep = keep
        self.mode = mode
        self.extra = extra
        self.links = links
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    # ---- topology ----

    def ip(self, ns, *args):
        return run("ip", "-n", self.ns[ns], *args)

    def sh(self, ns, command, check=True):
        return run("ip", "netns", "exec", self.ns[ns], "sh", "-c", command, check=check)

    def build(self):
        try:
            for ns in self.ns.values():
                run("ip", "netns", "add", ns)
        except RuntimeError as error:
            skip(f"cannot make network namespaces: {error}")
        for ns in self.ns:
            self.ip(ns, "link", "set", "lo", "up")
        for bridge in ("lan", "wan"):
            self.ip("sw", "link", "add", bridge, "type", "bridge")
            self.ip("sw", "link", "set", bridge, "up")
        for ns, ifname, bridge in (("c", "eth0", "lan"), ("s", "eth0", "wan"),
                                   ("fw1", "lan0", "lan"), ("fw1", "wan0", "wan"),
                                   ("fw2", "lan0", "lan"), ("fw2", "wan0", "wan")):
            port = f"{ns}{ifname}"
            self.ip("sw", "link", "add", port, "type", "veth", "peer", "name", ifname,
                    "netns", self.ns[ns])
            self.ip("sw", "link", "set", port, "master", bridge, "up")
            self.ip(ns, "link", "set", ifname, "up")
        self.ip("fw1", "link", "add", "sync0", "type", "veth", "peer", "name", "sync0", "netns",
                self.ns["fw2"])
        for node, host in (("fw1", 1), ("fw2", 2)):
            self.ip(node, "addr", "add", f"10.9.9.{host}/24", "dev", "sync0")
            self.ip(node, "link", "set", "sync0", "up")
            self.ip(node, "addr", "add", f"10.1.0.{host}/24", "dev", "lan0")
            self.ip(node, "addr", "add", f"10.2.0.{host}/24", "dev", "wan0")
            self.ip(node, "addr", "add", f"fd01::{host}/64", "dev", "lan0", "nodad")
            self.ip(node, "addr", "add", f"fd02::{host}/64", "dev", "wan0", "nodad")
            self.sh(node, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
                          "net.netfilter.nf_conntrack_tcp_loose=0 "
                          "net.ipv4.conf.all.promote_secondaries=1")
            # The zone of the raw hook makes conntrack run; NAT and the strict chain as in the issue.
            self.nft(node, """
table ip nat { chain post { type nat hook postrouting priority srcnat;
  oifname "wan0" ip saddr 10.1.0.0/24 snat to 10.2.0.254
}
}
table inet filter { chain forward { type filter hook forward priority filter; policy drop;
  ct state invalid counter drop
  ct state established,related accept
  tcp dport 7778 ct mark set 0x77
  iifname "lan0" ct state new accept
}
}
""")
        self.ip("c", "addr", "add", "10.1.0.10/24", "dev", "eth0")
        self.ip("c", "addr", "add", "fd01::10/64", "dev", "eth0", "nodad")
        self.ip("s", "addr", "add", "10.2.0.100/24", "dev", "eth0")
        self.ip("s", "addr", "add", "fd02::100/64", "dev", "eth0", "nodad")
        self.ip("c", "route", "add", "default", "via", "10.1.0.254")
        self.ip("s", "route", "add", "10.1.0.0/24", "via", "10.2.0.254")
        self.ip("c", "-6", "route", "add", "default", "via", "fd01::fe")
        self.ip("s", "-6", "route", "add", "fd01::/64", "via", "fd02::fe")
        self.write_config()
        for node in ("fw1", "fw2"):
            os.mkdir(self.runtime(node))

    def nft(self, ns, text):
        run("ip", "netns", "exec", self.ns[ns], "nft", "-f", "-", input=text)

    def runtime(self, node):
        return os.path.join(self.dir, node)

    def write_config(self, key=None, name="edge.key", yaml="cluster.yaml"):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii") as out:
            out.write((key or os.urandom(32).hex()) + "\n")
        os.chmod(path, 0o600)
        config = os.path.join(self.dir, yaml)
        # A second sync link: the LAN.
        addresses = [f"[10.9.9.{host}, 10.1.0.{host}]" if self.links == 2 else f"10.9.9.{host}"
                     for host in (1, 2)]
        with open(config, "w", encoding="ascii") as out:
            out.write(f"""cluster: edge
keys: [{name}]
nodes:
  fw1: {{ id: 1, address: {addresses[0]} }}
  fw2: {{ id: 2, address: {addresses[1]}, advskew: 100 }}
groups:
  edge:
    vhid: 51
    interfaces:
      lan0: [10.1.0.254/24, "fd01::fe/64"]
      wan0: [10.2.0.254/24, "fd02::fe/64"]
sync:
  mode: {self.mode}
{self.extra}
""")
        os.chmod(config, 0o644)
        return config

    def take_addresses(self, node):
        """Moves the virtual addresses: what carpd's addresses and announce stages do."""
        for other in ("fw1", "fw2"):
            if other == node:
                continue
            for dev, addresses in (("lan0", ("10.1.0.254/24", "fd01::fe/64")),
                                   ("wan0", ("10.2.0.254/24", "fd02::fe/64"))):
                for address in addresses:
                    run("ip", "-n", self.ns[other], "addr", "del", address, "dev", dev,
                        check=False)
        for dev, addresses in (("lan0", ("10.1.0.254/24", "fd01::fe/64")),
                               ("wan0", ("10.2.0.254/24", "fd02::fe/64"))):
            for address in addresses:
                run("ip", "-n", self.ns[node], "addr", "add", address, "dev", dev, "nodad",
                    check=False)
        # The neighbours learn by forgetting.
        for ns in ("c", "s"):
            self.sh(ns, "ip neigh flush all; ip -6 neigh flush all", check=False)

    # ---- processes ----

    def start(self, node, role="backup", master=None, term=1, owner=1, config="cluster.yaml"):
        if node not in self.carpds:
            self.carpds[node] = FakeCarpd(self.runtime(node), role, master, term, owner)
        self.start_syncd(node, config)
        return self.carpds[node]

    def start_syncd(self, node, config="cluster.yaml"):
        log = open(os.path.join(self.dir, f"{node}.log"), "a", encoding="utf-8")
        self.procs[node] = subprocess.Popen(
            ["ip", "netns", "exec", self.ns[node], SYNCD, "--config",
             os.path.join(self.dir, config), "--node", node, "--runtime-dir", self.runtime(node),
             "--state-dir", self.runtime(node), "--debug"],
            stdout=log, stderr=log)
        wait_for(f"{node}: syncd answers", lambda: self.status(node))

    def stop_syncd(self, node, sig=signal.SIGTERM):
        proc = self.procs.pop(node)
        proc.send_signal(sig)
        return proc.wait(10)

    def log(self, node):
        with open(os.path.join(self.dir, f"{node}.log"), encoding="utf-8") as file:
            return file.read()

    # ---- questions ----

    def ask(self, node, op):
        try:
            conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            conn.settimeout(20)
            conn.connect(os.path.join(self.runtime(node), "syncd.sock"))
        except OSError:
            return None
        with conn, conn.makefile("rwb") as file:
            file.write(json.dumps({"op": op}).encode() + b"\n")
            file.flush()
            items = []
            for raw in file:
                line = json.loads(raw)
                if "item" in line:
                    items.append(line["item"])
                    continue
                assert line["ok"], line
                return items if op == "flows" else line["result"]
        return None

    def status(self, node):
        return self.ask(node, "status")

    def metrics(self, node):
        return self.ask(node, "metrics")

    def in_sync(self, node):
        peers = self.status(node)["peers"]
        return peers[0]["connected"] and peers[0]["in_sync"] and peers[0]["unacked"] == 0

    def wait_in_sync(self, deadline_s=DEADLINE_S):
        wait_for("both in sync",
                 lambda: self.in_sync("fw1") and self.in_sync("fw2"), deadline_s)

    def conntrack(self, node):
        """The kernel's table, one dict a flow, as conntrack -L -o extended,xml-less tells it."""
        out = run("ip", "netns", "exec", self.ns[node], "conntrack", "-L", "-o", "extended",
                  check=False).stdout
        out += run("ip", "netns", "exec", self.ns[node], "conntrack", "-L", "-f", "ipv6", "-o",
                   "extended", check=False).stdout
        return [parse_conntrack(line) for line in out.splitlines() if line.strip()]

    def flows_through(self, node):
        """Only what is forwarded: neither end is the firewall itself."""
        own = ("10.9.9.", "127.", "fe80", "::1")
        return {f["key"]: f for f in self.conntrack(node)
                if not any(f["src"].startswith(p) or f["dst"].startswith(p) for p in own)
                and f["src"] not in ("10.1.0.1", "10.1.0.2", "10.2.0.1", "10.2.0.2")
                and f["dst"] not in ("10.1.0.1", "10.1.0.2", "10.2.0.1", "10.2.0.2")}

    def rss_kb(self, node):
        pid = self.syncd_pid(node)
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
        return 0

    def cpu_s(self, node):
        with open(f"/proc/{self.syncd_pid(node)}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def syncd_pid(self, node):
        return self.procs[node].pid  # ip netns exec execs the program itself

    # ---- traffic ----

    def spawn(self, ns, code, *args):
        proc = subprocess.Popen(
            ["ip", "netns", "exec", self.ns[ns], sys.executable, "-c", code, *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.others.append(proc)
        return proc

    # ---- end ----

    def close(self):
        for node in list(self.procs):
            self.procs[node].kill()
            self.procs[node].wait()
        for proc in self.others:
            proc.kill()
            proc.wait()
        for carpd in self.carpds.values():
            carpd.close()
        for ns in self.ns.values():
            run("ip", "netns", "del", ns, check=False)
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for node in ("fw1", "fw2"):
                try:
                    print(f"--- {node}\n" + self.log(node)[-6000:])
                except OSError:
                    pass
        self.close()


def parse_conntrack(line):
    """ipv4 2 tcp 6 431999 ESTABLISHED src=... dst=... sport=... dport=... src=... [ASSURED] ..."""
    words = line.split()
    flow = {"line": line, "proto": words[2], "timeout": 0, "state": "", "assured": False}
    pairs = []
    for word in words[3:]:
        if "=" in word:
            pairs.append(tuple(word.split("=", 1)))
        elif word.isdigit() and not pairs and not flow["timeout"]:
            flow["timeout"] = int(word)
        elif word.isupper() and not pairs:
            flow["state"] = word
        elif word == "[ASSURED]":
            flow["assured"] = True
    # The protocol's number comes first: "tcp 6 431999".
    numbers = [int(w) for w in words[3:6] if w.isdigit()]
    flow["timeout"] = numbers[1] if len(numbers) > 1 else 0
    tuple_words = [p for p in pairs if p[0] in ("src", "dst", "sport", "dport", "type", "code",
                                                "id", "srckey", "dstkey")]
    flow["src"] = next(v for k, v in pairs if k == "src")
    flow["dst"] = next(v for k, v in pairs if k == "dst")
    flow["mark"] = int(dict(pairs).get("mark", "0"))
    flow["tuples"] = tuple(tuple_words)
    flow["key"] = (words[0], flow["proto"]) + tuple(tuple_words)
    return flow
