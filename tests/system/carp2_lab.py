"""One Ethernet segment with carpool nodes and real ucarps on it: what test_carp2.py and the long run stand on.

      br0 (namespace "lan")
       |         |         |
      lan0      lan0      lan0
      fw1       fw2       u1, u2 ...       fw1 sync0 10.9.9.1 ---- 10.9.9.2 sync0 fw2
    10.1.0.1  10.1.0.2  10.1.0.11, .12

The virtual address is 10.1.0.254 everywhere, vhid 42, passphrase "love". A ucarp's scripts add and remove it, as its
manual has it. Needs root and, for ucarp, the program: skip() ends with 77 where something is missing.
"""
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import pair
from pair import inside, need_root, skip

VIP = "10.1.0.254"
PASSPHRASE = "love"
VHID = 42
ETH, IP = 14, 20

CONFIG = """
cluster: office
keys: [office.key]
nodes:
  fw1: {{ id: 1, address: 10.9.9.1 }}
  fw2: {{ id: 2, address: 10.9.9.2 }}
election: {{ wire: carp2, passphrase_file: office.pass, advbase: {advbase}, {election} }}
groups:
  office:
    vhid: 42
    advskew: {{ fw1: {skew1}, fw2: {skew2} }}
    interfaces: {{ lan0: [{vip}/24{more}] }}
promotion: {{ deadlines: {{ before: 3s, state: 3s, rules: 2s, addresses: 2s }} }}
"""

SCRIPT = """#!/bin/sh
exec ip addr {verb} {vip}/32 dev "$1"
"""


def wait(condition, seconds, what):
    """As pair.wait, ten times a second: ucarp counts in seconds, and every look costs some processes."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.1)


class Ucarp:
    """One ucarp in its own namespace."""

    def __init__(self, lab, number):
        self.lab, self.number = lab, number
        self.name = f"u{number}"
        self.namespace = lab.prefix + self.name
        self.address = f"10.1.0.{10 + number}"
        self.process = None

    def start(self, skew, *options, base=1, address=VIP):
        for verb in ("add", "del"):
            path = f"{self.lab.dir}/{verb}.sh"
            if not os.path.exists(path):
                with open(path, "w") as file:
                    file.write(SCRIPT.format(verb=verb, vip=VIP))
                os.chmod(path, 0o755)
        with open(f"{self.lab.dir}/{self.name}.log", "a") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "ucarp", "-i", "lan0", "-s", self.address, "-v", str(VHID),
                 "-p", PASSPHRASE, "-a", address, "-b", str(base), "-k", str(skew), "-u", f"{self.lab.dir}/add.sh",
                 "-d", f"{self.lab.dir}/del.sh", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=lambda: pair.LIBC.prctl(1, signal.SIGKILL))

    def kill(self):
        """Power loss: the process and the address at once."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.lab.ip("addr flush dev lan0", self.namespace)
        self.lab.ip(f"addr add {self.address}/24 dev lan0", self.namespace)

    def has_vip(self):
        links = json.loads(subprocess.run(["ip", "-n", self.namespace, "-j", "addr", "show", "dev", "lan0"],
                                          capture_output=True, text=True).stdout or "[]")
        return any(entry.get("local") == VIP for link in links for entry in link.get("addr_info", []))

    def switches(self):
        """The states that it has switched to, in order."""
        return [line.split("Switching to state:")[1].strip() for line in self.log().splitlines()
                if "Switching to state:" in line]

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(f"{self.lab.dir}/{self.name}.log") as file:
            return file.read()
        return ""


class Firewall(pair.Node):
    def has_vip(self):
        return VIP in self.addresses()

    def state(self, name="office"):
        return self.group(name).get("state")

    def metrics(self):
        with pair.Line(self.socket_path("carpd")) as line:
            return line.ask("metrics")["result"]

    def drops(self):
        return self.metrics()["carpool_adverts_dropped_total"]


class Carp2Lab:
    """Several may be open at the same time, in threads."""

    count, lock = itertools.count(), threading.Lock()

    def __init__(self, ucarps=1, election="", advbase="1s", skews=(100, 200), more=""):
        with self.lock:
            need_root()
        if ucarps and not shutil.which("ucarp"):
            skip("ucarp is not installed")
        self.prefix = f"carp2-{os.getpid()}-{next(self.count)}-"
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(prefix="carp2-", dir=memory)
        self.dir = self.folder.name
        os.chmod(self.dir, 0o755)
        self.config = self.dir + "/cluster.yaml"
        self.write(election, advbase, skews, more)
        for name, text in (("office.key", os.urandom(32).hex()), ("office.pass", PASSPHRASE)):
            with open(os.open(f"{self.dir}/{name}", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write(text + "\n")
        self.fw1, self.fw2 = Firewall(self, "fw1"), Firewall(self, "fw2")
        self.firewalls = [self.fw1, self.fw2]
        self.ucarps = [Ucarp(self, number + 1) for number in range(ucarps)]
        self.lan = self.prefix + "lan"

    def write(self, election="", advbase="1s", skews=(100, 200), more=""):
        with open(self.config, "w") as file:
            file.write(CONFIG.format(advbase=advbase, election=election or "preempt: false", skew1=skews[0],
                                     skew2=skews[1], vip=VIP, more=more))

    def ip(self, words, namespace=None):
        subprocess.run(["ip", *(["-n", namespace] if namespace else []), *words.split()], check=True,
                       capture_output=True)

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.remove()
            raise
        return self

    def build(self):
        self.ip(f"netns add {self.lan}")
        self.ip("link set lo up", self.lan)
        self.ip("link add br0 type bridge mcast_snooping 0", self.lan)
        self.ip("link set br0 up", self.lan)
        hosts = [(node, f"10.1.0.{i}") for i, node in enumerate(self.firewalls, 1)]
        for host, address in hosts + [(ucarp, ucarp.address) for ucarp in self.ucarps]:
            self.ip(f"netns add {host.namespace}")
            self.ip("link set lo up", host.namespace)
            self.ip(f"link add lan0 netns {host.namespace} type veth peer name {host.name} netns {self.lan}")
            self.ip("link set lan0 up", host.namespace)
            self.ip(f"addr add {address}/24 dev lan0", host.namespace)
            self.ip(f"link set {host.name} master br0 up", self.lan)
        self.ip(f"link add sync0 netns {self.fw1.namespace} type veth peer name sync0 netns {self.fw2.namespace}")
        for number, node in enumerate(self.firewalls, 1):
            self.ip(f"addr add 10.9.9.{number}/30 dev sync0", node.namespace)
            self.ip("link set sync0 up", node.namespace)

    def cut(self, host, up=False):
        """The switch's port of that host: its carrier is gone, too."""
        self.ip(f"link set {host.name} {'up' if up else 'down'}", self.lan)

    def block(self, *hosts):
        """They no longer hear each other, and their carriers live on; unblock() ends it."""
        for host in hosts:
            subprocess.run(["bridge", "-n", self.lan, "link", "set", "dev", host.name, "isolated", "on"], check=True)

    def unblock(self):
        for host in [*self.firewalls, *self.ucarps]:
            subprocess.run(["bridge", "-n", self.lan, "link", "set", "dev", host.name, "isolated", "off"], check=True)

    def holders(self):
        return [host.name for host in [*self.firewalls, *self.ucarps] if host.has_vip()]

    def wait_holder(self, host, seconds, what=""):
        """Exactly that host has the address; how long it took."""
        begun = time.monotonic()
        wait(lambda: self.holders() == [host.name], seconds,
             lambda: f"{what}: {host.name} alone has {VIP}; now {self.holders()}, fw1 {self.fw1.group('office')}, "
                     f"ucarp {[u.log()[-400:] for u in self.ucarps]}")
        return time.monotonic() - begun

    def __exit__(self, kind, value, trace):
        if kind and kind is not KeyboardInterrupt:
            for node in self.firewalls:
                print(f"---- {node.name} carpd, last lines\n{node.log('carpd')[-3000:]}", file=sys.stderr)
            for ucarp in self.ucarps:
                print(f"---- {ucarp.name}, last lines\n{ucarp.log()[-2000:]}", file=sys.stderr)
        self.remove()

    def remove(self):
        for node in self.firewalls:
            for process in node.daemons.values():
                if process.poll() is None:
                    process.kill()
                process.wait()
        for ucarp in self.ucarps:
            if ucarp.process:
                ucarp.process.kill()
                ucarp.process.wait()
        for host in [*self.firewalls, *self.ucarps]:
            subprocess.run(["ip", "netns", "del", host.namespace], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.lan], capture_output=True)
        self.folder.cleanup()


class Tap:
    """Every CARP frame on the segment, as (time, frame), from the moment it is entered."""

    def __init__(self, lab):
        self.frames, self.stop = [], threading.Event()
        with inside(lab.lan):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
            self.socket.bind(("br0", 0x0800))
            # The bridge's own port does not show what it floods to others without this.
            self.socket.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex("br0"), 1, 0, b""))
        self.socket.settimeout(0.2)
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            with contextlib.suppress(socket.timeout):
                frame = self.socket.recv(2048)
                if len(frame) >= ETH + IP and frame[ETH + 9] == 112:
                    self.frames.append((time.time(), frame))

    def of(self, source):
        return [(at, frame) for at, frame in list(self.frames) if socket.inet_ntoa(frame[ETH + 12:ETH + 16]) == source]

    def write_pcap(self, path):
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
            for at, frame in self.frames:
                file.write(struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(frame), len(frame)) + frame)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.socket.close()
