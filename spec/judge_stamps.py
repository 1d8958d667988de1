#!/usr/bin/env python3
"""Asks a running authority for time-stamps under its three policies, and judges each by verifiers of others.

    judge_stamps.py --tpw PROGRAM

Each token goes to pyHanko, to `verify_tsp.py` and to `tpw tsa verify`: all accept it whole, and none accepts it with a byte of its
signatures changed, over other data, or under the root of the other key. Tokens of ML-DSA-65 are read by none of the other
stock verifiers.
"""

import argparse
import hashlib
import json
import logging
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings

from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509

import judge_tsp
import verify_tsp

POLICIES = {"usual": "1.3.6.1.4.1.32473.8.1", "compat": "1.3.6.1.4.1.32473.8.2", "second": "1.3.6.1.4.1.32473.8.3"}
ROOTS = {"usual": "tsa-root.der", "compat": "tsa-root.der", "second": "tsa-second-root.der"}
DATA, OTHER = b"what is stamped", b"what is not"


class Server:
    """An operator with the second key switched on."""

    def __init__(self, tpw, folder):
        self.folder = folder
        words = [tpw, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--json", "--tsa-clock", "declared:10"]
        words += ["--tsa-policy", POLICIES["usual"], "--tsa-compat-policy", POLICIES["compat"]]
        words += ["--tsa-pq-policy", POLICIES["second"]]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            said = json.loads(line)
            if "development_certificate" in said:
                break
        self.url, self.tls = said["url"] + "/tsa", ssl.create_default_context(cafile=said["development_certificate"])

    def stamp(self, policy):
        imprint = tsp.MessageImprint({"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(DATA).digest()})
        query = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "req_policy": policy, "nonce": 4711, "cert_req": True})
        headers = {"content-type": "application/timestamp-query"}
        request = urllib.request.Request(self.url, data=query.dump(), headers=headers)
        with urllib.request.urlopen(request, context=self.tls, timeout=20) as answer:
            return query.dump(), answer.read()

    def root(self, name):
        with open(os.path.join(self.folder, ROOTS[name]), "rb") as file:
            return file.read()


def pyhanko(_scratch, token, query, data, root):
    """By the code that judges the corpus, which reads its files by name."""
    files = {"token": token, "query": query, "data": data, "roots": root}
    judge_tsp.read = files.__getitem__
    judge_tsp.certificates = lambda _path: [asn1_x509.Certificate.load(root)]
    case = {"token": "token", "query": "query", "data": "data", "roots": "roots", "untrusted": None}
    return judge_tsp.verdict(judge_tsp.pyhanko, case) == judge_tsp.ACCEPTS


def second_verifier(_scratch, token, query, data, root):
    try:
        verify_tsp.check(token, [verify_tsp.Certificate(root)], data=data, query=query, untrusted=[], now_ms=time.time_ns() // 1_000_000)
    except verify_tsp.Fault:
        return False
    return True


def product(tpw):
    def judge(scratch, token, query, data, root):
        words = [tpw, "tsa", "verify"]
        for flag, content in (("token", token), ("query", query), ("data", data), ("roots", root)):
            path = os.path.join(scratch, flag)
            with open(path, "wb") as file:
                file.write(content)
            words += [f"--{flag}", path]
        return {0: True, 4: False}[subprocess.run(words, capture_output=True, timeout=20).returncode]
    return judge


def flipped(data, place):
    assert 0 <= place < len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]


def within_signature(token, name):
    """A place in the token's own signature, which comes last, right after its algorithm."""
    algorithm, inside = {"second": ("300b0609608648016503040312", 400)}.get(name, ("300a06082a8648ce3d040302", 24))
    algorithm = bytes.fromhex(algorithm)
    return token.rindex(algorithm) + len(algorithm) + inside


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpw", required=True)
    tpw = parser.parse_args().tpw
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # broken certificates are odd, and nobody reads what a library thinks of them
    judges, passed, failed = {"pyHanko": pyhanko, "verify_tsp.py": second_verifier, "tpw": product(tpw)}, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(tpw, os.path.join(folder, "operator"))
        try:
            for name, policy in POLICIES.items():
                query, token = server.stamp(policy)
                root, foreign = server.root(name), server.root("usual" if name == "second" else "second")
                cases = [("whole", token, DATA, root, True), ("other data", token, OTHER, root, False),
                         ("another root", token, DATA, foreign, False),
                         ("its last byte changed", flipped(token, len(token) - 1), DATA, root, False),
                         ("a byte of its signature changed", flipped(token, within_signature(token, name)), DATA, root, False)]
                for what, given, data, trusted, wanted in cases:
                    for judge, ask in judges.items():
                        right = ask(folder, given, query, data, trusted) == wanted
                        passed, failed = passed + right, failed + (not right)
                        if not right:
                            print(f"FAILED {judge}, {name}: {what}, wanted {wanted}")
        finally:
            server.process.terminate()
            server.process.wait(20)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
