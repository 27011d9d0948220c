#!/usr/bin/env python3
"""A daemon that says what the test wants: fake_daemon.py SOCKET < SCRIPT

SCRIPT is JSON: {"op": ANSWERS, ...}. ANSWERS is a list of lines, each sent as it is (an object becomes one line;
a string is sent raw); "close" closes, "hang" stops answering, {"pause_ms": N} waits. Every request is printed on
standard output. It knows nothing of carpool: what the real daemons say is tested elsewhere.
"""
import contextlib
import json
import os
import socket
import sys
import threading
import time


def serve(connection, script):
    with connection, connection.makefile("r") as lines, contextlib.suppress(OSError):
        for line in lines:
            print(line, end="", flush=True)
            for answer in script.get(json.loads(line)["op"], ["close"]):
                if answer == "close":
                    return
                if answer == "hang":
                    time.sleep(3600)
                if isinstance(answer, dict) and "pause_ms" in answer:
                    time.sleep(answer["pause_ms"] / 1000)
                    continue
                text = answer if isinstance(answer, str) else json.dumps(answer) + "\n"
                connection.sendall(text.encode())


def main():
    path, script = sys.argv[1], json.load(sys.stdin)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    print("READY", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, script), daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.umask(0)
    main()
