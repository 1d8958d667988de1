"""A gateway for SMS, for tests: HTTPS of the standard library, which says on stdout what it gets.

Usage: sms_gateway.py CERTIFICATE KEY. Prints a line of JSON with its port, then one for each request. Ends when stdin does."""

import http.server
import json
import ssl
import sys
import threading
import time

failing = {"/later": 2}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        names = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]
        headers = {name: self.headers[name] for name in names}
        print(json.dumps({"path": self.path, "headers": headers, "body": body}), flush=True)
        if self.path == "/slow":
            time.sleep(8)
        status = {"/refused": 422, "/closed": 403, "/moved": 302, "/broken": 503}.get(self.path, 202)
        if failing.get(self.path, 0) > 0:
            failing[self.path] -= 1
            status = 500
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_words):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
server.socket = context.wrap_socket(server.socket, server_side=True)
print(json.dumps({"port": server.server_port}), flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
