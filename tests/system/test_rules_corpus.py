"""Every ruleset of tests/system/rulesets: compiled, held asleep, woken: equal to plain `nft -f`."""
import os

from rules_lab import HERE, TOOL, asleep, interfaces, main, run, sections

CORPUS = os.path.join(HERE, "rulesets")
NAMES = ("lan0", "wan0", "dmz0")
# What this kernel or this nft cannot compile at all is skipped by nft's own words, never in silence.
CANNOT = ("Could not process rule: Operation not supported", "unsupported family")


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


def compare(path, backup="-"):
    """One file both ways: returns the tables that were compared."""
    folder = os.path.dirname(path)
    interfaces(*NAMES)
    plain = run("nft", "-I", folder, "-f", path, fails=None, folder=folder)
    if plain:
        words = [c for c in CANNOT if c in plain]
        assert words, plain
        print(f"  skipped {os.path.basename(path)}: nft: {words[0]}")
        return None
    want = sections(run("nft", "-s", "list", "ruleset"))
    owned_asleep = {head for head, body in want.items() if "\tflags dormant" in body}
    run("nft", "flush", "ruleset")
    run(TOOL, "load", "edge", path, backup, ",".join(NAMES), "10.1.0.254/24,fd01::fe/64", "m")
    for head in want:
        assert asleep(*head.split()[1:3]), f"{head}: awake after the load"
    assert not asleep("inet", "carpool_edge"), "the shield sleeps after the load"
    for _ in range(2):
        assert run(TOOL, "master", "m") == "master ok\n"
        assert asleep("inet", "carpool_edge"), "the shield is awake on the master"
        got = sections(run("nft", "-s", "list", "ruleset"))
        got = {h: b for h, b in got.items() if h in want}
        for head in owned_asleep:
            assert "\tflags dormant" in got[head], f"{head}: was woken against its file"
        assert got == want, f"{os.path.basename(path)}\nwant {want}\ngot {got}"
        assert run(TOOL, "backup", "m") == "backup ok\n"
        for head in want:
            assert asleep(*head.split()[1:3]), f"{head}: awake on the backup"
        assert not asleep("inet", "carpool_edge")
    # A second load finds the first one's tables and takes their place.
    run(TOOL, "load", "edge", path, backup, ",".join(NAMES), "10.1.0.254/24,fd01::fe/64", "m")
    assert run(TOOL, "verify", "m") == "backup ok\n"
    run(TOOL, "unload", "m")
    assert run("nft", "list", "tables") == ""
    return list(want)


def case_of(name):
    def case():
        backup = os.path.join(CORPUS, "standby.nft") if name != "standby.nft" else "-"
        compare(os.path.join(CORPUS, name), backup)
    case.__name__ = name.replace(".nft", "").replace("-", "_")
    return case


def big_10000_rules():
    with open("big.nft", "w") as file:
        file.write(generated(10000, 5000))
    assert compare(os.path.abspath("big.nft")) == ["table inet big {"]


main([case_of(name) for name in sorted(os.listdir(CORPUS)) if name.endswith(".nft")] + [big_10000_rules])
