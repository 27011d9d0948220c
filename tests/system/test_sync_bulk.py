"""Many flows: full transfer, memory, lag under a rate of changes, promotion, re-timing, deletes.

The number of flows is what the machine's nf_conntrack_max allows (it is global and not ours to
change): at most SYNC_BULK (default 300000). The figures are printed."""
import os
import sys
import time

from sync_lab import Lab, wait_for

BULK = os.environ.get("SYNC_BULK_TOOL", "build/tests/system/sync_bulk")
SANITIZED = os.environ.get("SANITIZED", "none") != "none"


def bulk(lab, node, *args):
    out = lab.sh(node, f"{BULK} {' '.join(map(str, args))}", check=False)
    words = out.stdout.split()
    assert words and words[1] == "0", out.stdout + out.stderr
    return float(words[0])


def kernel_count(lab, node):
    return int(lab.sh(node, "cat /proc/sys/net/netfilter/nf_conntrack_count").stdout)


def flap(lab, mode, what, meanwhile):
    """The sync link goes down and comes up: how long, and how much is said."""
    lab.ip("fw1", "link", "set", "sync0", "down")
    wait_for("the dead peer is noticed on both sides",
             lambda: not lab.status("fw1")["peers"][0]["connected"] and
             not lab.status("fw2")["peers"][0]["connected"], 5)
    meanwhile()
    told = lab.metrics("fw1")["peers"][0]["bytes_out"]
    lab.ip("fw1", "link", "set", "sync0", "up")
    wait_for("connected again", lambda: lab.status("fw2")["peers"][0]["connected"], 10, 0.002)
    began = time.monotonic()
    wait_for("in sync again", lambda: lab.in_sync("fw1") and lab.in_sync("fw2"), 180)
    took_s = time.monotonic() - began
    told = lab.metrics("fw1")["peers"][0]["bytes_out"] - told
    print(f"{mode}: link flap, {what}: in sync {took_s:.2f} s after connecting, {told} bytes")
    if what == "equal tables":
        assert told < 1000000, told


def scenario(mode, count):
    with Lab(mode=mode, extra="  liberal_grace: 1s") as lab:
        lab.start("fw1", "master", "fw1", 5, 1)
        carpd2 = lab.start("fw2", "backup", "fw1", 5, 1)
        lab.wait_in_sync()
        empty = {node: lab.rss_kb(node) for node in ("fw1", "fw2")}

        # As fast as the kernel makes them, then until the standby has all.
        cpu = lab.cpu_s("fw1"), lab.cpu_s("fw2")
        began = time.monotonic()
        made_s = bulk(lab, "fw1", "create", count)
        wait_for("the standby has every flow", lambda: lab.status("fw2")["flows"] >= count and
                 lab.in_sync("fw1"), 180)
        all_s = time.monotonic() - began
        cpu = lab.cpu_s("fw1") - cpu[0], lab.cpu_s("fw2") - cpu[1]
        metrics = lab.metrics("fw1")
        print(f"{mode}: {count} flows made in {made_s:.2f} s, on the standby after {all_s:.2f} s; "
              f"source {cpu[0] * 1e6 / count:.2f} us, standby {cpu[1] * 1e6 / count:.2f} us a flow; "
              f"{metrics['peers'][0]['bytes_out'] / count:.1f} bytes a flow; "
              f"lost events {metrics['kernel_events_lost']}")
        for node in ("fw1", "fw2"):
            per_flow = (lab.rss_kb(node) - empty[node]) * 1024 / count
            print(f"{mode}: {node}: RSS {lab.rss_kb(node)} kB, {per_flow:.0f} bytes a flow")
            assert SANITIZED or per_flow <= 160, per_flow
        if mode == "warm":
            assert kernel_count(lab, "fw2") >= count, kernel_count(lab, "fw2")
        else:
            assert kernel_count(lab, "fw2") < 100

        # Lag at a steady rate of changes.
        lags, before = [], lab.cpu_s("fw1")
        touched = min(count, 60000)
        tool = lab.spawn("fw1", "import subprocess,sys;"
                         "subprocess.run(sys.argv[1:], check=True)", BULK, "touch", str(touched),
                         "20000")
        while tool.poll() is None:
            lags.append(lab.status("fw1")["peers"][0]["lag_ms"])
            time.sleep(0.05)
        assert tool.returncode == 0, tool.stderr.read()
        lags.sort()
        print(f"{mode}: 20000 changes/s: lag median {lags[len(lags) // 2]:.2f} ms, worst "
              f"{lags[-1]:.2f} ms, source {(lab.cpu_s('fw1') - before) * 1e6 / touched:.2f} us "
              f"an event")
        lab.wait_in_sync()

        # Reconnection: digests, and nothing else where nothing has changed.
        before = lab.metrics("fw2")["peers"][0]
        flap(lab, mode, "equal tables", lambda: None)
        after = lab.metrics("fw2")["peers"][0]
        assert after["compares"] > before["compares"], (before, after)
        assert after["differing"] == before["differing"], (before, after)
        # With what differs: nothing swept that lives.
        gone = 1000
        flap(lab, mode, f"{gone} flows gone", lambda: bulk(lab, "fw1", "delete", gone))
        wait_for("what ended meanwhile is swept",
                 lambda: lab.status("fw2")["flows"] == lab.status("fw1")["flows"], 10)
        assert lab.metrics("fw2")["swept"] >= gone, lab.metrics("fw2")["swept"]

        # Promotion.
        lab.ip("fw1", "link", "set", "sync0", "down")
        ms = carpd2.become_master(6, 2, "fw2")
        print(f"{mode}: become_master with {count - gone} flows: answered after {ms:.2f} ms "
              f"({lab.metrics('fw2')['promotion_us']} us by its own clock)")
        assert kernel_count(lab, "fw2") >= count - gone, kernel_count(lab, "fw2")
        if mode == "warm":
            assert lab.metrics("fw2")["promotion_us"] < (100000 if SANITIZED else 20000)
            began = time.monotonic()
            wait_for("every entry is re-timed",
                     lambda: lab.metrics("fw2")["retimed"] >= count - gone, 120)
            print(f"{mode}: re-timed within {time.monotonic() - began:.2f} s")
        wait_for("every entry is strict again",
                 lambda: lab.metrics("fw2")["made_strict"] >= count - gone, 120)
        out = lab.sh("fw2", "conntrack -L 2>/dev/null | awk '$3 > 432000' | wc -l")
        assert int(out.stdout) == 0, out.stdout


def main():
    with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as file:
        allowed = int(int(file.read()) * 0.85)
    count = min(int(os.environ.get("SYNC_BULK", "30000" if SANITIZED else "300000")), allowed)
    scenario("warm", count)
    scenario("on-promotion", count)


if __name__ == "__main__":
    sys.exit(main())
