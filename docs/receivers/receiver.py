#!/usr/bin/env python3
"""A verified receiver of web hooks in Python, with nothing but its standard library:

    PORT=3001 SECRET_FILE=./secret python3 receiver.py

The file has the hook's signing secret (whsec_...) on its first line, and during a rotation the one before it on the second.

verified() is what the Standard Webhooks specification asks of a receiver: "v1," and the base64 of the HMAC-SHA256 over
"{webhook-id}.{webhook-timestamp}.{body}", keyed with the base64 after whsec_; several signatures may stand in the header, with spaces
between them; a timestamp may be five minutes off.
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import threading
import time

BODY_CAP_BYTES = 16 * 1024 * 1024
KNOWN_IDS = 10_000
TOLERANCE_S = 300


def read_keys(path):
    with open(path, encoding="utf-8") as file:
        secrets = file.read().split()
    if not secrets or not all(secret.startswith("whsec_") for secret in secrets):
        raise SystemExit(f"{path}: one whsec_... secret a line is wanted")
    return [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in secrets]


KEYS = read_keys(os.environ["SECRET_FILE"])
NUMBER = re.compile("[0-9]{1,12}")
known = {}  # the ids of the last deliveries, and whether each is done: one that comes again is answered, and not worked on again
lock = threading.Lock()


def claim(delivery):
    """None for a new delivery, which is the caller's now; else whether it is done."""
    with lock:
        done = known.get(delivery)
        known.setdefault(delivery, False)
        if len(known) > KNOWN_IDS:
            del known[next(iter(known))]
        return done


def verified(headers, body):
    delivery, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
    if not delivery or not NUMBER.fullmatch(timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    content = f"{delivery}.{timestamp}.".encode() + body
    digests = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()) for key in KEYS]
    given = [part[3:].encode() for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
    return any(hmac.compare_digest(digest, one) for digest in digests for one in given)


def handle(event):
    """Yours: what is to be done about an event."""
    fields = ("method", "type", "userName", "params", "result", "error")
    print(json.dumps({name: event[name] for name in fields if name in event}), flush=True)


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not NUMBER.fullmatch(length):
            return self.answer(411)
        if int(length) > BODY_CAP_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))  # the bytes as they came: what is signed is these
        if not verified(self.headers, body):
            return self.answer(401)
        delivery = self.headers["webhook-id"]
        done = claim(delivery)
        if done is None:
            try:
                handle(json.loads(body))
            except Exception as error:
                known.pop(delivery, None)
                self.log_error("%s: %r", delivery, error)
                return self.answer(500)  # xo-hooks tries again
            known[delivery] = True
        elif not done:
            return self.answer(503)  # it is being worked on; xo-hooks comes again
        return self.answer(200)

    def answer(self, status):
        self.close_connection = status in (411, 413)  # the body was not read
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, *_):
        pass


if __name__ == "__main__":
    with http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3001"))), Receiver) as server:
        print(f"listening on port {server.server_port}", flush=True)
        server.serve_forever()
