"""rules_lab: what the tests of rules/ share: a network namespace a case, and a tally.

A case is a function; it runs in a child process in a fresh network namespace, so that whatever it does
to nftables dies with it. Without root: exit 77."""
import ctypes
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback

TOOL = os.environ["RULES_TOOL"]
HERE = os.path.dirname(os.path.abspath(__file__))
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000


def run(*words, text=None, fails=False, folder=None):
    """Runs a command; its output. fails: whether it must fail, None = either."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=300,
                          cwd=folder)
    if fails is not None and (done.returncode != 0) != fails:
        raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + (done.stderr if fails or fails is None else "")


def interfaces(*names):
    run("ip", "link", "set", "lo", "up")
    for name in names:
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "p" + name)
        run("ip", "link", "set", name, "up")
        run("ip", "link", "set", "p" + name, "up")


def sections(listing):
    """A listing as {table line: its text}, without carpool's own tables, canaries and dormant flags."""
    listing = re.sub(r"\tset carpool_canary \{\n(?:\t\t.*\n)*\t\}\n\n?", "", listing)
    found = re.findall(r"^(table .*? \{)\n(.*?)^\}\n", listing, re.M | re.S)
    return {head: body.strip("\n") for head, body in found if "carpool_" not in head}


def asleep(family, table):
    # Not `list table`: nft reads the names of some tables that it lists ("maps") as keywords.
    listing = run("nft", "list", "ruleset")
    found = re.search(rf"^table {family} {re.escape(table)} \{{\n(\tflags dormant)?", listing, re.M)
    assert found, f"no table {family} {table}"
    return bool(found.group(1))


class Lab:
    """Two namespaces beside this one, each held by a sleeping process; gone with it."""

    def __init__(self):
        run("ip", "link", "set", "lo", "up")
        run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.hosts = {}
        run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0")
        self.host("client", "lan0", 1)
        self.host("server", "wan0", 2)

    def host(self, name, link, number):
        """The host 10.NUMBER.0.2 / fdNUMBER::2 behind our link, which is .1."""
        keeper = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE)
        keeper.stdout.readline()
        self.hosts[name] = keeper
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(keeper.pid))
        run("ip", "address", "add", f"10.{number}.0.1/24", "dev", link)
        run("ip", "address", "add", f"fd0{number}::1/64", "dev", link, "nodad")
        run("ip", "link", "set", link, "up")
        self.on(name, "ip", "link", "set", "lo", "up")
        self.on(name, "ip", "address", "add", f"10.{number}.0.2/24", "dev", "eth0")
        self.on(name, "ip", "address", "add", f"fd0{number}::2/64", "dev", "eth0", "nodad")
        self.on(name, "ip", "link", "set", "eth0", "up")
        self.on(name, "ip", "route", "add", "default", "via", f"10.{number}.0.1")
        self.on(name, "ip", "route", "add", "default", "via", f"fd0{number}::1")

    def words(self, name, *words):
        return ["nsenter", "-t", str(self.hosts[name].pid), "-n", *words]

    def on(self, name, *words, **more):
        return run(*self.words(name, *words), **more)

    def close(self):
        for keeper in self.hosts.values():
            keeper.kill()
            keeper.wait()


def until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def _child(case):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        os._exit(77)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    # /sys/class/net of this namespace, for ip(8).
    with tempfile.TemporaryDirectory(prefix="rules-") as folder:
        os.chdir(folder)
        try:
            case()
        except BaseException:
            traceback.print_exc()
            return 1
    return 0


def main(cases):
    """Runs all cases, or those whose names stand in the arguments."""
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    failed, wanted = [], sys.argv[1:]
    for case in cases:
        if wanted and case.__name__ not in wanted:
            continue
        start = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = _child(case)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 77:
            print("no network namespaces here")
            sys.exit(77)
        print(f"{'ok' if status == 0 else 'FAILED'} {case.__name__} ({time.monotonic() - start:.1f} s)")
        if status:
            failed.append(case.__name__)
    sys.exit(1 if failed else 0)
