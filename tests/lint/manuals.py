"""manuals.py: each program's --help and its page say the same; pages and completions are sound; the schema takes every
example and refuses what the daemons refuse. Arguments: source folder, build folder, manuals on or off."""

import glob
import os
import re
import shutil
import subprocess
import sys

import tree

SOURCE, BUILD = sys.argv[1], sys.argv[2]
HAS_PAGES = sys.argv[3] == "true"
findings, seen = [], 0


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def look(holds, what):
    global seen
    seen += 1
    if not holds:
        findings.append(what)


def page_text(page):
    """What a reader sees, every word of it, one space between two."""
    done = run("man", "-l", f"{BUILD}/doc/{page}", env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8",
                                                          "MAN_KEEP_FORMATTING": ""})
    look(done.returncode == 0, f"{page}: man cannot show it: {done.stderr[:200]}")
    return " ".join(done.stdout.replace("\u2010", "-").replace("\u2212", "-").split())


def options_of(text):
    return set(re.findall(r"--[a-z][a-z-]+", text))


def check_page(page, help_text):
    text = page_text(page)
    for option in sorted(options_of(help_text)):
        look(re.search(re.escape(option) + r"(?![a-z-])", text), f"{page}: {option} of --help is not there")
    for option in sorted(options_of(text.split("EXAMPLES")[0]) - options_of(help_text)):
        look(page in ("carpool.1",), f"{page}: {option} is not in --help")


def check_pages(verbs):
    for daemon in ("carpd", "syncd"):
        check_page(f"{daemon}.8", run(f"{BUILD}/{daemon}/{daemon}", "--help").stdout)
    for verb in verbs:
        help_text = run(f"{BUILD}/ctl/carpool", verb, "--help").stdout
        check_page(f"carpool-{verb}.1", help_text)
        words = page_text(f"carpool-{verb}.1")
        for line in help_text.split("\n\n")[1].split("\n"):
            look(" ".join(line.split()) in words, f"carpool-{verb}.1 does not say: {line}")
    main = page_text("carpool.1")
    for verb in verbs:
        look(f"carpool-{verb}(1)" in main, f"carpool.1 does not name {verb}")
    config = page_text("cluster.yaml.5")
    for key in re.findall(r"^\| `([a-z_]+)` \|", tree.read("doc/config.md"), re.M):
        look(f"{key} (" in config, f"cluster.yaml.5: the key {key} is not there")
    for page in glob.glob(f"{BUILD}/doc/*.[158]"):
        if shutil.which("groff"):
            warnings = run("groff", "-man", "-Tutf8", "-wall", "-z", page).stderr
            look(not warnings, f"{page}: {warnings[:200]}")


def check_completions(verbs):
    for shell, name in (("bash", "carpool"), ("zsh", "_carpool"), ("fish", "carpool.fish")):
        path = f"{BUILD}/doc/{name}"
        text = open(path, encoding="utf-8").read()
        for verb in verbs:
            look(verb in text, f"{path}: {verb} is not completed")
        if shutil.which(shell):
            done = run(shell, "-n", path)
            look(done.returncode == 0, f"{path}: {done.stderr[:200]}")
    script = f"source {BUILD}/doc/carpool; COMP_WORDS=(carpool handover --t); COMP_CWORD=2; _carpool; echo ${{COMPREPLY[@]}}"
    look(run("bash", "-c", script).stdout.strip() == "--to", "bash: `carpool handover --t` is not completed")
    script = f"source {BUILD}/doc/carpool; COMP_WORDS=(carpool maintenance o); COMP_CWORD=2; _carpool; echo ${{COMPREPLY[@]}}"
    look(run("bash", "-c", script).stdout.split() == ["on", "off"], "bash: `carpool maintenance o` is not completed")


BAD = ["cluster: edge", "{extra: 1}", "election: {advbase: fast}", "election: {dead_factor: 11}", "election: {wire: vrrp}",
       "sync: {port: 0}", "sync: {mode: cold}", "groups: {}", "nodes: {fw1: {id: 1}}"]


def check_schema():
    try:
        import json
        import jsonschema
        import yaml
    except ImportError:
        print("the schema is not checked: python3-jsonschema or python3-yaml is not installed")
        return
    schema = json.load(open(f"{BUILD}/doc/cluster.schema.json", encoding="utf-8"))

    class Loader(yaml.SafeLoader):
        """YAML 1.2, as editors and carpool read it: `on` is a word."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool" or first in "tf"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    for path in sorted(glob.glob(f"{SOURCE}/config/examples/*.yaml")):
        errors = [error.message for error in validator.iter_errors(yaml.load(open(path), Loader))]
        look(not errors, f"{path}: the schema refuses it: {errors[:2]}")
    whole = yaml.load(open(f"{SOURCE}/config/examples/pair.yaml"), Loader)
    for text in BAD:
        changed = {**whole, **yaml.load(text, Loader)} if text != "cluster: edge" else {"cluster": "edge"}
        look(not validator.is_valid(changed), f"the schema takes {text}")


def main():
    verbs = re.findall(r"^  ([a-z]+) {2,}", run(f"{BUILD}/ctl/carpool", "--help").stdout, re.M)
    look(len(verbs) > 10, "carpool --help names no verbs")
    if HAS_PAGES and shutil.which("man"):
        check_pages(verbs)
    else:
        print("the pages are not checked: scdoc or man is not installed")
    check_completions(verbs)
    check_schema()
    tree.finish(findings, seen)


main()
