"""registered.py: every test file is named in the meson.build of its folder or of one above: a test
that nobody runs is a lie. Also: every fuzz target has a seed corpus."""

import os
import re

import tree

TEST = re.compile(r"(^|/)(test_[^/]*|fuzz_[^/]*|[^/]*_test)\.(c|py|sh)$")


def builds(folder):
    while folder:
        path = os.path.join(folder, "meson.build")
        if os.path.exists(os.path.join(tree.root(), path)):
            yield tree.read(path)
        folder = os.path.dirname(folder)


def is_named(name, text):
    """By its file name, or as the word that the loop of its meson.build makes a file name of."""
    leaf = os.path.basename(name)
    stem = os.path.splitext(leaf)[0]
    word = re.sub(r"^(test|fuzz)_|_test$", "", stem)
    if leaf in text:
        return True
    for cut in range(1, len(stem)):  # 'test_rules_' + name, and name in a list
        if f"'{stem[:cut]}' +" in text and f"'{stem[cut:]}'" in text:
            return True
    pattern = re.escape(f"'{word}'") + "|" + re.escape(f"'{stem}'")
    return re.search(pattern, text) is not None


def look(name):
    folder = os.path.dirname(name)
    if not any(is_named(name, text) for text in builds(folder)):
        yield f"{name}: in no meson.build: it never runs"
    if folder == "tests/fuzz" and name.endswith(".c"):
        stem = re.sub(r"^fuzz_", "", os.path.basename(name)[:-2])
        for corpus in (f"tests/fuzz/corpus/{stem}", f"tests/fuzz/corpus/fuzz_{stem}"):
            path = os.path.join(tree.root(), corpus)
            if os.path.isdir(path) and os.listdir(path):
                return
        yield f"{name}: no seed corpus in tests/fuzz/corpus/{stem}"


def main():
    names = [n for n in tree.files((".c", ".py", ".sh"))
             if n.startswith("tests/") and not n.startswith("tests/lint/")
             and (TEST.search(n) or re.match(r"^tests/fuzz/[^/]+\.c$", n))]
    tree.finish([finding for name in names for finding in look(name)], len(names))


main()
