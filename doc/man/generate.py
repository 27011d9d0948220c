#!/usr/bin/env python3
"""Pages and completions of what the code says: the verbs' own --help, and the tables of doc/config.md, which a test
compares with the parser. So neither can say anything else than the programs do.

    generate.py verb CARPOOL NAME [NOTES]   carpool-NAME.1, scdoc; NOTES: sections to append
    generate.py main CARPOOL NOTES          carpool.1
    generate.py config CONFIG_MD NOTES      cluster.yaml.5
    generate.py schema CONFIG_MD            JSON Schema of cluster.yaml
    generate.py bash|zsh|fish CARPOOL       completion
"""
import json
import re
import subprocess
import sys

DURATION = r"[0-9]+(us|ms|s|m|h|d)"
# What an option's value is, by the word that --help has for it: how a shell completes it.
FILES, FOLDERS, NODES, GROUPS = {"FILE"}, {"DIR"}, {"NODE"}, {"GROUP"}


# --- the command's own words ------------------------------------------------------------------

class Verb:
    def __init__(self, name, text):
        self.name = name
        lines = text.split("\n")
        end = lines.index("options:")
        blank = lines.index("")
        self.synopsis = " ".join(line.strip() for line in lines[:blank])[len("usage: "):]
        self.text = "\n".join(lines[blank + 1:end]).strip("\n")
        self.options = []  # (name, value or "", help)
        for line in lines[end + 1:]:
            found = re.match(r"  (--[a-z-]+)(?: ([A-Z]+))? +(.+)", line)
            if found:
                self.options.append((found[1], found[2] or "", found[3]))
        self.words = re.findall(r"(?<![\w-])[a-z]+(?![\w-])", re.sub(
            r"--[a-z-]+(?: [0-9A-Za-z:.]+)?", " ", self.synopsis.split(name, 1)[1]))
        self.takes_file = bool(re.search(r"(?<!-)\bFILE\b", re.sub(r"--[a-z-]+ FILE", "", self.synopsis)))


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def verbs_of(carpool):
    """(name, summary), in the order of --help."""
    return re.findall(r"^  ([a-z]+) {2,}(.+)$", run(carpool, "--help"), re.M)


def verb_of(carpool, name):
    return Verb(name, run(carpool, name, "--help"))


# --- scdoc ------------------------------------------------------------------------------------

def plain(text):
    """Text that scdoc sets as it stands."""
    text = re.sub(r"([\\_*`\[\]#|~<>.+-])", r"\\\1", text)
    return text.replace("\\.", ".").replace("\\-", "-")


def markdown(text):
    """A cell of the config's tables: its `code` is bold."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    parts = re.split(r"`([^`]*)`", text)
    return "".join(f"*{plain(part)}*" if i % 2 else plain(part) for i, part in enumerate(parts))


def literal(text):
    return "```\n" + text + "\n```\n"


def notes(arguments):
    return open(arguments[0], encoding="utf-8").read() if arguments else ""


def page_verb(carpool, name, *rest):
    verb, summary = verb_of(carpool, name), dict(verbs_of(carpool))[name]
    out = [f'carpool-{name}(1) "carpool" "carpool"\n', "# NAME\n", f"carpool-{name} - {plain(summary)}\n",
           "# SYNOPSIS\n", f"*carpool {name}*{plain(verb.synopsis.split(name, 1)[1])}\n",
           "# DESCRIPTION\n", literal(verb.text), "# OPTIONS\n"]
    for option, value, text in verb.options:
        out.append(f"*{plain(option)}*{' _' + value + '_' if value else ''}\n\t{plain(text)}\n")
    if "exit" not in verb.text.lower():
        out += ["# EXIT STATUS\n", "0 done, 1 it did not happen, 2 usage or config error.\n"]
    out.append(notes(rest))
    out += ["# SEE ALSO\n", "*carpool*(1), *carpd*(8), *syncd*(8), *cluster.yaml*(5)"]
    return "\n".join(out) + "\n"


def page_main(carpool, *rest):
    out = ['carpool(1) "carpool" "carpool"\n', "# NAME\n",
           "carpool - watches and steers a cluster of firewalls that act as one\n",
           "# SYNOPSIS\n", "*carpool* _VERB_ [options]\n", "# VERBS\n"]
    for name, summary in verbs_of(carpool):
        out.append(f"*carpool-{name}*(1)\n\t{plain(summary)}\n")
    return "\n".join(out) + "\n" + notes(rest)


# --- the config's tables ------------------------------------------------------------------------

def tables(path):
    """[(path of the mapping, [(key, type, default, allowed, meaning)])]."""
    text = open(path, encoding="utf-8").read()
    text = text[text.index("<!-- keys begin -->"):text.index("<!-- keys end -->")]
    found = []
    for line in text.split("\n"):
        if line.startswith("### "):
            found.append(("" if line == "### The file" else line[4:].strip("`"), []))
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            assert len(cells) == 5, line
            found[-1][1].append((cells[0].strip("` "), *cells[1:]))
    assert len(found) > 5, "the tables of the config's page are gone"
    return found


def page_config(path, *rest):
    out = ['cluster.yaml(5) "carpool" "carpool"\n', "# NAME\n", "cluster.yaml - one file describes a cluster\n",
           notes(rest[:1]), "# KEYS\n", "In capitals: a name of your own.\n"]
    for mapping, keys in tables(path):
        out.append(f"## {mapping or 'the file'}\n")
        for key, kind, default, allowed, meaning in keys:
            facts = [kind, "required" if default == "required" else f"default {default}"]
            if allowed and allowed != "see below":
                facts.append(f"allowed {allowed}")
            out.append(f"*{plain(key)}* ({markdown('; '.join(facts))})\n\t{markdown(meaning)}\n")
    out += ["# SEE ALSO\n", "*carpd*(8), *syncd*(8), *carpool-check*(1), *carpool-config*(1)"]
    return "\n".join(out) + "\n"


# --- JSON Schema --------------------------------------------------------------------------------

NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"}
ADDRESS = {"type": "string", "pattern": "^[0-9a-fA-F:.]+$"}
NETWORK = {"type": "string", "pattern": "^([0-9a-fA-F:.]+(/[0-9]{1,3})?|default)$"}


def either(*schemas):
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def listed(item, **bounds):
    return {"type": "array", "items": item, **bounds}


def schema_number(allowed):
    found = re.search(r"(\d+)\.\.(\d+)", allowed)
    number = {"type": "integer"}
    if found:
        number.update(minimum=int(found[1]), maximum=int(found[2]))
    return either(*([{"const": "auto"}] if "auto" in allowed else []), number)


def schema_mapping(path, key, known):
    """A mapping that has a table of its own: by its keys, or by names of the operator's."""
    inner = f"{path}.{key}".lstrip(".")
    if inner in known:
        return known[inner]()
    for name, make in known.items():
        if re.fullmatch(re.escape(inner) + r"\.[A-Z]+", name):
            return {"type": "object", "additionalProperties": make(), "minProperties": 1}
    return None


def schema_word(allowed):
    words = [word.strip() for word in allowed.split(",")]
    return {"enum": words}


def schema_value(path, row, known):
    key, kind, _, allowed, _ = row
    inner = schema_mapping(path, key, known)
    items = f"{path}.{key}[]".lstrip(".")
    plain_kinds = {
        "name": NAME, "file": {"type": "string", "minLength": 1}, "switch": {"type": "boolean"},
        "network": NETWORK, "address": ADDRESS,
        "list of files": listed({"type": "string"}, minItems=1, maxItems=8),
        "list of words": listed({"type": ["string", "number"]}, minItems=1, maxItems=32),
        "list of durations": listed({"type": "string", "pattern": f"^{DURATION}$"}, maxItems=8),
        "list of addresses": listed(NETWORK), "list of networks": listed(NETWORK),
        "address or list": either(ADDRESS, listed(ADDRESS, minItems=1, maxItems=4)),
        "list of names or numbers": listed({"type": ["string", "integer"]}),
    }
    if kind == "duration":
        words = ["auto"] if "auto" in allowed else []
        if path == "election" and key == "advbase":
            return {"anyOf": [{"type": "string", "pattern": f"^{DURATION}$"}, {"const": 0}]}
        return {"type": "string", "pattern": "^(" + "|".join([*words, DURATION]) + ")$"}
    if kind == "number":
        return schema_number(allowed)
    if kind == "word":
        return schema_word(allowed)
    if kind == "mapping or word":
        return either({"const": "off"}, {"const": False}, inner)
    if kind == "list":
        return listed(known[items]() if items in known else {"enum": allowed.split(", ")})
    if kind == "mapping":
        if inner:
            return either(inner, {"type": "null"}) if key == "sync" else inner
        number = re.search(r": (\d+)\.\.(\d+)$", allowed)
        value = {"type": "integer", "minimum": int(number[1]), "maximum": int(number[2])} if number else NAME
        return {"type": "object", "additionalProperties": value}
    if kind not in plain_kinds:
        sys.exit(f"generate.py: {path}.{key}: the schema does not know the type '{kind}': add it")
    return plain_kinds[kind]


def schema_object(path, rows, known):
    properties = {}
    for row in rows:
        properties[row[0]] = {**schema_value(path, row, known), "description": re.sub(r"`", "", row[4])}
    made = {"type": "object", "additionalProperties": False, "properties": properties}
    required = [row[0] for row in rows if row[2] == "required"]
    if required:
        made["required"] = required
    # The short form: the addresses alone.
    return either(made, listed(NETWORK)) if path.endswith(".interfaces.INTERFACE") else made


def schema(path):
    known, rows_of = {}, dict(tables(path))
    for name, rows in rows_of.items():
        known[name] = lambda name=name, rows=rows: schema_object(name, rows, known)
    whole = known[""]()
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "title": "carpool: cluster.yaml",
                       **whole}, indent=1) + "\n"


# --- completion ---------------------------------------------------------------------------------

def value_kind(value):
    for kind, names in (("file", FILES), ("folder", FOLDERS), ("node", NODES), ("group", GROUPS)):
        if value in names:
            return kind
    return "other"


HEAD = "# Completion of carpool(1), made by doc/man/generate.py of what the verbs' --help says.\n"
# Names of nodes and groups are those of the running cluster; nothing where nobody answers.
ASK = {"node": r"""carpool status --json 2>/dev/null | grep -o '"node": *"[^"]*"' | cut -d'"' -f4 | sort -u""",
       "group": r"""carpool status --json 2>/dev/null | grep -o '"group": *"[^"]*"' | cut -d'"' -f4 | sort -u"""}


def bash(carpool):
    verbs = [verb_of(carpool, name) for name, _ in verbs_of(carpool)]
    out = [HEAD, "_carpool()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}",
           "\tlocal verb=${COMP_WORDS[1]}\n\tCOMPREPLY=()\n\tif [ \"$COMP_CWORD\" = 1 ]; then",
           f"\t\tmapfile -t COMPREPLY < <(compgen -W '{' '.join(v.name for v in verbs)} --help --version' -- \"$cur\")",
           "\t\treturn\n\tfi\n\tcase $verb:$prev in"]
    for verb in verbs:
        for option, value, _ in verb.options:
            action = {"file": '-f', "folder": '-d', "node": f'-W "$({ASK["node"]})"',
                      "group": f'-W "$({ASK["group"]})"', "other": "-W ''"}[value_kind(value)]
            if value:
                out.append(f"\t{verb.name}:{option})\n\t\tmapfile -t COMPREPLY < <(compgen {action} -- \"$cur\")"
                           "\n\t\treturn ;;")
    out.append("\tesac\n\tcase $verb in")
    for verb in verbs:
        files = " -f" if verb.takes_file else ""
        words = " ".join([*verb.words, *(option for option, _, _ in verb.options)])
        out.append(f"\t{verb.name})\n\t\tmapfile -t COMPREPLY < <(compgen{files} -W '{words}' -- \"$cur\") ;;")
    out.append("\tesac\n}\ncomplete -F _carpool carpool\n")
    return "\n".join(out)


def zsh_quoted(text):
    return re.sub(r"([\[\]:'])", lambda m: "'\\''" if m[1] == "'" else "\\" + m[1], text)


def zsh(carpool):
    verbs = [(verb_of(carpool, name), summary) for name, summary in verbs_of(carpool)]
    actions = {"file": "_files", "folder": "_files -/", "node": "($(" + ASK["node"] + "))",
               "group": "($(" + ASK["group"] + "))", "other": " "}
    out = ["#compdef carpool\n" + HEAD, "_carpool_verbs()\n{\n\tlocal -a verbs=("]
    out += [f"\t\t'{verb.name}:{zsh_quoted(summary)}'" for verb, summary in verbs]
    out.append("\t)\n\t_describe verb verbs\n}\n\n_carpool()\n{\n\tlocal curcontext=$curcontext state line")
    out.append("\t_arguments -C '1: :_carpool_verbs' '*:: :->rest' && return\n\tcase ${line[1]} in")
    for verb, _ in verbs:
        out.append(f"\t{verb.name})\n\t\t_arguments \\")
        for option, value, text in verb.options:
            end = f":{value}:" + actions[value_kind(value)].replace("'", "'\\''") if value else ""
            out.append(f"\t\t\t'{option}[{zsh_quoted(text)}]{end}' \\")
        last = f"({' '.join(verb.words)})" if verb.words else "_files" if verb.takes_file else " "
        out.append(f"\t\t\t'*: :{last}' ;;")
    out.append("\tesac\n}\n\n_carpool \"$@\"\n")
    return "\n".join(out)


def fish(carpool):
    quote = lambda text: text.replace("\\", "\\\\").replace("'", "\\'")
    out = [HEAD, "complete -c carpool -f"]
    for name, summary in verbs_of(carpool):
        verb = verb_of(carpool, name)
        out.append(f"complete -c carpool -n __fish_use_subcommand -a {name} -d '{quote(summary)}'")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        if verb.words:
            out.append(f"complete -c carpool {seen} -a '{' '.join(verb.words)}'")
        for option, value, text in verb.options:
            kind = value_kind(value)
            take = {"file": " -r -F", "folder": " -r -F", "node": f" -x -a '({quote(ASK['node'])})'",
                    "group": f" -x -a '({quote(ASK['group'])})'", "other": " -x"}[kind] if value else ""
            out.append(f"complete -c carpool {seen} -l {option[2:]}{take} -d '{quote(text)}'")
    return "\n".join(out) + "\n"


KINDS = {"verb": page_verb, "main": page_main, "config": page_config, "schema": schema, "bash": bash, "zsh": zsh,
         "fish": fish}
if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    sys.stdout.write(KINDS[sys.argv[1]](*sys.argv[2:]))
