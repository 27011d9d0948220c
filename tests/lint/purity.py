"""purity.py: the cores as the linker sees them: no clock, no socket, no allocation, no global.

    purity.py SOURCE ARCHIVE...

Undefined symbols of a core must be defined in libcommon (checked likewise where a core uses it) or be
in ALLOWED, which holds nothing that reads the world. Writable data in a core is refused: two simulated
nodes live in one process and must not meet there."""

import os
import subprocess
import sys

import tree

ALLOWED = {
    "memcpy", "memset", "memmove", "memcmp", "memchr", "strlen", "strcmp", "strncmp", "strchr", "strcpy",
    "strnlen", "bsearch", "__stack_chk_fail", "__memcpy_chk", "__memset_chk", "__memmove_chk",
    "__strcpy_chk", "__sched_cpucount", "_GLOBAL_OFFSET_TABLE_",
    # Ours, in common, and pure.
    "check_failed",
}
# Functions of common that are pure themselves; everything else of common is not for cores.
ALLOWED_STEMS = ("ipaddr_", "reason_name", "reason_parse", "state_name", "replay_", "advert_", "flow_",
                 "syncmsg_", "config_", "digest_", "XXH3_", "XXH64", "XXH128", "XXH_")
REFUSED = ("config_load", "config_free")
SANITIZER = ("__asan_", "__ubsan_", "__sanitizer_", "__sancov_", "__msan_")


def symbols(archive, *options):
    lines = subprocess.run(["nm", *options, archive], capture_output=True, text=True, check=True)
    member = "?"
    for line in lines.stdout.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        elif line.strip():
            yield member, line.split()


def allowed(name):
    if name in ALLOWED or name.startswith(SANITIZER):
        return True
    return name.startswith(ALLOWED_STEMS) and name not in REFUSED


def look(archive):
    defined = {parts[-1] for _, parts in symbols(archive, "--defined-only")}
    count = 0
    for member, parts in symbols(archive, "-u"):
        count += 1
        if parts[-1] not in defined and not allowed(parts[-1]):
            yield f"{os.path.basename(archive)}({member}): calls {parts[-1]}"
    for member, parts in symbols(archive, "--defined-only"):
        count += 1
        kind, name = parts[-2], parts[-1]
        if kind in "BbDdCGgSs" and not name.startswith(SANITIZER + ("__", ".L", ".data")):
            yield f"{os.path.basename(archive)}({member}): writable data: {name}"
    if count == 0:
        yield f"{os.path.basename(archive)}: no symbols at all"


def main():
    archives = sys.argv[2:]
    tree.finish([f for archive in archives for f in look(archive)], len(archives))


main()
