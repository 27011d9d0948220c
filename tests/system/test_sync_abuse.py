"""Strangers on the sync port, wrong keys, restarts of either side: the running session does not
notice, memory stays bounded, everything has a named reason, nothing is lost."""
import os
import random
import signal
import sys
import time

from sync_lab import Lab, wait_for

BULK = os.environ.get("SYNC_BULK_TOOL", "build/tests/system/sync_bulk")
SANITIZED = os.environ.get("SANITIZED", "none") != "none"
FLOWS = 5000

FLOOD = r"""
import os, socket, sys, time
source, target, kind, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
end = time.monotonic() + seconds
kept = []
count = 0
while time.monotonic() < end:
    s = socket.socket()
    s.settimeout(1)
    try:
        s.bind((source, 0))
        s.connect((target, 3780))
        if kind == "garbage":
            s.sendall(os.urandom(2000))
        elif kind == "http":
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        elif kind == "hello":      # the head of a TLS ClientHello, and never more
            s.sendall(bytes.fromhex("160301020001fc0303"))
        if kind in ("half-open", "hello"):
            kept.append(s)
            if len(kept) > 200: kept.pop(0).close()
        else:
            s.close()
    except OSError:
        pass
    count += 1
print(count)
"""


def bulk(lab, node, *args):
    out = lab.sh(node, f"{BULK} {' '.join(map(str, args))}", check=False).stdout.split()
    assert out and out[1] == "0", out


def closed(lab, node):
    return lab.metrics(node)["connections_closed"]


def same_count(lab):
    return lab.status("fw1")["flows"] == lab.status("fw2")["flows"] == FLOWS


def strangers(lab):
    """fw1 dials, so fw2 answers: the flood comes from the other side of its own link."""
    before = closed(lab, "fw2"), lab.rss_kb("fw2"), lab.metrics("fw2")["peers"][0]["received"]
    expected = {"garbage": "HANDSHAKE_REFUSED", "http": "HANDSHAKE_REFUSED",
                "hello": "TOO_MANY", "half-open": "TOO_MANY"}
    for kind, reason in expected.items():
        was = closed(lab, "fw2")[reason]
        flood = lab.spawn("fw1", FLOOD, "10.9.9.1", "10.9.9.2", kind, "1.5")
        while flood.poll() is None:
            assert lab.status("fw2")["peers"][0]["connected"]
            time.sleep(0.05)
        count = int(flood.stdout.read())
        wait_for(f"{kind} is refused as {reason}", lambda: closed(lab, "fw2")[reason] > was, 5)
        print(f"flood of {kind}: {count} connections, "
              f"{closed(lab, 'fw2')[reason] - was} {reason}")
    # From an address that no node has.
    lab.ip("fw1", "addr", "add", "10.9.9.77/24", "dev", "sync0")
    flood = lab.spawn("fw1", FLOOD, "10.9.9.77", "10.9.9.2", "garbage", "0.5")
    flood.wait(10)
    wait_for("UNKNOWN_ADDRESS", lambda: closed(lab, "fw2")["UNKNOWN_ADDRESS"] > 0, 5)
    # One that says nothing at all ends by its deadline.
    lab.spawn("fw1", "import socket,time; s = socket.create_connection(('10.9.9.2', 3780)); "
              "time.sleep(20)")
    wait_for("handshakes end by themselves", lambda: closed(lab, "fw2")["HANDSHAKE_LATE"] > 0, 8)
    after = closed(lab, "fw2")
    assert after["REPLACED"] == before[0]["REPLACED"] == 0
    assert after["SESSION"] == before[0]["SESSION"], (before[0], after)
    # (An address sanitizer keeps freed memory.)
    assert SANITIZED or lab.rss_kb("fw2") - before[1] < 20000, (before[1], lab.rss_kb("fw2"))
    lines = [l for l in lab.log("fw2").splitlines() if "closed:" in l]
    assert any("HANDSHAKE_REFUSED" in l for l in lines) and len(lines) < 100, len(lines)
    # The session went on through all of it.
    bulk(lab, "fw1", "touch", 100)
    wait_for("changes still arrive",
             lambda: lab.metrics("fw2")["peers"][0]["received"] > before[2] and
             lab.in_sync("fw1"), 5)


def wrong_key(lab):
    lab.stop_syncd("fw1", signal.SIGKILL)
    wrong = lab.write_config(name="wrong.key", yaml="wrong.yaml")
    was = closed(lab, "fw2")["HANDSHAKE_REFUSED"]
    lab.start_syncd("fw1", os.path.basename(wrong))
    wait_for("the wrong key is refused", lambda: closed(lab, "fw2")["HANDSHAKE_REFUSED"] > was)
    assert not lab.status("fw1")["peers"][0]["connected"]
    assert lab.status("fw2")["flows"] == FLOWS
    wait_for("fw2 is not ready", lambda: not lab.carpds["fw2"].ready())
    assert "SYNC_NOT_CONNECTED" in lab.carpds["fw2"].health[-1]["not_ready"]
    lab.stop_syncd("fw1", signal.SIGKILL)


def rotation(lab):
    """A new key is added second everywhere, made first everywhere, the old one removed."""
    old, new = "edge.key", "wrong.key"
    for name, keys in (("old-new.yaml", [old, new]), ("new-old.yaml", [new, old])):
        with open(os.path.join(lab.dir, "cluster.yaml"), encoding="ascii") as file:
            text = file.read().replace("keys: [edge.key]", f"keys: [{', '.join(keys)}]")
        path = os.path.join(lab.dir, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o644)
    lab.start_syncd("fw1", "new-old.yaml")  # dials with a key that fw2 does not have yet
    lab.wait_in_sync()
    print("the dialling node falls back to a key that its peer has")


def restarts(lab):
    for node in ("fw2", "fw1"):
        for sig in (signal.SIGKILL, signal.SIGTERM):
            if node == "fw1" and sig == signal.SIGTERM:
                continue  # it waits for carpd: test_sync_flows.py
            lab.stop_syncd(node, sig)
            before = {n: int(lab.sh(n, "cat /proc/sys/net/netfilter/nf_conntrack_count").stdout)
                      for n in ("fw1", "fw2")}
            gone = 0
            if node == "fw2":
                bulk(lab, "fw1", "delete", 100)  # while it is away
                gone = 100
            assert before["fw1"] >= FLOWS and before["fw2"] >= FLOWS, before
            lab.start_syncd(node)
            lab.wait_in_sync()
            wait_for("swept and equal", lambda: lab.status("fw1")["flows"] ==
                     lab.status("fw2")["flows"] == FLOWS - gone, 10)
            count = int(lab.sh("fw2", "conntrack -L 2>/dev/null | grep -c 'dport=77'").stdout)
            assert count == FLOWS - gone, count
            if gone:
                bulk(lab, "fw1", "create", 100)
                wait_for("whole again", lambda: same_count(lab), 10)
            print(f"{node} restarted after {sig.name}: {FLOWS - gone} flows in both kernels")


def carpd_away(lab):
    carpd1 = lab.carpds["fw1"]
    carpd1.close()
    wait_for("frozen", lambda: lab.status("fw1")["groups"][0]["role"] == "frozen")
    bulk(lab, "fw1", "touch", 50)
    assert lab.status("fw1")["flows"] == FLOWS
    carpd1.open()
    wait_for("active again", lambda: lab.status("fw1")["groups"][0]["role"] == "active")
    lab.wait_in_sync()
    assert same_count(lab)
    print("carpd restarted: frozen, then the source again, nothing lost")


def losses(lab):
    """Events are lost when nobody reads them: a stopped syncd on a socket of limited size."""
    pid = lab.syncd_pid("fw1")
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(60):
            bulk(lab, "fw1", "touch", FLOWS)
        bulk(lab, "fw1", "delete", 500)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for("the losses are noticed", lambda: lab.metrics("fw1")["kernel_events_lost"] > 0, 10)
    wait_for("and repaired", lambda: lab.status("fw1")["flows"] ==
             lab.status("fw2")["flows"] == FLOWS - 500, 15)
    print(f"{lab.metrics('fw1')['kernel_events_lost']} events lost and repaired by a dump")


def main():
    random.seed(1)
    with Lab() as lab:
        lab.start("fw1", "master", "fw1", 5, 1)
        lab.start("fw2", "backup", "fw1", 5, 1)
        lab.wait_in_sync()
        bulk(lab, "fw1", "create", FLOWS)
        wait_for("all flows on both", lambda: same_count(lab))
        strangers(lab)
        restarts(lab)
        carpd_away(lab)
        wrong_key(lab)
        rotation(lab)
        losses(lab)


if __name__ == "__main__":
    sys.exit(main())
