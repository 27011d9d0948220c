"""functions.py: no function over 70 lines, but those that long-functions.txt names and justifies.

Each line there: FILE FUNCTION: why it is long. One that is not long any more, or has no reason, is a
finding too."""

import re

import tree

LIMIT = 70
LIST = "tests/lint/long-functions.txt"
NAME = re.compile(r"([A-Za-z_]\w*)\s*\((?!.*\()|([A-Za-z_]\w*)\s*\(")


def functions(name):
    """(function, first line, lines) of a file: a body opens with { in column 0 and ends with } there,
    as clang-format writes them."""
    lines = tree.code(name).split("\n")
    opened = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{" and number > 1 and not re.match(r"^\s*(struct|enum|union)\b[^()]*$",
                                                               lines[number - 2]):
            opened = number
        elif line.startswith("}") and opened:
            start = opened - 1
            while start > 1 and lines[start - 1].startswith(("\t", " ")) or not lines[start - 1].strip():
                start -= 1
            head = " ".join(lines[start - 1:opened - 1])
            head = re.sub(r"__attribute__\s*\(\(.*?\)\)\s*\)?", "", head)
            match = re.search(r"([A-Za-z_]\w*)\s*\(", head)
            yield (match.group(1) if match else "?"), start, number - opened - 1
            opened = None


def listed():
    entries = {}
    for number, line in enumerate(tree.read(LIST).splitlines(), 1):
        match = re.match(r"^(\S+) (\S+): (.{10,})$", line)
        if match:
            entries[(match.group(1), match.group(2))] = number
        elif line.strip() and not line.startswith("#"):
            entries[("", line)] = number
    return entries


def main():
    findings, count = [], 0
    excuses = listed()
    for name in tree.c_files((".c",)):
        for function, line, length in functions(name):
            count += 1
            if length <= LIMIT:
                continue
            if excuses.pop((name, function), None) is None:
                findings.append(f"{name}:{line}: {function} has {length} lines, {LIMIT} are allowed")
    for (name, function), number in excuses.items():
        findings.append(f"{LIST}:{number}: no such long function (or no reason): {name} {function}")
    tree.finish(findings, count)


main()
