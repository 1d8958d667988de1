#!/usr/bin/env python3
"""Lets the product and `python-opentimestamps`, the reference library, read each other's proofs: a calendar that is made of the
library promises, mines a block and answers; the product stamps, upgrades and verifies. Then proofs are changed.

    judge_ots.py --tpw PROGRAM
"""

import argparse
import hashlib
import http.server
import json
import os
import random
import subprocess
import sys
import tempfile
import threading

from bitcoin.core import CBlockHeader
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpAppend, OpHexlify, OpKECCAK256, OpPrepend, OpReverse, OpSHA1, OpSHA256
from opentimestamps.core.serialize import BytesDeserializationContext, BytesSerializationContext, DeserializationError
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp, make_merkle_tree

import verify

EASY = 0x207FFFFF
FIRST = 700
DONE, USAGE, NOT_VERIFIED, LATER = 0, 2, 4, 75


def written(stamp):
    context = BytesSerializationContext()
    stamp.serialize(context)
    return context.getbytes()


def read(data):
    return DetachedTimestampFile.deserialize(BytesDeserializationContext(data))


def mined(root, previous):
    """A block header with this root and its work done."""
    for nonce in range(1 << 32):
        header = CBlockHeader(nVersion=1, hashPrevBlock=previous, hashMerkleRoot=root, nTime=1700000000, nBits=EASY, nNonce=nonce)
        if header.GetHash()[31] < 0x7F:
            return header
    raise AssertionError("no nonce")


class Calendar(http.server.ThreadingHTTPServer):
    """What `otsd` does, with one block on demand: commitments become leaves of a tree whose root stands in a transaction."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.commitments, self.asked, self.headers = {}, [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def submit(self, digest):
        stamp = Timestamp(digest)
        commitment = stamp.ops.add(OpPrepend(b"\x5f\x11")).ops.add(OpSHA256()).ops.add(OpAppend(os.urandom(8)))
        commitment.attestations.add(PendingAttestation(self.url))
        self.commitments[commitment.msg] = Timestamp(commitment.msg)
        return written(stamp)

    def mine(self):
        self.commitments.setdefault(b"another's", Timestamp(b"another's"))
        tip = make_merkle_tree(list(self.commitments.values()))
        transaction = tip.ops.add(OpPrepend(b"\x01\0\0\0transaction")).ops.add(OpAppend(b"\0\0\0\0"))
        root = transaction.ops.add(OpSHA256()).ops.add(OpSHA256())
        root.attestations.add(BitcoinBlockHeaderAttestation(FIRST + 1))
        self.headers = [mined(b"\1" * 32, b"\0" * 32)]
        self.headers.append(mined(root.msg, self.headers[0].GetHash()))


class Answer(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        digest = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(digest)
        self.say(*((200, self.server.submit(digest)) if self.path == "/digest" and len(digest) == 32 else (400, b"")))

    def do_GET(self):
        known = self.server.commitments.get(bytes.fromhex(self.path.removeprefix("/timestamp/")))
        ready = known is not None and self.server.headers
        self.say(*((200, written(known)) if ready else (404, b"Pending confirmation in Bitcoin blockchain")))


class Judge:
    def __init__(self, tpw, folder):
        self.tpw, self.folder = tpw, folder
        self.passed, self.failed = 0, 0

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def content(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def run(self, *words):
        return subprocess.run([self.tpw, "ots", *words, "--json"], capture_output=True, text=True, timeout=60)

    def holds(self, what, true):
        self.passed, self.failed = self.passed + bool(true), self.failed + (not true)
        if not true:
            print(f"FAILED: {what}")

    def verify(self, proof, headers, *more):
        words = ["--data", self.path("file"), "--headers", headers, "--first-height", str(FIRST), "--network", "regtest"]
        return self.run("verify", proof, *words, *more)

    def exchange(self):
        """From a file to a block, with two calendars and one that does not answer."""
        first, second = Calendar(), Calendar()
        file, proof = self.path("file", b"what is to be proved"), self.path("file.ots")
        dead = "http://127.0.0.1:1"
        ran = self.run("stamp", file, "--calendar", first.url, "--calendar", dead, "--calendar", second.url + "/")
        self.holds("stamped, and the calendar that is away is told", ran.returncode == DONE and dead in ran.stderr)
        self.holds("calendars do not see the file's hash", first.asked == second.asked and
                   first.asked != [hashlib.sha256(b"what is to be proved").digest()])
        theirs = read(self.content("file.ots"))
        self.holds("the library reads it", theirs.file_digest == hashlib.sha256(b"what is to be proved").digest())
        self.holds("and writes the same", written(theirs) == self.content("file.ots"))
        pending = {attestation.uri for _, attestation in theirs.timestamp.all_attestations()}
        self.holds("both promises", pending == {first.url, second.url})

        at = ["--calendar", first.url, "--calendar", second.url]
        before = self.content("file.ots")
        self.holds("no block yet", self.run("upgrade", proof, *at).returncode == LATER and self.content("file.ots") == before)
        first.mine()
        self.holds("who is not named is not asked", self.run("upgrade", proof, "--calendar", dead).returncode == LATER)
        self.holds("upgraded", self.run("upgrade", proof, *at).returncode == DONE)
        theirs = read(self.content("file.ots"))
        self.holds("the library writes the upgraded one too", written(theirs) == self.content("file.ots"))
        found = [(message, one) for message, one in theirs.timestamp.all_attestations() if isinstance(one, BitcoinBlockHeaderAttestation)]
        self.holds("the library verifies it", [one.verify_against_blockheader(message, first.headers[1]) for message, one in found] == [1700000000])
        self.judged(proof, first)
        self.changed(first)

    def judged(self, proof, calendar):
        headers = self.path("headers", b"".join(header.serialize() for header in calendar.headers))
        ran = self.verify(proof, headers)
        self.holds("verified", ran.returncode == DONE and json.loads(ran.stdout)["height"] == str(FIRST + 1))
        self.holds("at the time of the block", json.loads(ran.stdout or "{}").get("time", "").startswith("2023-11-14T22:13:20"))
        digest = ["--digest", hashlib.sha256(b"what is to be proved").hexdigest(), "--headers", headers]
        self.holds("by the hash alone", self.run("verify", proof, *digest, "--first-height", str(FIRST), "--network", "regtest").returncode == DONE)
        self.holds("not as Bitcoin's", self.verify(proof, headers, "--network", "main").returncode in (USAGE, NOT_VERIFIED))
        self.holds("not at another height", self.run("verify", proof, *digest, "--network", "regtest").returncode == NOT_VERIFIED)
        other = ["--data", headers, "--headers", headers, "--first-height", str(FIRST), "--network", "regtest"]
        self.holds("not for another file", self.run("verify", proof, *other).returncode == NOT_VERIFIED)
        raw = self.content("headers")
        for place in range(3, len(raw), 11):
            bad = self.path("bad-headers", raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1:])
            # The version, time and nonce of the last block are tied to nothing after it; half of all bits leave an easy work done.
            free = 80 <= place < 84 or place >= 80 + 68
            self.holds(f"headers with byte {place} changed", free or self.verify(proof, bad).returncode == NOT_VERIFIED)
        swapped = self.path("bad-headers", raw[80:] + raw[:80])
        self.holds("headers in another order", self.verify(proof, swapped).returncode == NOT_VERIFIED)
        self.holds("no headers", self.verify(proof, self.path("bad-headers", b"")).returncode == NOT_VERIFIED)

    def changed(self, calendar):
        """Whatever of a changed proof is accepted, the library reads and writes the same."""
        good, headers = self.content("file.ots"), self.path("headers")
        for place in range(0, len(good), 3):
            data = good[:place] + bytes([good[place] ^ 1]) + good[place + 1:]
            bad = self.path("bad.ots", data)
            known = self.run("info", bad).returncode == DONE
            try:
                reread = written(read(data)) == data
            except (DeserializationError, ValueError, OSError):
                reread = False
            self.holds(f"byte {place} changed: read here, not there", reread or not known)
            if self.verify(bad, headers).returncode == DONE:
                blocks = [(m, one) for m, one in read(data).timestamp.all_attestations() if isinstance(one, BitcoinBlockHeaderAttestation)]
                self.holds(f"byte {place} changed: another proof", any(m == calendar.headers[1].hashMerkleRoot for m, _ in blocks))
            else:
                self.holds(f"byte {place} changed: refused", True)

    def files(self, count):
        """Proofs that the library has made at random."""
        chance = random.Random(7)
        for number in range(count):
            stamp = Timestamp(chance.randbytes(32))
            expected = []
            for _ in range(chance.randint(1, 6)):
                node = stamp
                for _ in range(chance.randint(0, 9)):
                    argument = chance.randbytes(chance.randint(1, 40))
                    ops = [OpSHA256(), OpAppend(argument), OpPrepend(argument), OpReverse(), OpSHA1(), OpKECCAK256()]
                    ops += [OpHexlify()] if len(node.msg) < 200 else []
                    node = node.ops.add(chance.choice(ops))
                height = chance.randrange(1 << chance.randint(1, 60))
                node.attestations.add(chance.choice([BitcoinBlockHeaderAttestation(height), PendingAttestation(f"https://c{height}.example")]))
            for _, one in stamp.all_attestations():
                expected.append({"pending": one.uri} if isinstance(one, PendingAttestation) else {"bitcoin": str(one.height)})
            ran = self.run("info", self.path("theirs.ots", written(DetachedTimestampFile(OpSHA256(), stamp))))
            said = json.loads(ran.stdout) if ran.returncode == DONE else {}
            key = lambda one: json.dumps(one, sort_keys=True)
            self.holds(f"the library's proof {number}", sorted(said.get("attestations", []), key=key) == sorted(expected, key=key)
                       and said["digest"] == stamp.msg.hex())

    def refused(self):
        calendar = Calendar()
        file = self.path("file")
        self.holds("no calendar", self.run("stamp", file, "--calendar", "http://127.0.0.1:1").returncode == LATER)
        self.holds("no address", self.run("stamp", file, "--calendar", "ftp://127.0.0.1").returncode == LATER)
        self.holds("not a word about calendars", self.run("stamp", file).returncode == USAGE)
        for body in (b"", b"\0", b"\x08" * 300, os.urandom(20_000)):
            calendar.submit = lambda _digest, body=body: body
            ran = self.run("stamp", file, "--calendar", calendar.url, "--out", self.path("none.ots"))
            self.holds("an answer that is no proof", ran.returncode == LATER and not os.path.exists(self.path("none.ots")))


    def receipt(self):
        """A receipt whose checkpoint is stamped: both verifiers prove it by the block, and by nothing else."""
        vectors = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
        with open(os.path.join(vectors, "receipt-v1.tpr"), "rb") as file:
            receipt, trust = self.path("receipt.tpr", file.read()), os.path.join(vectors, "receipt-v1.trust.json")
        parts = self.path("parts")
        tpw = lambda *words: subprocess.run([self.tpw, *words, "--json"], capture_output=True, text=True, timeout=60)
        tpw("receipt", "export", receipt, "--trust", trust, "--out", parts)
        stamped, proof = os.path.join(parts, "checkpoint"), os.path.join(parts, "checkpoint.ots")
        calendar = Calendar()
        self.run("stamp", stamped, "--calendar", calendar.url)
        before = self.content("receipt.tpr")
        attach = lambda *more: self.run("attach", receipt, "--proof", proof, "--trust", trust, *more).returncode
        self.holds("a promise is not attached", attach() == LATER and self.content("receipt.tpr") == before)
        calendar.mine()
        self.run("upgrade", proof, "--calendar", calendar.url)
        untold = self.run("attach", receipt, "--proof", proof).returncode
        self.holds("not without saying whom to trust", untold == USAGE and self.content("receipt.tpr") == before)
        self.holds("attached", attach() == DONE and self.content("receipt.tpr") != before)
        once = self.content("receipt.tpr")
        self.holds("once", attach() == DONE and self.content("receipt.tpr") == once)
        self.holds("the stamped checkpoint named", attach("--checkpoint", stamped) == DONE)
        self.holds("not with another one", attach("--checkpoint", receipt) == NOT_VERIFIED)
        other = self.path("other.tpr", before)
        alone = self.run("attach", other, "--proof", self.path("file.ots"), "--trust", trust).returncode
        self.holds("not of another file", alone == USAGE and self.content("other.tpr") == before)

        headers = self.path("headers", b"".join(header.serialize() for header in calendar.headers))
        known = ["--headers", headers, "--first-height", str(FIRST), "--network", "regtest"]
        level = lambda *more: json.loads(tpw("verify", receipt, "--trust", trust, *more).stdout)["levels"][4]["outcome"]
        self.holds("without headers nothing is anchored", level() == "absent")
        self.holds("with them it is", level(*known) == "proved")
        first = self.path("first", calendar.headers[0].serialize())
        self.holds("not by another block", level("--headers", first, *known[2:]) == "absent")
        self.holds("a block of something else refutes it", level("--headers", first, "--first-height", str(FIRST + 1), *known[4:]) == "failed")
        with open(trust, encoding="utf-8") as file:
            text = json.load(file)
        texts = [header.serialize().hex() for header in calendar.headers]
        for name, listed, wanted in (("all", texts, "proved"), ("first", texts[:1], "absent")):
            text["bitcoin_headers"] = [{"network": "regtest", "first_height": FIRST, "headers": listed}]
            path = self.path(f"trust-{name}.json", json.dumps(text).encode())
            second = verify.judge(once, verify.read_trust(json.dumps(text)))["levels"]["anchored"]
            said = json.loads(tpw("verify", receipt, "--trust", path).stdout)["levels"][4]["outcome"]
            self.holds(f"both verifiers by the trust file with {name}", (said, second) == (wanted, wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpw", required=True)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(os.path.abspath(wanted.tpw), folder)
        judge.exchange()
        judge.files(60)
        judge.refused()
        judge.receipt()
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main())
