"""`carpool sync verify`: own table and kernel, the peer's table and kernel; `sync resync` repairs."""
import json
import os
import subprocess
import sys

from sync_lab import Lab, run, wait_for

CARPOOL = os.environ.get("CARPOOL_COMMAND", "build/ctl/carpool")


def verify(lab, node, *more):
    return run("ip", "netns", "exec", lab.ns[node], CARPOOL, "sync", "verify", "--runtime-dir",
               lab.runtime(node), *more, check=False)


def expect_equal(lab, node):
    done = verify(lab, node, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)["verify"]
    assert answer["equal"] and not answer["differences"] and not answer["unproven"], answer
    return answer


def expect_differences(lab, node, wanted):
    done = verify(lab, node, "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    answer = json.loads(done.stdout)["verify"]
    got = {(d["node"], d["where"], d["kind"], d["orig"].get("sport"), tuple(d["fields"]))
           for d in answer["differences"]}
    assert got == wanted, (got, wanted)
    assert answer["passes"] == 3 and answer["unlisted"] == 0, answer
    return verify(lab, node)


def insert(lab, node, sport, mark=0, proto="tcp"):
    state = "--state ESTABLISHED -u SEEN_REPLY,ASSURED" if proto == "tcp" else "-u SEEN_REPLY"
    lab.sh(node, f"conntrack -I -p {proto} -s 10.1.0.10 -d 10.2.0.100 --sport {sport} --dport 80 "
                 f"-r 10.2.0.100 -q 10.1.0.10 --reply-port-src 80 --reply-port-dst {sport} "
                 f"--src-nat 10.2.0.254 -t 600 {state} -m {mark}")


def main():
    with Lab() as lab:
        lab.start("fw1", "master", "fw1", 5, 1)
        lab.start("fw2", "backup", "fw1", 5, 1)
        lab.wait_in_sync()
        for sport in range(1001, 1011):
            insert(lab, "fw1", sport, mark=sport % 3, proto="udp" if sport == 1010 else "tcp")
        wait_for("ten flows on fw2", lambda: len(lab.flows_through("fw2")) == 10)
        for node in ("fw1", "fw2"):
            assert expect_equal(lab, node)["flows"] == 10
        print("equal, from either side")

        # Behind syncd's back in the standby's kernel: one gone, one changed, one more.
        lab.sh("fw2", "conntrack -D -p tcp --orig-port-src 1003")
        lab.sh("fw2", "conntrack -D -p tcp --orig-port-src 1004")  # -U does not take a flow with NAT
        insert(lab, "fw2", 1004, mark=77)
        insert(lab, "fw2", 2000)
        wanted = {("fw2", "kernel", "missing", 1003, ()), ("fw2", "kernel", "differs", 1004, ("mark",)),
                  ("fw2", "kernel", "extra", 2000, ())}
        for node in ("fw1", "fw2"):
            text = expect_differences(lab, node, wanted).stdout
            for words in ("kernel of fw2 lacks: ", "kernel of fw2 differs in mark: ",
                          "kernel of fw2 has in addition: ", "sport=1003", "sport=1004", "sport=2000", "NOT EQUAL"):
                assert words in text, text
        print("what was changed in the standby's kernel is named, from either side")

        # The standby's resync tells its kernel everything again; what is foreign is the operator's.
        lab.ask("fw2", "resync")
        lab.sh("fw2", "conntrack -D -p tcp --orig-port-src 2000")
        wait_for("repaired", lambda: verify(lab, "fw2").returncode == 0)
        expect_equal(lab, "fw1")
        assert len(lab.flows_through("fw2")) == 10

        # Both have given away one translated port, as two masters do: the source's flow has it.
        for node, sport in (("fw2", 3001), ("fw1", 3002)):
            lab.sh(node, f"conntrack -I -p tcp -s 10.1.0.10 -d 10.2.0.100 --sport {sport} --dport 80 -r 10.2.0.100 "
                         f"-q 10.1.0.10 --reply-port-src 80 --reply-port-dst {sport} --src-nat 10.2.0.254:5000 "
                         "-t 600 --state ESTABLISHED -u SEEN_REPLY,ASSURED")
        wait_for("the source's flow has the port", lambda: [
            f["tuples"][2] for f in lab.flows_through("fw2").values() if ("dport", "5000") in f["tuples"]] == [("sport", "3002")])
        assert lab.metrics("fw2")["clashes_settled"] == 1, lab.metrics("fw2")
        for node in ("fw1", "fw2"):
            expect_equal(lab, node)
        print("a clash on a reply tuple is settled")

        # While the table moves nothing is named that was only on its way.
        churn = subprocess.Popen(["ip", "netns", "exec", lab.ns["fw1"], "sh", "-c", """
            while :; do for p in 1 2 3 4 5 6 7 8; do
              conntrack -I -p udp -s 10.1.0.10 -d 10.2.0.100 --sport 400$p --dport 9 -r 10.2.0.100 -q 10.1.0.10 \\
                --reply-port-src 9 --reply-port-dst 400$p -t 600
              conntrack -D -p udp --orig-port-src 400$p; done; done"""],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lab.others.append(churn)
        for node in ("fw1", "fw2", "fw1"):
            expect_equal(lab, node)
        churn.kill()
        churn.wait()
        print("equal on a moving table")

        # A peer that is not there proves nothing.
        lab.procs["fw2"].kill()
        wait_for("fw2 is gone", lambda: not lab.status("fw1")["peers"][0]["connected"])
        done = verify(lab, "fw1")
        assert done.returncode == 1 and "not proven: fw2: not connected" in done.stdout, done.stdout


if __name__ == "__main__":
    sys.exit(main())
