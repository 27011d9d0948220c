"""Every ruleset of tests/system/rulesets, as a master's and as a backup's: compiled, held asleep, woken, put to sleep,
reloaded without a gap: always equal to plain `nft -f`. What this kernel cannot compile is skipped by name, and `check` says where."""
import os
import re
import shutil

from rules_lab import HERE, TOOL, asleep, interfaces, main, run, sections

CORPUS = os.path.join(HERE, "rulesets")
NAMES = ("lan0", "wan0", "dmz0")
# What this kernel or this nft cannot compile at all is skipped by nft's own words, never in silence.
CANNOT = ("Could not process rule: Operation not supported", "unsupported family")
# "No such file or directory" is what the kernel says of an expression that it was built without; it is taken for
# that only where the file is there for this very expression.
LACKING = {"queue.nft": "NFT_QUEUE", "synproxy.nft": "NFT_SYNPROXY", "flowtable.nft": "NF_FLOW_TABLE"}
BIG = int(os.environ.get("RULES_CORPUS_BIG", "2000"))  # rules, and as many elements: 20,000 in `./dev bench rules corpus`


def generated(rules, elements):
    """A big ruleset, as a program would write one."""
    lines = ["table inet big {"]
    lines += ["\tset addresses { type ipv4_addr; flags interval; elements = { "
              + ", ".join(f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(0, 2 * elements, 2))
              + " }; }"]
    lines += ["\tchain forward {", "\t\ttype filter hook forward priority filter; policy drop;",
              "\t\tip saddr @addresses drop"]
    lines += [f"\t\tip saddr 10.{i >> 8 & 255}.{i & 255}.0/24 tcp dport {1024 + i % 60000} counter accept"
              for i in range(rules)]
    return "\n".join(lines + ["\t}", "}"]) + "\n"


def same(got, want):
    """As they stand, but for the order of elements, which a hash decides, and where lists break their lines."""
    def plain(body):
        return sorted(re.sub(r"[\s,]+", " ", body).split())
    return got == want or {h: plain(b) for h, b in got.items()} == {h: plain(b) for h, b in want.items()}


def compare(path):
    """One file both ways: returns the tables that were compared."""
    folder = os.path.dirname(path)
    interfaces(*NAMES)
    plain = run("nft", "-I", folder, "-f", path, fails=None, folder=folder)
    if plain:
        lacking = LACKING.get(os.path.basename(path)) if "No such file or directory" in plain else None
        words = [c for c in CANNOT if c in plain]
        assert words or lacking, plain
        print(f"  skipped {os.path.basename(path)}: {'this kernel has no ' + lacking if lacking else 'nft: ' + words[0]}")
        said = run(TOOL, "text", "master", "edge", path, "-", ",".join(NAMES), fails=True)
        assert re.search(re.escape(os.path.basename(path)) + r":\d+:\d+: ", said), said
        return None
    want = sections(run("nft", "-s", "list", "ruleset"))
    owned_asleep = {head for head, body in want.items() if "\tflags dormant" in body}
    run("nft", "flush", "ruleset")
    as_master(path, want, owned_asleep)
    as_backup(path, want, owned_asleep)
    return list(want)


ADDRESSES = "10.1.0.254/24,fd01::fe/64"


def tool(verb, master, backup):
    return run(TOOL, verb, "edge", master, backup, ",".join(NAMES), ADDRESSES, "m")


def all_asleep(want, when):
    for head in want:
        assert asleep(*head.split()[1:3]), f"{head}: awake {when}"


def is_listed(want, owned_asleep, what):
    """Awake, all but what sleeps in the file itself, and to the letter what `nft -f` makes of it."""
    listing = run("nft", "-s", "list", "ruleset")
    assert "carpool_new_" not in listing, listing
    got = {h: b for h, b in sections(listing).items() if h in want}
    for head in owned_asleep:
        assert "\tflags dormant" in got[head], f"{head}: was woken against its file"
    assert same(got, want), f"{what}\nwant {want}\ngot {got}"


def as_master(path, want, owned_asleep):
    """The group's master file: awake on the master alone."""
    name = os.path.basename(path)
    tool("load", path, "-")
    all_asleep(want, "after the load")
    assert not asleep("inet", "carpool_edge"), "the shield sleeps after the load"
    for _ in range(2):
        assert run(TOOL, "master", "m") == "master ok\n"
        assert asleep("inet", "carpool_edge"), "the shield is awake on the master"
        is_listed(want, owned_asleep, name)
        assert run(TOOL, "backup", "m") == "backup ok\n"
        all_asleep(want, "on the backup")
        assert not asleep("inet", "carpool_edge")
    # Reloaded without a gap, as a backup and as a master: the very same again.
    for role in ("backup", "master"):
        run(TOOL, role, "m")
        said = tool("reload", path, "-")
        assert said.count(f"take-over {role} ok") == 2, said
        if role == "backup":
            all_asleep(want, "after a backup's reload")
        else:
            is_listed(want, owned_asleep, f"{name} reloaded as a master")
    run(TOOL, "backup", "m")
    run(TOOL, "unload", "m")
    assert run("nft", "list", "tables") == ""


def as_backup(path, want, owned_asleep):
    """The group's backup file: awake on the backup alone, behind the shield."""
    name = os.path.basename(path)
    with open("other.nft", "w") as file:
        file.write("table inet the_masters {\n\tchain c {\n\t\ttype filter hook forward priority 0\n\t}\n}\n")
    other = os.path.abspath("other.nft")
    tool("load", other, path)
    is_listed(want, owned_asleep, f"{name} as a backup's")
    assert run(TOOL, "master", "m") == "master ok\n"
    all_asleep(want, "on the master, as a backup's")
    assert run(TOOL, "backup", "m") == "backup ok\n"
    is_listed(want, owned_asleep, f"{name} as a backup's, once more")
    assert tool("reload", other, path).count("take-over backup ok") == 2
    is_listed(want, owned_asleep, f"{name} as a backup's, reloaded")
    run(TOOL, "unload", "m")
    assert run("nft", "list", "tables") == ""


def case_of(name):
    def case():
        compare(os.path.join(CORPUS, name))
    case.__name__ = name.replace(".nft", "").replace("-", "_")
    return case


IPTABLES = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i wan0 -d 10.2.0.254/32 -p tcp --dport 25 -j DNAT --to-destination 10.1.0.25:25
-A POSTROUTING -o wan0 -s 10.1.0.0/24 -j SNAT --to-source 10.2.0.254
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:LOGDROP - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m multiport --dports 22,3780 -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i lan0 -o wan0 -m comment --comment "the way out" -j ACCEPT
-A FORWARD -j LOGDROP
-A LOGDROP -m limit --limit 5/min -j LOG --log-prefix "dropped "
-A LOGDROP -j DROP
COMMIT
"""


def iptables_translated():
    """The way that doc/rules.md shows to those who come from iptables."""
    tool = shutil.which("iptables-restore-translate")
    if not tool:
        print("  skipped: no iptables-restore-translate (Debian: iptables)")
        return
    with open("rules.v4", "w") as file:
        file.write(IPTABLES)
    with open("fw.nft", "w") as file:
        file.write(run(tool, "-f", "rules.v4"))
    assert sorted(compare(os.path.abspath("fw.nft"))) == ["table ip filter {", "table ip nat {"]


def big(rules, elements):
    with open("big.nft", "w") as file:
        file.write(generated(rules, elements))
    assert compare(os.path.abspath("big.nft")) == ["table inet big {"]


def big_set_and_many_rules():
    big(BIG, BIG)


main([case_of(name) for name in sorted(os.listdir(CORPUS)) if name.endswith(".nft")]
     + [iptables_translated, big_set_and_many_rules])
