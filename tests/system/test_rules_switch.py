"""The load and the switch when others meddle: what is refused, noticed, repaired, and left alone."""
import os
import re
import subprocess
import threading

from rules_lab import TOOL, asleep, interfaces, main, run, sections

MASTER = """
table inet fw {
	set blocked { type ipv4_addr; }
	chain forward { type filter hook forward priority filter; policy drop; ct state established accept; }
	chain post { type nat hook postrouting priority srcnat; oifname "wan0" snat ip to 10.2.0.254; }
}
"""
BACKUP = "table inet quiet { chain input { type filter hook input priority filter; policy accept; }\n}\n"


def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    return os.path.abspath(name)


def load(fails=False, master=MASTER, backup=BACKUP, names="lan0,wan0"):
    return run(TOOL, "load", "edge", write("fw.nft", master), write("standby.nft", backup), names,
               "10.1.0.254/24,10.2.0.254/24", "m", fails=fails)


def ready():
    interfaces("lan0", "wan0")
    return load()


def backup_holds():
    assert not asleep("inet", "carpool_edge")
    assert not asleep("inet", "quiet")


def foreign_table_is_refused():
    interfaces("lan0", "wan0")
    run("nft", "add", "table", "inet", "fw")
    run("nft", "add", "table", "ip", "docker")
    before = run("nft", "list", "ruleset")
    said = load(fails=True)
    assert "table inet fw is in the kernel already and is not carpool's" in said, said
    assert run("nft", "list", "ruleset") == before
    run("nft", "delete", "table", "inet", "fw")
    load()
    assert "table ip docker {" in run("nft", "list", "ruleset")


def other_groups_table_is_refused():
    ready()
    said = run(TOOL, "load", "guests", write("g.nft", MASTER), "-", "lan0", "-", "g", fails=True)
    assert 'as "carpool edge master"' in said, said


def deleted_master_table_refuses_the_promotion():
    ready()
    for delete in ("table inet fw", None):
        if delete:
            run("nft", "delete", *delete.split())
        assert run(TOOL, "master", "m", fails=True) == "backup missing\n"
        assert "table inet fw" not in run("nft", "list", "tables"), "a ghost was made"
        backup_holds()
    # Somebody puts another one in its place: still not ours.
    run("nft", "add", "table", "inet", "fw")
    assert run(TOOL, "master", "m", fails=True) == "backup missing\n"
    backup_holds()


def deleted_under_an_open_switch():
    """The prepared batch itself must fail, as the switch is open and has looked already."""
    ready()
    with subprocess.Popen([TOOL, "watch", "m"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as w:
        assert w.stdout.readline() == "watching\n"
        run("nft", "add", "table", "ip", "docker")
        assert w.stdout.readline() == "backup ok: \n"
        run("nft", "add", "element", "inet", "fw", "blocked", "{ 192.0.2.1 }")
        assert w.stdout.readline() == "backup ok: \n"
        run("nft", "add", "rule", "inet", "fw", "forward", "accept")
        line = w.stdout.readline()
        assert re.fullmatch(r"backup changed: nft \(\d+\) added a rule\n", line), line
        run("nft", "flush", "ruleset")
        line = w.stdout.readline()
        assert re.fullmatch(r"backup missing: nft \(\d+\) deleted a .*\n", line), line
        w.stdin.close()


def flush_by_somebody_else():
    ready()
    assert run(TOOL, "master", "m") == "master ok\n"
    run("nft", "flush", "ruleset")
    assert run(TOOL, "verify", "m", fails=True) == "backup missing\n"
    # A demotion makes the shield again, without nft; what it cannot make, it leaves away.
    run(TOOL, "backup", "m")
    want = ["table inet carpool_edge"]
    assert run("nft", "list", "tables").splitlines() == want
    assert not asleep("inet", "carpool_edge")
    assert run(TOOL, "master", "m", fails=True) == "backup missing\n"
    load()
    assert run(TOOL, "master", "m") == "master ok\n"


def damaged_shield_is_made_again():
    ready()
    assert run(TOOL, "master", "m") == "master ok\n"
    run("nft", "delete", "table", "inet", "carpool_edge")
    run("nft", "add", "table", "inet", "carpool_edge", "{ flags dormant; }")
    run(TOOL, "backup", "m")
    assert "fib daddr type local accept" in run("nft", "list", "table", "inet", "carpool_edge")
    backup_holds()
    assert asleep("inet", "fw")


def foreign_rule_is_noticed():
    ready()
    run("nft", "add", "rule", "inet", "fw", "forward", "accept")
    assert run(TOOL, "verify", "m", fails=True) == "backup changed\n"
    assert run(TOOL, "master", "m", fails=True) == "backup changed\n"
    backup_holds()
    assert run(TOOL, "master!", "m") == "master ok\n"  # the caller's choice: availability first
    assert run(TOOL, "backup", "m") == "backup ok\n"
    backup_holds()
    assert asleep("inet", "fw")
    for change in ("chain inet fw forward { policy accept; }", "set inet fw more { type mark; }",
                   "chain inet fw added"):
        load()
        assert run(TOOL, "verify", "m") == "backup ok\n"
        run("nft", "add", *change.split(" ", 1))
        assert run(TOOL, "verify", "m", fails=True) == "backup changed\n", change


def packets_and_elements_are_no_change():
    ready()
    run("nft", "add", "element", "inet", "fw", "blocked", "{ 192.0.2.1 }")
    run("nft", "add", "table", "ip", "docker")
    run("nft", "add", "chain", "ip", "docker", "x")
    assert run(TOOL, "verify", "m") == "backup ok\n"
    assert run(TOOL, "master", "m") == "master ok\n"


def reload_on_a_master_steps_back_first():
    ready()
    assert run(TOOL, "master", "m") == "master ok\n"
    load(master=MASTER.replace("established", "established,related"))
    backup_holds()
    assert asleep("inet", "fw")
    assert "related" in run("nft", "list", "table", "inet", "fw")
    assert run(TOOL, "master", "m") == "master ok\n"


def wrong_files_say_where():
    interfaces("lan0", "wan0")
    cases = (
        ("table inet fw {\n\tchain x {\n\t\ttcp dport 99999 accept\n\t}\n}\n", BACKUP,
         r"/fw\.nft:3:\d+: Service out of range"),
        ("table inet fw {\n\tchain x {\n\t\tiif \"nosuch0\" accept\n\t}\n}\n", BACKUP,
         r"/fw\.nft:3:\d+: Interface does not exist"),
        ("include \"missing.nft\"\n", BACKUP, r"/fw\.nft:1:\d+: File not found"),
        (MASTER, "\n" + MASTER, r"/standby\.nft:3:1: table inet fw is in the master's file .*too"),
        ("table inet carpool_x {\n}\n", BACKUP, r"/fw\.nft:1:1: table inet carpool_x: .*carpool's own"),
        ("table inet x {\n\tset carpool_canary { type mark; }\n}\n", BACKUP,
         r"/fw\.nft:2:1: table inet x: .*carpool's own"),
        ("table inet x {\n\tflowtable f { hook ingress priority 0; devices = { lan0 }; }\n}\n", BACKUP,
         r"/fw\.nft:\d+:\d+: .*(flowtable|Operation not supported|No such file)"),
        ("table inet x {\n\tchain c { type filter hook forward priority 0; queue num 1; }\n}\n", BACKUP,
         None),
    )
    for master, backup, want in cases:
        said = load(fails=None if want is None else True, master=master, backup=backup)
        if want is None and not re.search(r":2:\d+: ", said):
            continue  # this kernel has NFT_QUEUE
        assert want is None or re.search(want, said), f"{want}\n{said}"
        assert run("nft", "list", "tables") == "", said


def what_nft_does_not_read_again_is_named():
    """nft 1.0.6 lists a map of DSCP in a form that it refuses; another version may know better."""
    interfaces("lan0", "wan0")
    said = load(fails=None, master="table inet q {\n\tmap classes {\n\t\ttype dscp : mark\n\t\telements = { ef : 0xa }\n\t}\n"
                "\tchain c {\n\t\tmeta mark set ip dscp map @classes\n\t}\n}\n")
    assert re.search(r"fw\.nft: cannot be held asleep: this nft lists \".*@classes\" and does not read that again", said) \
        or re.fullmatch(r"[0-9a-f]{64}\n", said), said


def compiles_without_privilege():
    interfaces("lan0", "wan0")
    os.chmod(".", 0o755)
    path = write("fw.nft", MASTER)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", TOOL, "text",
                           "master", "edge", path, "-", "lan0,wan0"], capture_output=True, text=True, timeout=60)
    if "needs CAP_SYS_ADMIN or user namespaces" in done.stderr:
        print("  skipped: no user namespaces here")
        return
    assert done.returncode == 0, done.stderr
    assert "table inet fw {" in done.stdout


def fingerprints():
    interfaces("lan0", "wan0", "ens3")
    text = MASTER + 'table inet more {\n\tset s { type ipv4_addr; elements = { %s }; }\n' \
        '\tchain c { type filter hook input priority 0; iifname { "%s", "wan0" } counter %s accept; }\n}\n'
    one = load(master=text % ("10.0.0.1, 10.0.0.2", "lan0", "packets 5 bytes 6"), names="lan0,wan0")
    two = load(master=text % ("10.0.0.2, 10.0.0.1", "ens3", ""), names="ens3=lan0,wan0")
    three = load(master=text % ("10.0.0.2, 10.0.0.3", "lan0", ""), names="lan0,wan0")
    four = load(master=text % ("10.0.0.1, 10.0.0.2", "lan0", ""), backup=BACKUP.replace("accept", "drop"))
    assert len(one) == 65
    assert one == two, "names, order and counters must not count"
    assert len({one, three, four}) == 3


def many_flips():
    ready()
    for line in run(TOOL, "flip", "2000", "m").splitlines():
        print("  " + line)
    assert run(TOOL, "verify", "m") == "backup ok\n"


def switches_among_foreign_commits():
    """Somebody commits all the time: batches are refused, looked at again, and go through."""
    ready()
    stop = threading.Event()
    commits = []

    def hammer():
        while not stop.is_set():
            commits.append(subprocess.run(["nft", "-f", "-"], text=True, input="add table ip busy\ndelete table ip busy\n"
                                          "add table ip busy\nadd chain ip busy x\nadd rule ip busy x accept\n").returncode)
    hammers = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in hammers:
        thread.start()
    try:
        run(TOOL, "flip", "300", "m")
    finally:
        stop.set()
        for thread in hammers:
            thread.join()
    print(f"  {len(commits)} foreign commits")
    assert len(commits) > 20 and 0 in commits
    assert run(TOOL, "verify", "m") == "backup ok\n"
    run("nft", "delete", "table", "ip", "busy")


def a_wake_that_the_kernel_refuses_leaves_the_backup():
    """A place has room for 1,024 hooks (net/netfilter/core.c): somebody has taken them all, and waking fails."""
    ready()
    run("nft", "-f", "-", text="table inet crowd {\n" + "".join(
        f"chain c{i} {{ type filter hook forward priority 1; }}\n" for i in range(1024)) + "}\n")
    said = run(TOOL, "master", "m", fails=True)
    assert said == "backup failed\nArgument list too long\n", said
    backup_holds()
    assert asleep("inet", "fw")
    run("nft", "delete", "table", "inet", "crowd")
    assert run(TOOL, "master", "m") == "master ok\n"


def unload_takes_only_ours():
    ready()
    run("nft", "add", "table", "ip", "docker")
    run(TOOL, "unload", "m")
    assert run("nft", "list", "tables") == "table ip docker\n"
    assert list(sections(run("nft", "list", "ruleset"))) == ["table ip docker {"]


main([foreign_table_is_refused, other_groups_table_is_refused, deleted_master_table_refuses_the_promotion,
      deleted_under_an_open_switch, flush_by_somebody_else, damaged_shield_is_made_again,
      foreign_rule_is_noticed, packets_and_elements_are_no_change, reload_on_a_master_steps_back_first,
      switches_among_foreign_commits, wrong_files_say_where, what_nft_does_not_read_again_is_named, compiles_without_privilege, fingerprints, many_flips,
      a_wake_that_the_kernel_refuses_leaves_the_backup, unload_takes_only_ours])
