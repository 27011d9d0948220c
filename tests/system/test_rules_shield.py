"""The shield with real packets: what a backup lets in by its group's interfaces, and what it does not.

    client 10.1.0.2 -- lan0 [ here: 10.1.0.1, virtual 10.1.0.254, fd01::fe ] wan0 -- server 10.2.0.2

lan0 and wan0 are the group's; dmz0, where one more host lives, is not."""
import os

from rules_lab import Lab, TOOL, main, run, until

MASTER = "table inet fw {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n\t}\n}\n"


def pings(lab, who, address):
    """One echo request; up to two more for a neighbour cache that is still cold."""
    words = ["ping", "-n", "-q", "-c", "3", "-i", "0.05", "-w", "1", address]
    return " 0 received" not in lab.on(who, *words, fails=None)


class Backup(Lab):
    def __init__(self):
        super().__init__()
        self.host("guest", "dmz0", 3)
        with open("fw.nft", "w") as file:
            file.write(MASTER)
        until(lambda: pings(self, "client", "10.2.0.2") and pings(self, "client", "fd02::2")
              and pings(self, "guest", "10.2.0.2"), "the lab forwards before there are rules")
        run(TOOL, "load", "edge", os.path.abspath("fw.nft"), "-", "lan0,wan0",
            "10.1.0.254/24,10.2.0.254/24,fd01::fe/64", "m")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def own_addresses_stay():
    with Backup() as lab:
        run("ip", "neigh", "flush", "all")
        lab.on("client", "ip", "neigh", "flush", "all")
        assert pings(lab, "client", "10.1.0.1")
        assert pings(lab, "client", "fd01::1"), "neighbour discovery must pass"
        link_local = run("ip", "-6", "-o", "address", "show", "dev", "lan0", "scope", "link").split()[3].split("/")[0]
        assert pings(lab, "client", link_local + "%eth0")
        assert pings(lab, "client", "10.2.0.1"), "the node's other addresses are its own, too"
        lab.on("client", "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_broadcasts=0")
        run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_broadcasts=0")
        assert " 0 received" not in lab.on("client", "ping", "-n", "-b", "-c", "2", "-w", "1", "10.1.0.255",
                                            fails=None), "broadcasts are for this host"
        assert " 0 received" not in lab.on("client", "ping", "-n", "-c", "2", "-w", "1", "ff02::1%eth0",
                                            fails=None), "multicasts are for this host"


def nothing_is_forwarded():
    with Backup() as lab:
        assert not pings(lab, "client", "10.2.0.2")
        assert not pings(lab, "client", "fd02::2")
        assert not pings(lab, "client", "192.0.2.1")
        assert not pings(lab, "server", "10.1.0.2")
        # What enters elsewhere is not the group's.
        assert pings(lab, "guest", "10.3.0.1")
        run(TOOL, "master", "m")
        until(lambda: pings(lab, "client", "10.2.0.2") and pings(lab, "client", "fd02::2"), "a master forwards")
        run(TOOL, "backup", "m")
        assert not pings(lab, "client", "10.2.0.2")


def virtual_addresses_are_the_masters():
    with Backup() as lab:
        # Even while they are still here: the moment of a demotion.
        run("ip", "address", "add", "10.1.0.254/24", "dev", "lan0")
        run("ip", "address", "add", "fd01::fe/64", "dev", "lan0", "nodad")
        assert not pings(lab, "client", "10.1.0.254")
        assert not pings(lab, "client", "fd01::fe")
        run(TOOL, "master", "m")
        until(lambda: pings(lab, "client", "10.1.0.254") and pings(lab, "client", "fd01::fe"), "a master answers")


def it_acts_before_conntrack():
    with Backup() as lab:
        run("nft", "add", "table", "inet", "watch")
        run("nft", "add", "chain", "inet", "watch", "early",
            "{ type filter hook prerouting priority -440; policy accept; }")
        run("nft", "add", "rule", "inet", "watch", "early", "ip daddr 10.2.0.2 counter")
        pings(lab, "client", "10.2.0.2")
        assert "counter packets 0 " in run("nft", "list", "table", "inet", "watch")


main([own_addresses_stay, nothing_is_forwarded, virtual_addresses_are_the_masters, it_acts_before_conntrack])
