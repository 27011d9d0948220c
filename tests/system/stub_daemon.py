#!/usr/bin/env python3
"""A daemon of the drill that is broken in one way: stub_daemon.py WAY REAL-PROGRAM ARGUMENTS...

  wrong-key     on node fw2 it reads another key than the others
  late-states   syncd is told of a promotion 0.7 s late, and carpd hears at once that it is done: addresses before states

Everything else is the real program, which takes this process' place.
"""
import json
import os
import re
import socket
import sys
import threading
import time

LATE_S = 0.7


def option(arguments, name):
    return arguments.index(name) + 1


def wrong_key(arguments):
    node, config = arguments[option(arguments, "--node")], option(arguments, "--config")
    if node == "fw2":
        with open(arguments[config], encoding="utf-8") as text:
            other = re.sub(r"[^\s\[\]\",]*drill\.key", "/run/carpool-drill/other.key", text.read())
        with open(os.open("/run/carpool-drill/other.key", os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as key:
            key.write("5a" * 32 + "\n")
        arguments[config] = "/run/carpool-drill/other.yaml"
        with open(arguments[config], "w", encoding="utf-8") as out:
            out.write(other)


def serve(syncd, carpd):
    """Between syncd and carpd; what comes from carpd after a become_master waits, so that the order stays."""
    late = []

    def to_syncd():
        for line in carpd.makefile("r"):
            event = json.loads(line)
            if event.get("event") == "become_master":
                carpd.sendall((json.dumps({"op": "done", "id": event["id"], "ok": True}) + "\n").encode())
                late.append(event["id"])
                time.sleep(LATE_S)
            syncd.sendall(line.encode())
        syncd.shutdown(socket.SHUT_RDWR)
    threading.Thread(target=to_syncd, daemon=True).start()
    for line in syncd.makefile("r"):
        if json.loads(line).get("id") not in late:
            carpd.sendall(line.encode())


def listen(listener, real):
    while True:
        syncd, _ = listener.accept()
        carpd = socket.socket(socket.AF_UNIX)
        try:
            carpd.connect(real)
        except OSError:  # carpd is not up yet: syncd asks again
            syncd.close()
            continue
        threading.Thread(target=serve, args=(syncd, carpd), daemon=True).start()


def late_states(arguments):
    runtime = option(arguments, "--runtime-dir")
    real, own = arguments[runtime], arguments[runtime] + "/late"
    os.makedirs(own, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(own + "/carpd.sock")
    listener.listen(8)
    os.symlink(own + "/syncd.sock", real + "/syncd.sock")
    arguments[runtime] = own
    if os.fork() == 0:
        listen(listener, real + "/carpd.sock")


if __name__ == "__main__":
    words = sys.argv[3:]
    {"wrong-key": wrong_key, "late-states": late_states}[sys.argv[1]](words)
    os.execv(sys.argv[2], [sys.argv[2], *words])
