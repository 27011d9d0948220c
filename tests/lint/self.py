"""self.py: the lints find what they are for: each is run over a small tree with one fault of its kind, and
over the same tree without it."""

import os
import subprocess
import sys
import tempfile

import tree

GOOD = {
    "common/a.h": "/* a.h: good. */\nint a_one(void);\n",
    "common/a.c": '#include "common/a.h"\n\nint a_one(void)\n{\n\treturn 1;\n}\n',
    "carpd/b.c": 'const char *b_name = "A_WORD";\n',
    "ctl/codes.c": '{CODE_ALARM, "A_WORD", "x", "y"},\n',
    "tests/lint/long-functions.txt": "# none\n",
    "tests/unit/test_a.c": "int main(void)\n{\n\treturn 0;\n}\n",
    "tests/unit/meson.build": "tests = ['a']\n",
    "README.md": "# Head\n[link](#head) and [file](common/a.h)\n",
}
LONG = "int a_two(void)\n{\n" + "\treturn 1;\n" * 71 + "}\n"
FAULTS = [
    ("layers", {"common/a.c": '#include "config/config.h"\n'}, "must not include"),
    ("layers", {"syncd/a.c": '#include "carpd/x.h"\n'}, "must not include"),
    ("layers", {"carpd/core/a.c": "#include <sys/socket.h>\n"}, "is pure"),
    ("layers", {"carpd/core/a.c": '#include "common/io/clock.h"\n'}, "must not include"),
    ("layers", {"carpd/a.c": '#include "a.h"\n'}, "from the root"),
    ("functions", {"common/a.c": LONG}, "a_two has 71 lines"),
    ("functions", {"tests/lint/long-functions.txt": "common/a.c a_one: it was long once\n"}, "no such"),
    ("functions", {"common/a.c": LONG, "tests/lint/long-functions.txt": "common/a.c a_two: \n"}, "no reason"),
    ("format", {"common/a.c": "int  a_one( void ){return 1;}\n"}, "clang-format"),
    ("tidy", {"common/a.c": "/* TODO */\n"}, "left over"),
    ("tidy", {"common/a.c": "int a_one(void)\n{\n\treturn sleep(1);\n}\n"}, "sleep()"),
    ("tidy", {"common/a.h": "int a_one(void);\n"}, "begins with a comment"),
    ("tidy", {"common/a.c": "int x; \n"}, "space at the end"),
    ("tidy", {"common/a.c": "/*" + "x" * 40_000 + "*/\n"}, "are allowed"),
    ("codes", {"carpd/a.c": 'f("LOST_WORD");\n'}, "no entry"),
    ("codes", {"ctl/codes.c": '{CODE_ALARM, "GONE_WORD", "x", "y"},\n'}, "nothing shows"),
    ("links", {"README.md": "[gone](doc/gone.md)\n"}, "no such file"),
    ("links", {"README.md": "[gone](#gone)\n"}, "no such heading"),
    ("registered", {"tests/unit/test_b.c": "\n"}, "never runs"),
    ("registered", {"tests/fuzz/fuzz_b.c": "\n", "tests/fuzz/meson.build": "'b'\n"}, "no seed corpus"),
]


def run(name, changes):
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        for path, text in {**GOOD, **changes}.items():
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(text)
        style = os.path.join(tree.root(), ".clang-format")
        os.symlink(style, os.path.join(folder, ".clang-format"))
        return subprocess.run([sys.executable, os.path.join(here, name + ".py"), folder],
                              capture_output=True, text=True)


OBJECTS = [  # lint, the source common/a.c, what is found ("" for nothing)
    ("purity", "int a_one(int x) { return x + 1; }", ""),
    ("purity", "#include <stdlib.h>\nvoid *a_one(void) { return malloc(8); }", "calls malloc"),
    ("purity", "#include <time.h>\nlong a_one(void) { return time(NULL); }", "calls time"),
    ("purity", "int a_one(void) { static int count; return ++count; }", "writable data"),
    ("purity", "int a_count = 7;", "writable data"),
    ("symbols", "int a_one(int x) { return x + 1; }", ""),
    ("symbols", "int one(int x) { return x + 1; }", "exports one"),
    ("symbols", "int abba(int x) { return x + 1; }", "exports abba"),
]


def run_on_object(name, source):
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        built = os.path.join(folder, "build", "common", "liba.a.p")
        os.makedirs(os.path.join(folder, "common"))
        os.makedirs(built)
        with open(os.path.join(folder, "common", "a.c"), "w", encoding="utf-8") as handle:
            handle.write(source + "\n")
        subprocess.run(["cc", "-O1", "-c", "-o", os.path.join(built, "a.c.o"), handle.name], check=True)
        subprocess.run(["ar", "rcs", os.path.join(built, "liba.a"), os.path.join(built, "a.c.o")], check=True)
        last = os.path.join(built, "liba.a") if name == "purity" else os.path.join(folder, "build")
        return subprocess.run([sys.executable, os.path.join(here, name + ".py"), folder, last],
                              capture_output=True, text=True)


def main():
    findings = []
    for name, source, wanted in OBJECTS:
        result = run_on_object(name, source)
        if result.returncode != (1 if wanted else 0) or wanted not in result.stdout:
            findings.append(f"{name} of {source!r}: not {wanted!r}: {result.stdout}{result.stderr}")
    for name in sorted({name for name, _, _ in FAULTS}):
        result = run(name, {})
        if result.returncode not in (0, tree.SKIP):
            findings.append(f"{name} finds a fault where none is: {result.stdout}{result.stderr}")
    for name, changes, wanted in FAULTS:
        result = run(name, changes)
        if result.returncode != tree.SKIP and (result.returncode != 1 or wanted not in result.stdout):
            findings.append(f"{name} does not find {wanted!r} in {list(changes)}: {result.stdout}{result.stderr}")
    tree.finish(findings, len(FAULTS) + len(OBJECTS))


main()
