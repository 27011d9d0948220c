"""layers.py: a file includes only from layers below its own, and shells never include each other
(design section 2). The table is the architecture: doc/architecture.md draws it."""

import re

import tree

# A folder may include these folders' headers; the longest prefix of a file's path decides.
BELOW = {
    "common": {"common"},
    "common/io": {"common", "common/io"},
    "config": {"common", "config"},
    "carpd/core": {"common", "config", "carpd/core"},
    "syncd/core": {"common", "config", "syncd/core"},
    "rules": {"common", "common/io", "config", "rules"},
    "carpd": {"common", "common/io", "config", "rules", "carpd/core", "carpd"},
    "syncd": {"common", "common/io", "config", "rules", "syncd/core", "syncd"},
    "ctl": {"common", "common/io", "config", "rules", "ctl"},
}
# The cores and common touch nothing of the operating system: these headers only.
PURE = {"common", "carpd/core", "syncd/core"}
PURE_HEADERS = {
    "assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdarg.h", "stdatomic.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "arpa/inet.h", "netinet/in.h",
    "jansson.h", "xxhash.h",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def layer(path):
    parts = path.split("/")[:-1]
    while parts:
        if "/".join(parts) in BELOW:
            return "/".join(parts)
        parts.pop()
    return None


def look(name):
    own = layer(name)
    text = tree.read(name)
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        quoted, path = match.group(1) == '"', match.group(2)
        where = f"{name}:{line}:"
        if quoted and "/" not in path:
            yield f'{where} "{path}": include from the root, so that the line shows the layer'
        elif quoted and layer(path) not in BELOW[own]:
            yield f'{where} {own} must not include "{path}"'
        elif own in PURE and not quoted and path not in PURE_HEADERS and not path.startswith("openssl/"):
            yield f"{where} {own} is pure: no <{path}>"
        elif own.endswith("/core") and path.startswith("openssl/"):
            yield f"{where} a core does not sign or hash: no <{path}>"
        elif path.startswith(own) and name.endswith(".c") is False and path == name:
            yield f"{where} includes itself"


def main():
    names = [n for n in tree.c_files() if layer(n)]
    tree.finish([finding for name in names for finding in look(name)], len(names))


main()
