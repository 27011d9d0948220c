#!/usr/bin/env python3
"""carpool check, keygen and config show: the real command on files in a folder of its own.

No root is needed where user namespaces are allowed (the rulesets are tried in one). Each test is a function; the first failed assertion ends it with its text.
"""
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

COMMAND = os.environ["CARPOOL_COMMAND"]
EXAMPLES = os.environ["EXAMPLES"]

GOOD = """cluster: edge
keys: [edge.key]
nodes:
  fw1: { id: 1, address: 10.9.9.1 }
  fw2: { id: 2, address: 10.9.9.2, advskew: 100 }
groups:
  edge:
    vhid: 51
    interfaces:
      lan0: [10.1.0.254/24]
"""


def run(folder, *words):
    done = subprocess.run([COMMAND, *words], cwd=folder, capture_output=True, encoding="utf-8", errors="replace",
                          timeout=120)
    return done.returncode, done.stdout, done.stderr


def write(folder, name, text, mode=0o644):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def test_keygen(folder):
    os.umask(0)  # the mode does not hang on it
    status, out, _ = run(folder, "keygen", "edge.key")
    assert status == 0 and "edge.key" in out, (status, out)
    path = os.path.join(folder, "edge.key")
    first = open(path, encoding="ascii").read()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert len(first) == 65 and first.endswith("\n") and int(first, 16) >= 0, first
    status, out, err = run(folder, "keygen", "edge.key")
    assert status == 1 and "stays as it is" in err and not out, (status, out, err)
    assert open(path, encoding="ascii").read() == first
    status, out, _ = run(folder, "keygen", "--json", "edge.key")
    assert status == 1 and json.loads(out)["error"]["code"] == "EXISTS", out
    run(folder, "keygen", "other.key")
    assert open(os.path.join(folder, "other.key"), encoding="ascii").read() != first
    assert run(folder, "keygen")[0] == 2
    assert run(folder, "keygen", "no/such/folder/key")[0] == 1


def test_check_good(folder):
    run(folder, "keygen", "edge.key")
    write(folder, "c.yaml", GOOD)
    status, out, err = run(folder, "check", "--config", "c.yaml")
    assert status == 0 and "good" in out and not err, (status, out, err)
    status, out, _ = run(folder, "check", "--config", "c.yaml", "--node", "fw2", "--json")
    answer = json.loads(out)
    assert status == 0 and answer["ok"] is True and answer["node"] == "fw2", out
    assert answer["errors"] == [] and len(answer["fingerprint"]) == 64, out


def test_check_errors(folder):
    """Every error, its place in front, on standard error; and the same in JSON."""
    run(folder, "keygen", "edge.key")
    write(folder, "c.yaml", GOOD.replace("id: 2", "id: 1").replace("vhid: 51", "vhid: 0\n    colour: red"))
    wanted = ["c.yaml:5:3: ", "c.yaml:8:11: ", "c.yaml:9:5: "]
    status, out, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and not out, (status, out)
    lines = err.splitlines()
    assert len(lines) == 3 and all(l.startswith(w) for l, w in zip(lines, wanted)), err
    status, out, err = run(folder, "check", "--config", "c.yaml", "--json")
    places = [(e["file"], e["line"], e["column"]) for e in json.loads(out)["errors"]]
    assert status == 2 and places == [("c.yaml", 5, 3), ("c.yaml", 8, 11), ("c.yaml", 9, 5)], out


def test_check_foreign_text(folder):
    """A word that is cut inside a letter, and terminal controls: one JSON document all the same."""
    write(folder, "c.yaml", GOOD.replace("edge\n", "x" + "\u00e9" * 60 + "\n", 1))
    status, out, err = run(folder, "check", "--config", "c.yaml", "--json")
    assert status == 2 and "is not a cluster name" in json.loads(out)["errors"][0]["text"], (out, err)
    write(folder, "c.yaml", GOOD.replace("edge\n", "\"x\\x9b31m\"\n", 1))
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and "\u009b" not in err and "x??31m" in err, ascii(err)


def test_check_carp2(folder):
    """The passphrase is looked at, and what the wire cannot give is said."""
    run(folder, "keygen", "edge.key")
    carp2 = GOOD + "election: { wire: carp2, counter: strict, passphrase_file: edge.pass }\n"
    write(folder, "c.yaml", carp2)
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and "passphrase file" in err and "No such file" in err, err
    path = write(folder, "edge.pass", "love\n")
    os.chmod(path, 0o644)
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and "chmod 600" in err, err
    os.chmod(path, 0o600)
    for bad in ("", "\n", "123456789012345678901\n", "two\nlines\n"):
        write(folder, "edge.pass", bad)
        os.chmod(path, 0o600)
        status, _, err = run(folder, "check", "--config", "c.yaml")
        assert status == 2 and "one line of 1..20 bytes" in err, (bad, err)
    write(folder, "edge.pass", "12345678901234567890")
    os.chmod(path, 0o600)
    status, out, err = run(folder, "check", "--config", "c.yaml")
    assert status == 0 and "note: carp2: " in out and "HMAC-SHA-1" in out, (out, err)
    one = carp2.replace("counter: strict, ", "").replace("      wan0: [10.2.0.254/24]\n", "")
    write(folder, "c.yaml", one)
    status, out, err = run(folder, "check", "--config", "c.yaml", "--json")
    notes = json.loads(out)["notes"]
    assert status == 0 and any("replay" in note for note in notes), (out, err)
    assert any("does not sign" in note for note in notes), notes


def test_check_keys(folder):
    """A key's error points to the key's entry in the config."""
    write(folder, "c.yaml", GOOD)
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and err.startswith("c.yaml:2:8: ") and "No such file" in err, err
    run(folder, "keygen", "edge.key")
    os.chmod(os.path.join(folder, "edge.key"), 0o644)
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and err.startswith("c.yaml:2:8: ") and "chmod 600" in err, err
    write(folder, "edge.key", "not hexadecimal\n", 0o600)
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and "64 hexadecimal digits" in err, err
    shutil.copy(write(folder, "a.key", "ab" * 32 + "\n", 0o600), os.path.join(folder, "b.key"))
    os.chmod(os.path.join(folder, "b.key"), 0o600)
    write(folder, "c.yaml", GOOD.replace("[edge.key]", "[a.key, b.key]"))
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and err.startswith("c.yaml:2:15: ") and "repeats" in err, err


def test_check_node_and_programs(folder):
    run(folder, "keygen", "edge.key")
    tell = write(folder, "tell", "#!/bin/sh\n", 0o755)
    write(folder, "c.yaml", GOOD + "    handlers:\n      - { name: tell, run: [tell] }\n")
    assert run(folder, "check", "--config", "c.yaml", "--node", "fw1")[0] == 0
    os.chmod(tell, 0o777)
    status, _, err = run(folder, "check", "--config", "c.yaml", "--node", "fw1")
    assert status == 2 and err.startswith("c.yaml:12:29: ") and "written by others" in err, err
    os.unlink(os.path.join(folder, "edge.key"))
    status, _, err = run(folder, "check", "--config", "c.yaml", "--node", "fw3")
    assert status == 2 and "no node 'fw3'" in err and "edge.key: No such file" in err, err


def test_check_file(folder):
    run(folder, "keygen", "edge.key")
    path = write(folder, "c.yaml", GOOD, 0o666)
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and "written by others" in err, err
    os.unlink(path)
    status, _, err = run(folder, "check", "--config", "c.yaml")
    assert status == 2 and "No such file" in err, err
    assert run(folder, "check", "--colour", "red")[0] == 2


def test_check_rules(folder):
    """nft's own message at its own place, and a ruleset that would stop the sync."""
    run(folder, "keygen", "edge.key")
    write(folder, "c.yaml", GOOD + "    rules: { master: fw.nft }\nsync: {}\n")
    write(folder, "fw.nft", "table inet fw {\n\tchain in {\n\t\ttcp dport 22 acept\n\t}\n}\n")
    status, out, err = run(folder, "check", "--config", "c.yaml", "--node", "fw1")
    assert status == 2 and not out and "/fw.nft:3:" in err, err
    status, out, _ = run(folder, "check", "--config", "c.yaml", "--json")
    assert status == 2 and "/fw.nft:3:" in json.loads(out)["rules"]["errors"][0], out
    write(folder, "fw.nft", "table inet fw {\n\tchain in {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n")
    status, _, err = run(folder, "check", "--config", "c.yaml", "--node", "fw1")
    assert status == 2 and "3780" in err, err
    os.unlink(os.path.join(folder, "fw.nft"))
    status, _, err = run(folder, "check", "--config", "c.yaml", "--node", "fw1")
    assert status == 2 and err.startswith("c.yaml:11:22: ") and "No such file" in err, err


def test_config_show(folder):
    write(folder, "c.yaml", GOOD)
    status, first, err = run(folder, "config", "show", "--config", "c.yaml")
    assert status == 0 and "dead_factor: 3\n" in first and not err, (first, err)
    write(folder, "again.yaml", first)
    status, second, _ = run(folder, "config", "show", "--config", "again.yaml")
    assert status == 0 and second == first, second
    status, out, _ = run(folder, "config", "show", "--config", "c.yaml", "--json")
    answer = json.loads(out)
    assert answer["config"]["groups"]["edge"]["vhid"] == 51, out
    assert answer["config"]["election"]["preempt"] is False, out
    assert answer["config"]["election"]["advbase"] == "100ms", out
    write(folder, "c.yaml", GOOD + "colour: red\n")
    status, out, err = run(folder, "config", "show", "--config", "c.yaml", "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == "BAD_CONFIG", out
    assert "c.yaml:11:1: " in err, err
    assert run(folder, "config")[0] == 2


def test_examples(folder):
    """What we ship passes its own check once the operator has made a key."""
    names = sorted(os.listdir(EXAMPLES))
    for name in names:
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
            write(folder, name, file.read())
    run(folder, "keygen", "edge.key")
    write(folder, "edge.pass", "love\n")
    os.chmod(os.path.join(folder, "edge.pass"), 0o600)
    checked = 0
    for name in names:
        if name.endswith(".yaml"):
            status, _, err = run(folder, "check", "--config", name)
            assert status == 0, (name, err)
            checked += 1
    assert checked >= 4, names


def main():
    if os.geteuid() != 0 and subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0:
        print("needs root or user namespaces")
        return 77
    failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory(prefix="config-verbs-") as folder:
            try:
                test(folder)
                print("ok   ", name)
            except AssertionError as error:
                failed += 1
                print("FAILED", name, error)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
