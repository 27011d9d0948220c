#!/usr/bin/env python3
import json, socket, sys                                    # handler_example.py SOCKET NAME PHASE
carpd = socket.socket(socket.AF_UNIX)
carpd.connect(sys.argv[1])
say = lambda line: carpd.sendall((json.dumps(line) + "\n").encode())
say({"op": "register", "name": sys.argv[2], "phase": sys.argv[3], "timeout_ms": 400, "required": False})
for line in map(json.loads, carpd.makefile()):
    print(json.dumps(line), flush=True)
    if line.get("event") in ("become_master", "become_backup"):
        say({"op": "done", "id": line["id"], "ok": True})   # or False, with "error": "why"
