"""Real flows on one firewall appear in the other's kernel, survive a promotion, and go again.

TCP and UDP through source NAT, IPv6, a mark, window scales; deletes; a TCP connection that goes on
through the other firewall after a promotion; hand-over with its tail; re-timing and strictness."""
import sys
import time

from sync_lab import Lab, wait_for

SERVER = r"""
import socket, threading, sys
def tcp(family, address, port):
    s = socket.socket(family, socket.SOCK_STREAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port)); s.listen(50)
    def serve(c):
        try:
            while True:
                d = c.recv(65536)
                if not d: break
                c.sendall(d)
        except OSError: pass
        c.close()
    while True:
        c, _ = s.accept(); threading.Thread(target=serve, args=(c,), daemon=True).start()
def udp(family, address, port):
    s = socket.socket(family, socket.SOCK_DGRAM); s.bind((address, port))
    while True:
        d, a = s.recvfrom(2048); s.sendto(d, a)
jobs = [(tcp, socket.AF_INET, "0.0.0.0", 7777), (tcp, socket.AF_INET, "0.0.0.0", 7778),
        (udp, socket.AF_INET, "0.0.0.0", 7779), (tcp, socket.AF_INET6, "::", 7780)]
for f, *a in jobs:
    threading.Thread(target=f, args=a, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""

# One echo a line on standard input: "ok" or the error.
CLIENT = r"""
import socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(5)
try:
    s.connect((address, port))
    print("ready", flush=True)
    for line in sys.stdin:
        data = line.encode()
        s.sendall(data)
        got = b""
        while len(got) < len(data):
            part = s.recv(65536)
            if not part: raise OSError("closed")
            got += part
        print("ok", flush=True)
except OSError as error:
    print("error", error, flush=True)
"""


class Client:
    def __init__(self, lab, kind, address, port):
        self.proc = lab.spawn("c", CLIENT, kind, address, str(port))
        self.expect("ready")

    def expect(self, what):
        got = self.proc.stdout.readline().strip()
        assert got == what, f"{got!r} instead of {what!r}"

    def echo(self, text="hello"):
        self.proc.stdin.write(text + "\n")
        self.proc.stdin.flush()
        self.expect("ok")

    def end(self):
        self.proc.stdin.close()
        self.proc.wait(5)


def same_tables(lab, source="fw1", standby="fw2"):
    ours, theirs = lab.flows_through(source), lab.flows_through(standby)
    return set(ours) == set(theirs) and all(
        ours[k]["state"] == theirs[k]["state"] and ours[k]["mark"] == theirs[k]["mark"] and
        ours[k]["assured"] == theirs[k]["assured"] for k in ours)


def differences(lab):
    ours, theirs = lab.flows_through("fw1"), lab.flows_through("fw2")
    return "\n".join([f"only fw1: {ours[k]['line']}" for k in set(ours) - set(theirs)] +
                     [f"only fw2: {theirs[k]['line']}" for k in set(theirs) - set(ours)] +
                     [f"{ours[k]['line']}\n{theirs[k]['line']}" for k in set(ours) & set(theirs)])


def wait_same(lab):
    try:
        wait_for("the same flows in both kernels", lambda: same_tables(lab), 5)
    except AssertionError:
        print(differences(lab))
        raise


def main():
    with Lab(extra="  liberal_grace: 3s") as lab:
        carpd1 = lab.start("fw1", "master", "fw1", 5, 1)
        carpd2 = lab.start("fw2", "backup", "fw1", 5, 1)
        lab.take_addresses("fw1")
        lab.wait_in_sync()
        wait_for("fw2 is ready", carpd2.ready)
        server = lab.spawn("s", SERVER)
        assert server.stdout.readline().strip() == "ready"

        chat = Client(lab, "tcp", "10.2.0.100", 7777)
        marked = Client(lab, "tcp", "10.2.0.100", 7778)
        datagrams = Client(lab, "udp", "10.2.0.100", 7779)
        six = Client(lab, "tcp", "fd02::100", 7780)
        for client in (chat, marked, datagrams, six):
            for _ in range(3):
                client.echo()
        wait_same(lab)
        flows = lab.flows_through("fw2")
        assert len(flows) == 4, differences(lab)
        assert any(f["mark"] == 0x77 for f in flows.values()), flows
        assert any("10.2.0.254" in str(f["tuples"]) for f in flows.values()), flows
        assert any(f["src"].startswith("fd01") for f in flows.values()), flows
        # Held: a day more than the source has.
        for key, flow in lab.flows_through("fw1").items():
            more = flows[key]["timeout"] - flow["timeout"]
            assert 86300 < more <= 86400 + 130, (flow["line"], flows[key]["line"])
        listed = lab.ask("fw2", "flows")
        assert len(listed) == 4 and all(f["group"] == "edge" for f in listed), listed
        scaled = [f for f in listed if f["proto"] == "tcp"]
        assert all(f.get("wscale", [0, 0])[0] > 0 for f in scaled), scaled
        print("4 flows are the same in both kernels; mark, NAT, IPv6, window scales, hold")

        # What ends on the source ends on the standby.
        lab.sh("fw1", "conntrack -D -p udp")
        datagrams.proc.kill()
        wait_same(lab)
        assert len(lab.flows_through("fw2")) == 3

        # Power loss: fw1 is cut off; fw2 is promoted; the connections go on.
        for port in ("fw1lan0", "fw1wan0"):
            lab.ip("sw", "link", "set", port, "down")
        lab.ip("fw1", "link", "set", "sync0", "down")
        walks = lab.metrics("fw2")["walks"]
        ms = carpd2.become_master(6, 2, "fw2")
        lab.take_addresses("fw2")
        print(f"become_master answered after {ms:.2f} ms (through python), "
              f"{lab.metrics('fw2')['promotion_us']} us by its own clock")
        chat.echo("after the promotion")
        marked.echo()
        six.echo()
        wait_for("re-timed", lambda: all(f["timeout"] <= 432000 or f["proto"] != "tcp"
                                         for f in lab.flows_through("fw2").values()), 5)
        assert lab.metrics("fw2")["retimed"] >= 3
        # Few flows in a large hash: a dump would hold a processor for all of its empty buckets.
        assert lab.metrics("fw2")["walks"] == walks, lab.metrics("fw2")
        wait_for("strict again after liberal_grace",
                 lambda: lab.metrics("fw2")["made_strict"] >= 3, 8)
        chat.echo("strict")

        # fw1 comes back as a backup and takes over what fw2 has now.
        carpd1.become_backup(6, 2, "fw2", reason="DUAL_MASTER")
        for port in ("fw1lan0", "fw1wan0"):
            lab.ip("sw", "link", "set", port, "up")
        lab.ip("fw1", "link", "set", "sync0", "up")
        lab.wait_in_sync()
        wait_for("fw1 is ready", carpd1.ready)
        fresh = Client(lab, "tcp", "10.2.0.100", 7777)
        fresh.echo()
        wait_for("the new flow is on fw1", lambda: len(lab.flows_through("fw1")) ==
                 len(lab.flows_through("fw2")), 5)

        # Hand-over back: both are sources for a while; what comes in between is not lost.
        ms = carpd1.become_master(7, 1, "fw1", old="fw2", reason="HANDOVER")
        between = Client(lab, "tcp", "10.2.0.100", 7777)
        between.echo("seen by fw2 alone")
        lab.take_addresses("fw1")
        carpd2.become_backup(7, 1, "fw1")
        for client in (chat, marked, six, fresh, between):
            client.echo("after the hand-over")
        wait_for("the tail has ended", lambda: "tail had no end mark" not in lab.log("fw1") and
                 lab.in_sync("fw1"))
        print(f"hand-over: become_master answered after {ms:.2f} ms, 5 connections alive")
        for client in (chat, marked, six, fresh, between):
            client.end()
        wait_for("closed connections are closing on both",
                 lambda: not [f for f in lab.flows_through("fw2").values()
                              if f["state"] == "ESTABLISHED"], 5)
        assert lab.stop_syncd("fw2") == 0
        # An active syncd waits for carpd to become backup.
        began = time.monotonic()
        lab.procs["fw1"].terminate()
        time.sleep(0.3)
        assert lab.procs["fw1"].poll() is None
        carpd1.transition("become_backup", term=8, term_owner=2, reason="SHUTDOWN", to="fw2")
        assert lab.procs["fw1"].wait(3) == 0
        assert time.monotonic() - began < 3
        print("SIGTERM of the source waits for become_backup")


if __name__ == "__main__":
    sys.exit(main())
