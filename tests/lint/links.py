"""links.py: every relative link in a markdown file leads to a file, and to a heading where it names
one."""

import os
import re

import tree

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.M)
FENCE = re.compile(r"^```.*?^```", re.S | re.M)


def anchors(name):
    found = set()
    for heading in HEADING.findall(FENCE.sub("", tree.read(name))):
        plain = re.sub(r"[`*_]", "", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def look(name):
    text = FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), tree.read(name))
    for match in LINK.finditer(text):
        target = match.group(1)
        where = f"{name}:{text.count(chr(10), 0, match.start()) + 1}:"
        if re.match(r"^[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if not os.path.exists(os.path.join(tree.root(), path)):
            yield f"{where} {target}: no such file"
        elif anchor and path.endswith(".md") and anchor not in anchors(path):
            yield f"{where} {target}: no such heading"


def main():
    names = tree.files((".md",))
    tree.finish([finding for name in names for finding in look(name)], len(names))


main()
