"""A time-stamp authority for tests: `openssl ts -reply` behind HTTP, which by its path behaves or does not.

Usage: timestamp_authority.py FOLDER, with `good.cnf`, `expired.cnf` and `stranger.cnf` in it. Prints a line of JSON with its port.
Ends when stdin does."""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

REPLY = "application/timestamp-reply"
REJECTED = bytes.fromhex("30053003020102")
POLICY, OTHER = bytes.fromhex("060a2b0601040181fd590701"), bytes.fromhex("060a2b0601040181fd590702")
folder = sys.argv[1]
one_at_a_time = threading.Lock()


def stamped(request, config="good.cnf"):
    """What OpenSSL answers. It keeps the serial number in a file."""
    with one_at_a_time, tempfile.TemporaryDirectory() as scratch:
        query, answer = (os.path.join(scratch, name) for name in ("query", "answer"))
        with open(query, "wb") as file:
            file.write(request)
        subprocess.run(["openssl", "ts", "-reply", "-config", config, "-queryfile", query, "-out", answer],
                       cwd=folder, check=True, stderr=subprocess.DEVNULL)
        with open(answer, "rb") as file:
            return file.read()


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]


def of_another_nonce(request):
    """The nonce stands before the three bytes that ask for the certificate."""
    assert request[-3:] == b"\x01\x01\xff"
    return flipped(request, len(request) - 4)


def of_another_imprint(request):
    head = b"\x04\x20" if b"\x04\x20" in request else b"\x04\x40"
    return flipped(request, request.index(head) + 2)


def of_another_policy(request):
    assert POLICY in request
    return request.replace(POLICY, OTHER)


ANSWERS = {
    "/good": stamped,
    "/nonce": lambda request: stamped(of_another_nonce(request)),
    "/imprint": lambda request: stamped(of_another_imprint(request)),
    "/policy": lambda request: stamped(of_another_policy(request)),
    "/expired": lambda request: stamped(request, "expired.cnf"),
    "/stranger": lambda request: stamped(request, "stranger.cnf"),
    "/torn": lambda request: stamped(request)[:-1],
    "/rejected": lambda request: REJECTED,
    "/empty": lambda request: b"",
    "/huge": lambda request: b"\x30\x83\x10\x00\x00" + bytes(1 << 20),
    "/text": stamped,
    "/moved": lambda request: b"",
    "/broken": stamped,
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = self.rfile.read(int(self.headers["content-length"]))
        assert self.headers["content-type"] == "application/timestamp-query"
        if self.path == "/hanging":
            time.sleep(60)
        answer = ANSWERS[self.path](request)
        self.send_response({"/moved": 307, "/broken": 500}.get(self.path, 200))
        if self.path == "/moved":
            self.send_header("location", "/good")
        self.send_header("content-type", "text/plain" if self.path == "/text" else REPLY)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        try:
            self.wfile.write(answer)
        except ConnectionError:
            pass  # who reads no more than it needs

    def log_message(self, *_words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(json.dumps({"port": server.server_port}), flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
