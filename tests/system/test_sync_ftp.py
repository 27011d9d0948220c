"""An FTP session through NAT survives failovers in its middle: its expectations, its related data connections, the
sequence numbers that the helper has shifted, the helper itself.

Active mode through source NAT (the client is behind the firewalls) and passive mode through destination NAT (the server
is). The helper and NAT of FTP are the kernel's own; skipped where it has none."""
import os
import sys

from sync_lab import Lab, run, skip, wait_for

CARPOOL = os.environ.get("CARPOOL_COMMAND", "build/ctl/carpool")
SIZE = 3_000_000

# FTP as far as it is needed: one transfer at a time, PORT and PASV, "RETR slow" pauses in its middle until told to go on.
SERVER = r"""
import socket, threading, sys, time
go = threading.Event()
def session(c):
    f = c.makefile("rwb", buffering=0); peer = passive = None
    say = lambda text: f.write(text.encode() + b"\r\n")
    def data():
        if passive: return passive.accept()[0]
        return socket.create_connection(peer, timeout=10)
    say("220 ready")
    for line in f:
        word, _, rest = line.decode().strip().partition(" "); word = word.upper()
        if word == "USER": say("230 in")
        elif word == "PORT":
            n = [int(x) for x in rest.split(",")]; peer = (".".join(map(str, n[:4])), n[4] * 256 + n[5]); passive = None
            say("200 to %s:%u" % peer)
        elif word == "PASV":
            passive = socket.socket(); passive.bind((c.getsockname()[0], 0)); passive.listen(1); passive.settimeout(10)
            host, port = passive.getsockname()
            say("227 Entering Passive Mode (%s,%u,%u)." % (host.replace(".", ","), port >> 8, port & 255))
        elif word == "RETR":
            try: d = data()
            except OSError as error: say("425 %s" % error); continue
            say("150 here it comes")
            if rest == "slow": d.sendall(b"x" * (SIZE // 3)); go.wait(30); go.clear(); d.sendall(b"x" * (SIZE - SIZE // 3))
            else: d.sendall(b"x" * SIZE)
            d.close(); say("226 done")
        elif word == "QUIT": say("221 bye"); break
        else: say("502 no")
SIZE = int(sys.argv[2])
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((sys.argv[1], 21)); s.listen(5)
def serve():
    while True: threading.Thread(target=session, args=(s.accept()[0],), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin: go.set()
"""

# An order a line: announce (PORT or PASV), fetch FILE (needs announce), begin FILE, finish; each is answered in a line.
CLIENT = r"""
import ftplib, socket, sys
host, mode = sys.argv[1:]
ftp = ftplib.FTP(); ftp.connect(host, 21, timeout=10); ftp.sendcmd("USER x")
print("ready", flush=True)
listener = where = conn = None; got = 0
def begin(name):
    global conn, got
    got = 0
    if mode == "active":
        listener.settimeout(10); answer = ftp.sendcmd("RETR " + name); conn, _ = listener.accept()
    else:
        conn = socket.create_connection(where, timeout=10); answer = ftp.sendcmd("RETR " + name)
    conn.settimeout(10)
    if not answer.startswith("150"): raise OSError(answer)
def finish():
    global got
    while True:
        part = conn.recv(65536)
        if not part: break
        got += len(part)
    conn.close(); ftp.voidresp()
for line in sys.stdin:
    words = line.split()
    try:
        if words[0] == "announce":
            if mode == "active": listener = ftp.makeport()
            else: where = ftp.makepasv()
        elif words[0] == "begin": begin(words[1]); got += len(conn.recv(1000))
        elif words[0] == "finish": finish()
        elif words[0] == "fetch": begin(words[1]); finish()
        print("ok", got, flush=True)
    except (OSError, ftplib.Error, EOFError) as error: print("error", repr(error), flush=True)
"""

HELPER = 'table ip ftp { ct helper ftp { type "ftp" protocol tcp; }; }'
RULES = """
table ip ftp {
  chain pre { type filter hook prerouting priority filter; tcp dport 21 ct helper set "ftp"; }
  chain forwarded { type nat hook prerouting priority dstnat; iifname "wan0" ip daddr 10.2.0.254 tcp dport 21 dnat to 10.1.0.10; }
}
add rule inet filter forward iifname "wan0" tcp dport 21 ct state new accept
"""


class Ftp:
    def __init__(self, lab, where, host, mode):
        self.proc = lab.spawn(where, CLIENT, host, mode)
        self.mode = mode
        self.hear("ready")

    def hear(self, what):
        got = self.proc.stdout.readline().strip()
        assert got.startswith(what), f"{self.mode}: {got!r} instead of {what!r}"
        return got

    def do(self, order):
        self.proc.stdin.write(order + "\n")
        self.proc.stdin.flush()
        return self.hear("ok")

    def fetched(self, order):
        assert self.do(order) == f"ok {SIZE}", self.mode


def expectations(lab, node):
    """Without their timeouts."""
    out = run("ip", "netns", "exec", lab.ns[node], "conntrack", "-L", "expect", check=False).stdout
    return sorted(line.split(" ", 1)[1].strip() for line in out.splitlines() if "src=" in line)


def wait_same_expectations(lab, count):
    try:
        wait_for(f"{count} expectations on both", lambda: len(expectations(lab, "fw1")) == count and
                 expectations(lab, "fw1") == expectations(lab, "fw2"), 5)
    except AssertionError:
        print("fw1:", *expectations(lab, "fw1"), "fw2:", *expectations(lab, "fw2"), sep="\n")
        raise


def children(lab, node, port=21):
    """Data connections in a node's kernel: what is neither a control connection nor the node's own."""
    return [f for f in lab.flows_through(node).values()
            if f["proto"] == "tcp" and ("dport", str(port)) not in f["tuples"] and f["state"] == "ESTABLISHED"]


def power_loss(lab, lost, other, term, owner):
    for port in (f"{lost}lan0", f"{lost}wan0"):
        lab.ip("sw", "link", "set", port, "down")
    lab.ip(lost, "link", "set", "sync0", "down")
    lab.carpds[other].become_master(term, owner, other)
    lab.take_addresses(other)


def power_back(lab, lost, other, term, owner):
    lab.carpds[lost].become_backup(term, owner, other, reason="DUAL_MASTER")
    for port in (f"{lost}lan0", f"{lost}wan0"):
        lab.ip("sw", "link", "set", port, "up")
    lab.ip(lost, "link", "set", "sync0", "up")
    lab.wait_in_sync()


def no_difference(lab):
    """Both tables and both kernels, expectations included: what they prescribe, too."""
    for node in ("fw1", "fw2"):
        done = run("ip", "netns", "exec", lab.ns[node], CARPOOL, "sync", "verify", "--runtime-dir",
                   lab.runtime(node), check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def main():
    with Lab() as lab:
        for node in ("fw1", "fw2"):
            if run("ip", "netns", "exec", lab.ns[node], "nft", HELPER, check=False).returncode != 0:
                skip("this kernel has no helper for FTP")
            lab.nft(node, RULES)
        lab.start("fw1", "master", "fw1", 5, 1)
        lab.start("fw2", "backup", "fw1", 5, 1)
        lab.take_addresses("fw1")
        lab.wait_in_sync()
        outside = lab.spawn("s", SERVER, "10.2.0.100", str(SIZE))
        inside = lab.spawn("c", SERVER, "10.1.0.10", str(SIZE))
        for server in (outside, inside):
            assert server.stdout.readline().strip() == "ready"

        # The same kind of transfer before anything happens: the payload is translated, its length changes.
        active, passive = Ftp(lab, "c", "10.2.0.100", "active"), Ftp(lab, "s", "10.2.0.254", "passive")
        for ftp in (active, passive):
            ftp.do("announce")
            ftp.fetched("fetch whole")
        wait_for("both helpers are known", lambda: len([f for f in lab.ask("fw2", "flows")
                                                        if f.get("helper") == "ftp" and not f.get("expected")]) == 2, 5)
        # What has come is no longer expected.
        wait_same_expectations(lab, 0)

        # Announced here, fetched there.
        for ftp in (active, passive):
            ftp.do("announce")
        wait_same_expectations(lab, 2)
        no_difference(lab)
        power_loss(lab, "fw1", "fw2", 6, 2)
        for ftp in (active, passive):
            ftp.fetched("fetch whole")
        print("announced before a power loss, fetched after it: active through source NAT, passive through destination NAT")
        # The other firewall's helper and sequence numbers serve the same control connection.
        for ftp in (active, passive):
            ftp.do("announce")
            ftp.fetched("fetch whole")
        power_back(lab, "fw1", "fw2", 6, 2)

        # A data connection in its middle, a transfer announced by others: a hand-over back.
        second = Ftp(lab, "c", "10.2.0.100", "active")
        for ftp in (active, passive):
            ftp.do("announce")
            ftp.do("begin slow")
        second.do("announce")
        wait_same_expectations(lab, 1)
        wait_for("the data connections are on fw1, related", lambda: len(children(lab, "fw1")) == 2 and len(
            [f for f in lab.ask("fw1", "flows") if f.get("master") and f.get("state") == "ESTABLISHED"]) == 2, 5)
        lab.carpds["fw1"].become_master(7, 1, "fw1", old="fw2", reason="HANDOVER")
        lab.take_addresses("fw1")
        lab.carpds["fw2"].become_backup(7, 1, "fw1")
        for server in (outside, inside):
            server.stdin.write("go\n")
            server.stdin.flush()
        for ftp in (active, passive):
            # What `begin` has read counts.
            ftp.fetched("finish")
        second.fetched("fetch whole")
        print("data connections in their middle and an announced one survive a hand-over")
        # And once more by a loss, so that the sequence numbers shifted on two firewalls are carried on.
        lab.wait_in_sync()
        for ftp in (active, passive, second):
            ftp.do("announce")
        wait_same_expectations(lab, 3)
        power_loss(lab, "fw1", "fw2", 8, 2)
        for ftp in (active, passive, second):
            ftp.fetched("fetch whole")
        print("and once more after two changes of the master: 3 sessions, 3 transfers")


if __name__ == "__main__":
    sys.exit(main())
