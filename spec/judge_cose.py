#!/usr/bin/env python3
"""Exports the good receipts of the corpus and gives their COSE messages to `cwt`, a COSE library that is not ours: the payer's
statement, and the COSE receipt (RFC 9942), whose detached payload is the root that its path leads to. The checkpoint and the tlog-proof of
the same folders go to the Go command's own packages `sumdb/note` and `sumdb/tlog`. Then single bits are flipped.

    judge_cose.py --tpw PROGRAM --log PROGRAM
"""

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cwt import COSE, COSEKey

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors", "receipts")
# RFC 9053 and RFC 9864.
ALGORITHMS = {-7: "ES256", -8: "EdDSA", -9: "ESP256", -19: "Ed25519"}
ALG, KID, VDS, VDP = 1, 4, 395, 396


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def key_for(message, pem):
    protected = cbor2.loads(cbor2.loads(message).value[0])
    return COSEKey.from_pem(pem, kid=protected[KID], alg=ALGORITHMS[protected[ALG]])


def log_keys(trust):
    known = {"Ed25519": ed25519.Ed25519PublicKey.from_public_bytes,
             "P-256": lambda raw: ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)}
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    keys = json.loads(trust)["cose_keys"]
    read_keys = [known[key["algorithm"]](base64.b64decode(key["key"])) for key in keys]
    return [key.public_bytes(serialization.Encoding.PEM, form) for key in read_keys]


def root(leaf, size, index, path):
    """RFC 9162 §2.1.3.2."""
    node, last, found = index, size - 1, sha256(b"\0", leaf)
    for sibling in path:
        if last == 0:
            raise ValueError("a path that is too long")
        if node & 1 or node == last:
            found = sha256(b"\1", sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = sha256(b"\1", found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ValueError("a path that is too short")
    return found


def statement_holds(folder, message):
    pem = read(folder, "device-key.pem")
    payload = COSE.new().decode(message, key_for(message, pem))
    return sha256(payload) == cbor2.loads(read(folder, "record.cbor"))[3]


def receipt_holds(folder, message):
    protected, unprotected, payload, _signature = cbor2.loads(message).value
    size, index, path = cbor2.loads(unprotected[VDP][-1][0])
    if payload is not None or cbor2.loads(protected)[VDS] != 1:
        return False
    found = root(read(folder, "leaf.bin"), size, index, path)
    if not any(holds(signed_root(found, pem), folder, message) for pem in log_keys(read(folder, "trust.json"))):
        return False
    signed = read(folder, "checkpoint").decode().split("\n")
    return (str(size), base64.b64encode(found).decode()) == (signed[1], signed[2])


def signed_root(found, pem):
    """Whether a key that the verifier trusts has signed this root."""
    return lambda _folder, message: COSE.new().decode(message, key_for(message, pem), detached_payload=found) == found


def holds(check, folder, message):
    try:
        return check(folder, message)
    except Exception:  # pylint: disable=broad-except
        # A library refuses in many ways; each is a refusal.
        return False


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def that(self, what, true):
        self.passed, self.failed = self.passed + bool(true), self.failed + (not true)
        if not true:
            print(f"FAILED: {what}")


def cose(tally, name, folder):
    for part, check in (("statement.cose", statement_holds), ("receipt.cose", receipt_holds)):
        message = read(folder, part)
        tally.that(f"{name}: {part} holds", holds(check, folder, message))
        for place in range(0, len(message), 23):
            bad = message[:place] + bytes([message[place] ^ 1]) + message[place + 1:]
            tally.that(f"{name}: {part} with byte {place} changed", not holds(check, folder, bad))


def copied(folder, to, name, content):
    os.mkdir(to)
    for part in ("checkpoint", "leaf.bin", "proof.tlog-proof"):
        with open(os.path.join(to, part), "wb") as file:
            file.write(content if part == name else read(folder, part))


def log(tally, program, folders):
    """The Go packages know the log's Ed25519 line; those of other keys they pass over."""
    for number, (name, folder) in enumerate(folders.items()):
        trust = json.loads(read(folder, "trust.json"))
        expected = {folder: "holds"}
        for part in ("checkpoint", "leaf.bin", "proof.tlog-proof"):
            content = read(folder, part)
            for place in range(0, min(len(content), 140), 13):
                to = f"{folder}-{number}-{part}-{place}"
                copied(folder, to, part, content[:place] + bytes([content[place] ^ 1]) + content[place + 1:])
                expected[to] = "refused"
        ran = subprocess.run([program, trust["log_keys"][0], *expected], capture_output=True, text=True, timeout=60)
        found = dict(line.split("\t") for line in ran.stdout.splitlines())
        for path, want in expected.items():
            tally.that(f"{name}: {os.path.basename(path)}: {found.get(path)}", found.get(path, "").startswith(want))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpw", required=True)
    parser.add_argument("--log", required=True)
    wanted = parser.parse_args()
    tally, folders = Tally(), {}
    with open(os.path.join(CORPUS, "manifest.json"), encoding="utf-8") as file:
        cases = [case for case in json.load(file) if case["valid"]]
    with tempfile.TemporaryDirectory() as temporary:
        for case in cases:
            folder = os.path.join(temporary, os.path.basename(case["file"]))
            call = [wanted.tpw, "receipt", "export", os.path.join(CORPUS, case["file"]), "--out", folder]
            subprocess.run([*call, "--trust", os.path.join(CORPUS, case["trust"])], check=True, capture_output=True, timeout=60)
            if os.path.exists(os.path.join(folder, "receipt.cose")):
                cose(tally, case["file"], folder)
            folders[case["file"]] = folder
        some = dict(list(folders.items())[:5])
        log(tally, wanted.log, some)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
