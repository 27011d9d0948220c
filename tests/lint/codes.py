"""codes.py: every name in capitals that the daemons and the command can show has an entry in
ctl/codes.c (`carpool explain`), and every entry there is a name that something can show.

A string literal of capitals in the sources is such a name unless it is listed here as something else.
"""

import re

import tree

TABLE = "ctl/codes.c"
LITERAL = re.compile(r'"((?:\\.|[^"\\\n])*)"')
NAME = re.compile(r"^[A-Z][A-Z0-9_]+$")

NOT_CODES = {
    "nothing went wrong": "OK NONE FLOW_OK CTATTR_OK SYNCMSG_OK",
    "states of a TCP connection": "SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT "
                                  "CLOSE SYN_SENT2",
    "bits of a flow's status": "SEEN_REPLY ASSURED SRC_NAT DST_NAT OFFLOAD",
    "types of messages of the sync channel": "ACK BEGIN CHANGE COMPARE DELETE DIGEST DIGEST_BEGIN DIGEST_END "
        "END FETCH FETCH_END GONE HELLO NAMED ORIGIN PING ROLE TAIL_END UPSERT VERIFY VERIFY_ASK "
        "VERIFY_BUCKETS VERIFY_DIGEST VERIFY_END VERIFY_FLOW VERIFY_KERNEL WANT",
    "algorithms": "HKDF HMAC SHA1 SHA256 TLS_AES_128_GCM_SHA256",
    "environment": "JOURNAL_STREAM TZ TERM NO_COLOR CREDENTIALS_DIRECTORY NOTIFY_SOCKET",
    "a protocol's name in the text of an alarm": "CARP VRRP",
    "placeholders in --help": "ADDR DIR FILE GROUP NODE TIME CODE WORD PORT",
    "methods of HTTP": "GET HEAD",
    "levels of status --check": "WARNING CRITICAL UNKNOWN",
}
EXEMPT = {word for words in NOT_CODES.values() for word in words.split()}
# Names that the table has for a daemon of another version.
OF_OTHERS = {"CONNTRACK_MAX_DIFFERS"}


def literals(name):
    text = tree.read(name)
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#include"):
            continue
        for match in LITERAL.finditer(line):
            if NAME.match(match.group(1)):
                yield number, match.group(1)


def is_source(name):
    folder = name.split("/")[0]
    if folder == "ctl":
        return name.count("/") == 1 and name != TABLE
    return folder in ("carpd", "syncd", "common", "rules")


def main():
    entries = re.findall(r'\{CODE_([A-Z_]+),\s*"([A-Za-z0-9_]+)"', tree.read(TABLE))
    known = {name for _, name in entries}
    findings, seen, emitted = [], 0, set()
    for kind, name in entries:
        if entries.count((kind, name)) > 1:
            findings.append(f"{TABLE}: {name} stands there twice as {kind}")
    for source in tree.c_files():
        if not is_source(source):
            continue
        for number, name in literals(source):
            seen += 1
            emitted.add(name)
            if name not in known and name not in EXEMPT:
                findings.append(f"{source}:{number}: {name}: no entry in {TABLE} (what it means, what to "
                                "do); if people never see it: NOT_CODES in tests/lint/codes.py")
    for name in sorted(known - emitted - OF_OTHERS):
        if name.isupper():
            findings.append(f"{TABLE}: nothing shows {name}")
    tree.finish(sorted(set(findings)), seen)


main()
