"""rules_check(): real packets to the sync port through both rulesets, and who stops them."""
import os
import re

from rules_lab import HERE, TOOL, main, run

EXAMPLES = os.path.join(HERE, "..", "..", "config", "examples")
CONFIG = """
cluster: edge
keys: [edge.key]
nodes:
  fw1: {{ id: 1, address: {one} }}
  fw2: {{ id: 2, address: {two} }}
groups:
  edge:
    vhid: 51
    interfaces: {{ lan0: [10.1.0.254/24] }}
    rules: {{ master: fw.nft, backup: standby.nft }}
{more}sync: {{ mode: warm }}
"""
OPEN = "table inet %s {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n" \
       "\t\tct state established accept\n%s\t}\n%s}\n"


def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    os.chmod(name, 0o600)


def check(master, backup, one="10.9.9.1", two="10.9.9.2", more=""):
    write("edge.yaml", CONFIG.format(one=one, two=two, more=more))
    write("fw.nft", master)
    write("standby.nft", backup)
    return run(TOOL, "check", "edge.yaml", "fw1", fails=None)


def table(name, rules="\t\ttcp dport 3780 accept\n", chains=""):
    return OPEN % (name, rules, chains)


def open_ones_pass():
    assert check(table("fw"), table("quiet")) == ""
    assert check(table("fw", '\t\tiifname "sync7" tcp dport 3780 accept\n'), table("quiet")) == "", \
        "the sync link's name is taken from the rules where the machine does not say"


def own_address_decides_the_interface():
    run("ip", "link", "add", "ha0", "type", "veth", "peer", "name", "ha1")
    run("ip", "address", "add", "10.9.9.1/24", "dev", "ha0")
    assert check(table("fw", '\t\tiifname "ha0" tcp dport 3780 accept\n'), table("quiet")) == ""
    said = check(table("fw", '\t\tiifname "sync7" tcp dport 3780 accept\n'), table("quiet"))
    assert "10.9.9.2 to 10.9.9.1 port 3780" in said, said


def ipv6_needs_neighbour_discovery():
    rules = "\t\tip6 nexthdr icmpv6 accept\n\t\ttcp dport 3780 accept\n"
    assert check(table("fw", rules), table("quiet", rules), "fd09::1", "fd09::2") == ""
    assert "fd09::" in check(table("fw", "\t\ttcp dport 3780 accept\n"), table("quiet", rules), "fd09::1", "fd09::2")


def a_policy_is_named():
    said = check(table("fw", "\t\ttcp dport 22 accept\n"), table("quiet"))
    want = r"/fw\.nft:2:1: group edge as master stops the sync port, 10\.9\.9\.2 to 10\.9\.9\.1 port 3780: " \
           r"the drop policy of chain input, table inet fw\n"
    assert re.search(want, said), said
    assert "as backup" not in said, said


def a_rule_is_named():
    chain = "\tchain out {\n\t\ttype filter hook output priority 0;\n\t\tip daddr 10.9.9.0/24 reject\n\t}\n"
    said = check(table("fw"), table("quiet", chains=chain))
    want = r'/standby\.nft:7:1: group edge as backup stops the sync port, 10\.9\.9\.1 to 10\.9\.9\.2 port 3780: ' \
           r'rule "ip daddr 10\.9\.9\.0/24 reject.*" in chain out, table inet quiet\n'
    assert re.search(want, said), said


def groups_that_share_a_table():
    more = """
  guests:
    vhid: 52
    interfaces: { lan1: [10.3.0.254/24] }
    rules: { master: guests.nft }
"""
    write("guests.nft", table("fw"))
    said = check(table("fw"), table("quiet"), more=more)
    assert "table inet fw of group guests is in group edge too" in said, said


def the_examples():
    for name in sorted(os.listdir(EXAMPLES)):
        if name.endswith(".yaml"):
            with open(os.path.join(EXAMPLES, name), encoding="utf-8") as example:
                nodes = re.findall(r"^  (\w+): *(?:\{ *|\n +)id:", example.read(), re.M)
            assert len(nodes) >= 2, (name, nodes)
            for node in nodes:
                assert run(TOOL, "check", os.path.join(EXAMPLES, name), node) == "", name


main([open_ones_pass, own_address_decides_the_interface, ipv6_needs_neighbour_discovery, a_policy_is_named,
      a_rule_is_named, groups_that_share_a_table, the_examples])
