"""tidy.py: small things: no file over 40 kB, nothing left to do, no banned call, no stray bytes, and a
comment that teaches at the head of each header."""

import re

import tree

SIZE_MAX = 40_000
TEXT = (".c", ".h", ".py", ".md", ".build", ".yaml", ".nft", ".txt", ".sh", "dev")
LEFT_OVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
BANNED = {  # call: what to write instead
    "gets": "fgets", "sprintf": "snprintf", "strcat": "snprintf", "vsprintf": "vsnprintf",
    "strtok": "strcspn", "atoi": "strtol", "gettimeofday": "clock_now", "time": "clock_wall_us",
    "sleep": "a deadline in the loop", "usleep": "a deadline in the loop", "alloca": "a stated bound",
    "gethostbyname": "no name service", "getaddrinfo": "no name service",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")


def look_code(name):
    text = tree.code(name)
    for match in CALL.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        call = match.group(1)
        yield f"{name}:{line}: {call}(): {BANNED[call]} instead"


def look(name):
    text = tree.read(name)
    if len(text) > SIZE_MAX and name.endswith((".c", ".h", ".py")):
        yield f"{name}: {len(text)} bytes, {SIZE_MAX} are allowed"
    for number, line in enumerate(text.split("\n"), 1):
        if LEFT_OVER.search(line) and not name.startswith("tests/lint/"):
            yield f"{name}:{number}: left over: {line.strip()[:60]}"
        if line.rstrip() != line and not name.endswith(".md"):
            yield f"{name}:{number}: space at the end of the line"
    if text and not text.endswith("\n"):
        yield f"{name}: no newline at its end"
    if name.endswith(".h") and not text.startswith("/*"):
        yield f"{name}:1: a header begins with a comment: what it is for"
    if name.endswith(".c") and not name.startswith("tests/"):
        yield from look_code(name)


def main():
    names = [n for n in tree.files(TEXT) if "/corpus/" not in n and "/golden/" not in n]
    tree.finish([finding for name in names for finding in look(name)], len(names))


main()
