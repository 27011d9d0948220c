"""A real pair for system tests: two firewalls in network namespaces, with hosts on both sides.

      lan: br0 10.1.0.10          wan: br0 10.2.0.100
       |          |                 |          |
     lan0       lan0              wan0       wan0
      fw1        fw2               fw1        fw2        fw1 sync0 10.9.9.1 ---- 10.9.9.2 sync0 fw2

`with Pair() as pair:` builds it, runs carpd and syncd on both, and takes everything away afterwards. The programs
are those of CARPOOL_BUILD (the build folder). Needs root; skip() ends the test with 77 where it cannot run.
Nothing here sleeps and hopes: wait() looks until its deadline. The timers are slow, because a busy machine stalls for
tenths of a second and a carpd that slept steps down; what must be fast is measured by the drills, not here.
"""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("CARPOOL_BUILD", "build")
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

RULES = """
table inet edge {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state invalid counter drop
		ct state established,related counter accept
		iifname "lan0" oifname "wan0" ct state new counter accept
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		ct state established,related accept
		ip saddr { 10.9.9.1, 10.9.9.2 } tcp dport 3780 accept
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" ip saddr 10.1.0.0/24 snat ip to 10.2.0.254
	}
}
"""

CONFIG = """
cluster: edge
keys: [edge.key]
nodes:
  fw1: {{ id: 1, address: 10.9.9.1 }}
  fw2: {{ id: 2, address: 10.9.9.2, advskew: 100 }}
election:
  advbase: {advbase}
{election}
groups:
  edge:
    vhid: 51
    interfaces:
      lan0: [10.1.0.254/24]
      wan0: [10.2.0.254/24]
    rules:
      master: edge.nft
{group}
promotion: {{ deadlines: {{ before: 3s, state: 3s, rules: 2s, addresses: 2s }} }}
{rest}
"""

VIPS = {"10.1.0.254", "10.2.0.254"}


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def need_root():
    if os.getuid() != 0:
        skip("needs root and network namespaces")
    made = subprocess.run(["ip", "netns", "add", f"ctl-{os.getpid()}-try"], capture_output=True)
    if made.returncode:
        skip("network namespaces cannot be made here")
    subprocess.run(["ip", "netns", "del", f"ctl-{os.getpid()}-try"], check=True)


def wait(condition, seconds, what):
    """The condition's first true value, or an AssertionError that says what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.005)


class Node:
    """One firewall: its namespace, its folders, its two daemons."""

    def __init__(self, pair, name):
        self.pair, self.name = pair, name
        self.namespace = pair.prefix + name
        self.dir = f"{pair.dir}/{name}"
        self.runtime, self.state_dir = self.dir + "/run", self.dir + "/state"
        for folder in (self.dir, self.runtime, self.state_dir):
            os.mkdir(folder)
            os.chmod(folder, 0o755)
        self.daemons = {}
        self.config = pair.config
        self.environment = {}

    def start(self, daemon, *options):
        with open(f"{self.dir}/{daemon}.log", "a") as log:
            self.daemons[daemon] = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, f"{BUILD}/{daemon}/{daemon}", "--config", self.config,
                 "--node", self.name, "--runtime-dir", self.runtime, "--state-dir", self.state_dir, *options],
                stderr=log, stdout=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment},
                # A test that is killed must not leave a real-time daemon behind (PR_SET_PDEATHSIG).
                preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL))
        return self.daemons[daemon]

    def kill(self, daemon, number=9):
        """Sends the signal; with -9 also waits for the end."""
        process = self.daemons[daemon]
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        if number == 9:
            process.wait()

    def end(self, daemon, seconds=10):
        """SIGTERM; the exit status."""
        self.daemons[daemon].terminate()
        return self.daemons[daemon].wait(seconds)

    def log(self, daemon):
        with contextlib.suppress(FileNotFoundError), open(f"{self.dir}/{daemon}.log") as log:
            return log.read()
        return ""

    def socket_path(self, daemon):
        return f"{self.runtime}/{daemon}.sock"

    def carpool(self, *words, timeout=30):
        return subprocess.run([f"{BUILD}/ctl/carpool", words[0], "--runtime-dir", self.runtime, *words[1:]],
                              capture_output=True, text=True, timeout=timeout)

    def json(self, *words):
        return json.loads(self.carpool(*words, "--json").stdout)

    def status(self):
        """The status document, or {} while carpd does not answer."""
        document = self.json("status")
        return {} if "error" in document else document

    def group(self, name="edge"):
        return next((group for group in self.status().get("groups", []) if group["name"] == name), {})

    def state(self, name="edge"):
        return self.group(name).get("state")

    def peer(self, group="edge"):
        peers = self.group(group).get("peers", [])
        return peers[0] if peers else {}

    def run(self, *words, **options):
        return subprocess.run(["ip", "netns", "exec", self.namespace, *words], capture_output=True, text=True,
                              **options)

    def addresses(self):
        links = json.loads(self.run("ip", "-j", "-4", "addr").stdout or "[]")
        return {entry["local"] for link in links for entry in link.get("addr_info", [])}

    def has_vips(self):
        return VIPS <= self.addresses()

    def has_any_vip(self):
        return bool(VIPS & self.addresses())

    @contextlib.contextmanager
    def inside(self):
        """This thread in the node's namespace, for sockets."""
        with inside(self.namespace):
            yield


@contextlib.contextmanager
def inside(namespace):
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if LIBC.setns(there, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    try:
        yield
    finally:
        LIBC.setns(back, CLONE_NEWNET)
        os.close(back)
        os.close(there)


class Pair:
    def __init__(self, advbase="400ms", sync=True, election="", group="", rest="", daemons=True, config=CONFIG):
        need_root()
        self.prefix = f"ctl-{os.getpid()}-"
        # In memory: a daemon's standard error is a file here, and a busy disk would hold its loop up.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(prefix="ctl-pair-", dir=memory)
        self.dir = self.folder.name
        os.chmod(self.dir, 0o755)
        self.config = self.dir + "/cluster.yaml"
        with open(self.config, "w") as file:
            file.write(config.format(advbase=advbase, election=election, group=group,
                                     rest=("sync: {}\n" if sync else "") + rest))
        with open(self.dir + "/edge.nft", "w") as file:
            file.write(RULES)
        self.key = os.urandom(32).hex()
        with open(os.open(self.dir + "/edge.key", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(self.key + "\n")
        self.sync, self.daemons = sync, daemons
        self.fw1, self.fw2 = Node(self, "fw1"), Node(self, "fw2")
        self.nodes = [self.fw1, self.fw2]
        self.lan, self.wan = self.prefix + "lan", self.prefix + "wan"

    def __enter__(self):
        try:
            self.build()
            if self.daemons:
                self.start_all()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind and kind is not KeyboardInterrupt:
            for node in self.nodes:
                for daemon in ("carpd", "syncd"):
                    print(f"---- {node.name} {daemon}, last lines\n{node.log(daemon)[-3000:]}", file=sys.stderr)
        self.remove()

    def ip(self, words, namespace=None):
        subprocess.run(["ip", *(["-n", namespace] if namespace else []), *words.split()], check=True,
                       capture_output=True)

    def build(self):
        for namespace, address in ((self.lan, "10.1.0.10/24"), (self.wan, "10.2.0.100/24")):
            self.ip(f"netns add {namespace}")
            self.ip("link set lo up", namespace)
            self.ip("link add br0 type bridge", namespace)
            self.ip(f"addr add {address} dev br0", namespace)
            self.ip("link set br0 up", namespace)
        for node in self.nodes:
            self.ip(f"netns add {node.namespace}")
            self.ip("link set lo up", node.namespace)
            for namespace, link in ((self.lan, "lan0"), (self.wan, "wan0")):
                self.ip(f"link add {link} netns {node.namespace} type veth peer name {node.name} netns {namespace}")
                self.ip(f"link set {link} up", node.namespace)
                self.ip(f"link set {node.name} master br0 up", namespace)
            node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.ip(f"link add sync0 netns {self.fw1.namespace} type veth peer name sync0 netns {self.fw2.namespace}")
        for number, node in enumerate(self.nodes, 1):
            self.ip(f"addr add 10.9.9.{number}/30 dev sync0", node.namespace)
            self.ip("link set sync0 up", node.namespace)
        self.ip("route add default via 10.1.0.254", self.lan)

    def start_all(self):
        """Both nodes, and fw1 the master. A machine that stalled in just these moments gets a second try: how
        daemons start is the subject of other tests."""
        for node in self.nodes:
            self.start(node)
        try:
            self.settle_fw1()
        except AssertionError as error:
            print(f"the start did not settle, once more: {str(error)[:400]}", file=sys.stderr)
            for node in self.nodes:
                for daemon in list(node.daemons):
                    node.kill(daemon)
            for node in self.nodes:
                self.start(node)
            self.settle_fw1()

    def settle_fw1(self):
        """Who was quicker out of its start may be master first: fw1 is asked to take over."""
        self.settle(master=None)
        if self.master() is self.fw2:
            wait(lambda: self.fw1.carpool("handover", "--to", "fw1", "--force").returncode == 0, 20, "fw1 takes over")
        self.settle()

    def start(self, node):
        node.start("carpd")
        if self.sync:
            node.start("syncd")

    def settle(self, master="fw1", seconds=20):
        """The named node (None: any) is master, the other a ready backup."""
        def settled():
            for node, other in ((self.fw1, self.fw2), (self.fw2, self.fw1)):
                if master in (None, node.name) and node.state() == "master":
                    peer = node.peer()
                    return other.state() == "backup" and peer.get("ready") and node.has_vips()
        wait(settled, seconds, lambda: f"{master or 'a node'} master and the other a ready backup; now "
                                       f"fw1 {self.fw1.group()}, fw2 {self.fw2.group()}")

    def master(self):
        return next((node for node in self.nodes if node.state() == "master"), None)

    def remove(self):
        for node in self.nodes:
            for process in node.daemons.values():
                if process.poll() is None:
                    process.terminate()
        for node in self.nodes:
            for process in node.daemons.values():
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for namespace in [node.namespace for node in self.nodes] + [self.lan, self.wan]:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)
        self.folder.cleanup()


class Line:
    """A raw connection to a control socket."""

    def __init__(self, path, uid=None, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        if uid is not None:
            groups = os.getgroups()
            os.setgroups([])
            os.setresgid(uid, uid, 0)
            os.setresuid(uid, uid, 0)
        try:
            # With a timeout Python's socket does not block: a full backlog is EAGAIN, and no answer.
            wait(lambda: self.connected(path), timeout, "room in the backlog")
        finally:
            if uid is not None:
                os.setresuid(0, 0, 0)
                os.setresgid(0, 0, 0)
                os.setgroups(groups)
        self.rest = b""

    def connected(self, path):
        try:
            self.socket.connect(path)
        except BlockingIOError:
            return False
        return True

    def say(self, line):
        self.socket.sendall(line if isinstance(line, bytes) else (json.dumps(line) + "\n").encode())

    def hear(self):
        """The next line, or None at the end."""
        while b"\n" not in self.rest:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def hear_until(self, name):
        """The next event of that name; others are passed over."""
        while True:
            line = self.hear()
            if line is None or line.get("event") == name:
                return line

    def ask(self, op, **fields):
        self.say({"op": op, **fields})
        return self.hear()

    def ended(self, within):
        """True when the other side closes within that time, whatever it says before."""
        self.socket.settimeout(within)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Probe:
    """UDP from the LAN to the WAN through the pair, `rate` a second, each with its number; lost() is what did not
    arrive, gap() the longest time between two arrivals."""

    def __init__(self, pair, rate=500):
        self.period = 1 / rate
        self.sent, self.arrived, self.arrivals = 0, set(), []
        self.stop = threading.Event()
        with inside(pair.wan):
            self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sink.bind(("10.2.0.100", 9999))
            self.sink.settimeout(0.2)
        with inside(pair.lan):
            self.source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.source.connect(("10.2.0.100", 9999))
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]

    def send(self):
        due = time.monotonic()
        while not self.stop.is_set():
            with contextlib.suppress(OSError):
                self.source.send(self.sent.to_bytes(8, "big"))
            self.sent += 1
            due += self.period
            time.sleep(max(0, due - time.monotonic()))

    def receive(self):
        while True:
            try:
                data = self.sink.recv(64)
            except socket.timeout:
                if self.stop.is_set():
                    return
                continue
            self.arrived.add(int.from_bytes(data, "big"))
            self.arrivals.append(time.monotonic())

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait(lambda: len(self.arrived) > 20, 5, "the first probes arrive")
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.source.close()
        self.sink.close()

    def mark(self):
        """Begin to count from here (the first packets resolve addresses)."""
        self.first, self.begun = self.sent, len(self.arrivals)

    def lost(self):
        """Of those sent since mark(); ask after the with block."""
        return [number for number in range(self.first, self.sent) if number not in self.arrived]

    def gap(self):
        times = self.arrivals[self.begun:]
        return max((b - a for a, b in zip(times, times[1:])), default=0)
