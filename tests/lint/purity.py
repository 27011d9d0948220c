"""purity.py: the cores as the linker sees them: no clock, no socket, no allocation, no global.

    purity.py SOURCE ARCHIVE...

Undefined symbols of a core must be defined in libcommon (checked likewise where a core uses it) or be
in ALLOWED, which holds nothing that reads the world. Writable data in a core is refused: two simulated
nodes live in one process and must not meet there."""

import os
import re
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
WRITABLE = (".data", ".bss", ".tdata", ".tbss", "*COM*")
SANITIZER = ("__asan_", "__ubsan_", "__sanitizer_", "__sancov_", "__msan_")


def symbols(archive, *options):
    lines = subprocess.run(["nm", *options, archive], capture_output=True, text=True, check=True)
    member = "?"
    for line in lines.stdout.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        elif line.strip():
            yield member, line.split()


def objects(archive):
    """(section, name) of what is defined; tables of pointers lie in .data.rel.ro, which is constant."""
    lines = subprocess.run(["objdump", "-t", archive], capture_output=True, text=True, check=True)
    for line in lines.stdout.splitlines():
        match = re.match(r"^[0-9a-f]{8,} .{6}[O ] (\S+)\t[0-9a-f]+ +(?:\.hidden )?(\S+)$", line)
        if match and match.group(2) != match.group(1) and not match.group(2).startswith(SANITIZER + ("__", ".L")):
            yield match.group(1), match.group(2)


def allowed(name):
    if name in ALLOWED or name.startswith(SANITIZER):
        return True
    return name.startswith(ALLOWED_STEMS) and name not in REFUSED


def look(archive):
    defined = {parts[-1] for _, parts in symbols(archive, "--defined-only")}
    for member, parts in symbols(archive, "-u"):
        if parts[-1] not in defined and not allowed(parts[-1]):
            yield f"{os.path.basename(archive)}({member}): calls {parts[-1]}"
    for section, name in objects(archive):
        if section.startswith(WRITABLE) and not section.startswith(".data.rel.ro"):
            yield f"{os.path.basename(archive)}: writable data: {name}"
    if not defined:
        yield f"{os.path.basename(archive)}: no symbols at all"


def main():
    archives = sys.argv[2:]
    tree.finish([f for archive in archives for f in look(archive)], len(archives))


main()
