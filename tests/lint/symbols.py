"""symbols.py: an exported symbol begins with the stem of its file, or of the header of the same folder that
declares it: control_server.c exports control_server_*, rules/switch.c the rules_switch_* of rules.h.
Looked at in the built objects, so that macros hide nothing.

    symbols.py SOURCE BUILD"""

import os
import re
import subprocess
import sys

import tree

FREE = {"main", "LLVMFuzzerTestOneInput", "LLVMFuzzerInitialize"}


def fits(source, symbol):
    folder, leaf = os.path.split(source)
    stems = [leaf[:-2]]
    for header in os.listdir(os.path.join(tree.root(), folder)):
        if header.endswith(".h") and re.search(rf"\b{symbol}\b", tree.read(os.path.join(folder, header))):
            stems.append(re.sub(r"_internal$", "", header[:-2]))
    return any(symbol == stem or symbol.startswith(stem + "_") for stem in stems)


def objects(build):
    """meson names the object of carpd/core/x.c in folder T: T/..._x.c.o, with the path from T on."""
    for folder, _, leaves in os.walk(build):
        if not folder.endswith(".p") or os.sep + "tests" + os.sep in folder:
            continue
        for leaf in leaves:
            if leaf.endswith(".c.o"):
                yield os.path.join(folder, leaf)


def source_of(build, path):
    folder = os.path.dirname(os.path.relpath(os.path.dirname(path), build))
    leaf = os.path.basename(path)[:-2].replace("meson-generated_", "")
    for candidate in (leaf, leaf.replace("_", "/", 1), leaf.split(".._")[-1]):
        if os.path.exists(os.path.join(tree.root(), folder, candidate)):
            return os.path.join(folder, candidate)
    return None


def main():
    build = os.path.abspath(sys.argv[2])
    findings, count = [], 0
    for path in objects(build):
        source = source_of(build, path)
        if not source:
            continue
        count += 1
        names = subprocess.run(["nm", "-g", "--defined-only", path], capture_output=True, text=True)
        for line in names.stdout.splitlines():
            name = line.split()[-1]
            if name in FREE or name.startswith(("__asan", "__odr_asan", "__ubsan")):
                continue
            if not fits(source, name):
                findings.append(f"{source}: exports {name}: neither its own stem nor its header's")
    tree.finish(sorted(set(findings)), count)


main()
