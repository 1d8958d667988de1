#!/usr/bin/env python3
"""Exports the good receipts of the corpus and gives their COSE messages to `cwt`, a COSE library that is not ours: the payer's
statement, the COSE receipt (RFC 9942), whose detached payload is the root that its path leads to, and both in one, a transparent
statement (RFC 9943). The checkpoint and the tlog-proof of the same folders go to the Go command's own packages `sumdb/note` and
`sumdb/tlog`. Then single bits are flipped, and parts put where they do not belong.

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
ALG, KID, RECEIPTS, VDS, VDP = 1, 4, 394, 395, 396


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def key_for(message, pem):
    outer = cbor2.loads(message)
    # A hybrid device's COSE_Sign has algorithm and key with each signature, the classical one first.
    protected = cbor2.loads(outer.value[3][0][0] if outer.tag == 98 else outer.value[0])
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
    second = os.path.join(folder, "device-key-ml-dsa-44.pem")
    if os.path.exists(second) != (cbor2.loads(message).tag == 98):
        return False
    if os.path.exists(second):
        second_holds(read(folder, "device-key-ml-dsa-44.pem"), message)
    return sha256(payload) == cbor2.loads(read(folder, "record.cbor"))[3]


def second_holds(pem, message):
    """RFC 9052 §4.4 for the second of two signatures, which `cwt` does not know."""
    protected, unprotected, payload, signatures = cbor2.loads(message).value
    own, beside, signature = signatures[1]
    header = cbor2.loads(own)
    key = serialization.load_pem_public_key(pem)
    thumbprint = sha256(cbor2.dumps({1: 7, 3: -48, -1: key.public_bytes_raw()}, canonical=True))
    if (len(signatures), unprotected, beside, header) != (2, {}, {}, {ALG: -48, KID: thumbprint}):
        raise ValueError("not the second signature of a hybrid device")
    key.verify(signature, cbor2.dumps(["Signature", protected, own, b"", payload]))


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


def bare(message):
    """A transparent statement as its payer signed it: the entry in the log commits to that."""
    protected, _unprotected, payload, signature = cbor2.loads(message).value
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def entry(folder, statement):
    """The log entry of a statement: spec/leaf.md."""
    record, salt = read(folder, "record.cbor"), read(folder, "salt.bin")
    kind = bytes([cbor2.loads(record)[1]])
    return b"tpw1" + kind + sha256(b"tpw/leaf/v1\0", kind, salt, sha256(statement), sha256(record))


def transparent_holds(folder, message):
    """RFC 9943 §7: the statement's signature, then each receipt, for the entry that is made of this very statement."""
    tag, (_protected, unprotected, _payload, _signature) = cbor2.loads(message).tag, cbor2.loads(message).value
    if tag != 18 or set(unprotected) != {RECEIPTS} or not unprotected[RECEIPTS]:
        return False
    if not statement_holds(folder, message) or entry(folder, bare(message)) != read(folder, "leaf.bin"):
        return False
    return all(receipt_holds(folder, receipt) for receipt in unprotected[RECEIPTS])


def misplaced(folder, other):
    """Transparent statements whose parts are each good and do not belong together."""
    protected, unprotected, payload, signature = cbor2.loads(read(folder, "transparent-statement.cose")).value
    strange = cbor2.loads(read(other, "transparent-statement.cose")).value
    made = lambda *parts: cbor2.dumps(cbor2.CBORTag(18, list(parts)))
    receipts = unprotected[RECEIPTS]
    return {
        "the receipt of another payment": made(protected, strange[1], payload, signature),
        "another payment under this receipt": made(strange[0], unprotected, strange[2], strange[3]),
        "one good and one strange receipt": made(protected, {RECEIPTS: [*receipts, *strange[1][RECEIPTS]]}, payload, signature),
        "no receipt in the list": made(protected, {RECEIPTS: []}, payload, signature),
        "no list of receipts": made(protected, {}, payload, signature),
        "the receipt under another label": made(protected, {VDP: receipts}, payload, signature),
        "a statement in the place of the receipt": made(protected, {RECEIPTS: [read(folder, "statement.cose")]}, payload, signature),
        "no payload": made(protected, unprotected, None, signature),
        "the receipt's signature": made(protected, unprotected, payload, cbor2.loads(receipts[0]).value[3]),
    }


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
    parts = (("statement.cose", statement_holds), ("receipt.cose", receipt_holds), ("transparent-statement.cose", transparent_holds))
    for part, check in parts:
        # A hybrid device's statement is no COSE_Sign1, as RFC 9943 has it.
        if not os.path.exists(os.path.join(folder, part)):
            tally.that(f"{name}: {part} is missing", part.startswith("transparent") and "hybrid" in name)
            continue
        message = read(folder, part)
        tally.that(f"{name}: {part} holds", holds(check, folder, message))
        for place in range(0, len(message), 23):
            bad = message[:place] + bytes([message[place] ^ 1]) + message[place + 1:]
            tally.that(f"{name}: {part} with byte {place} changed", not holds(check, folder, bad))


def transparent(tally, name, folder, other):
    message = read(folder, "transparent-statement.cose")
    tally.that(f"{name}: without its receipts it is the statement", bare(message) == read(folder, "statement.cose"))
    loose = [read(folder, part) for part in sorted(os.listdir(folder)) if part.startswith("receipt")]
    tally.that(f"{name}: its receipts are the loose ones", sorted(cbor2.loads(message).value[1][RECEIPTS]) == sorted(loose))
    for what, bad in misplaced(folder, other).items():
        tally.that(f"{name}: {what}", not holds(transparent_holds, folder, bad))


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
        whole = {name: folder for name, folder in folders.items() if os.path.exists(os.path.join(folder, "transparent-statement.cose"))}
        # Some receipts of the corpus are of one payment: a stranger is one of another.
        for name, folder in whole.items():
            others = (other for other in whole.values() if read(other, "statement.cose") != read(folder, "statement.cose"))
            transparent(tally, name, folder, next(others))
        some = dict(list(folders.items())[:5])
        log(tally, wanted.log, some)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
