#!/usr/bin/env python3
"""Lets the product and `aics-tlog`, a library for tiled transparency logs that is not ours, audit each other's logs.

    judge_tlog.py --tpw PROGRAM

A server stamps for strangers until its log has full tiles; the library opens the checkpoints, walks every tile and every entry,
and proves inclusion and consistency. Then a log that the library wrote goes to `tpw log fsck`. Of both logs each kind of file is
changed by one bit: neither accepts that.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request

import aics_tlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SOUND, UNSOUND = 0, 4
FIRST, LAST = 300, 700


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def that(self, what, true):
        self.passed, self.failed = self.passed + bool(true), self.failed + (not true)
        if not true:
            print(f"FAILED: {what}")


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def flip(path, place):
    data = bytearray(read(path))
    data[place] ^= 1
    with open(path, "wb") as file:
        file.write(data)


class Server:
    """An operator whose log grows by one entry for each time-stamp."""

    def __init__(self, tpw, folder):
        words = [tpw, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--json", "--tsa-clock", "declared:10", "--rate-limit", "100000", "--tsa-rate", "100000"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            said = json.loads(line)
            if "development_certificate" in said:
                break
        self.url, self.tls = said["url"], ssl.create_default_context(cafile=said["development_certificate"])

    def stamp(self, number):
        # RFC 3161 §2.4.1: version 1, SHA-256 of the number, nothing else.
        query = bytes.fromhex("30360201013031300d060960864801650304020105000420") + hashlib.sha256(b"%d" % number).digest()
        request = urllib.request.Request(self.url + "/tsa", data=query, headers={"content-type": "application/timestamp-query"})
        with urllib.request.urlopen(request, context=self.tls, timeout=20) as answer:
            return answer.read()

    def grow(self, numbers):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            return list(pool.map(self.stamp, numbers))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def opened(note, key):
    """The checkpoint in a note that this key has signed."""
    found = aics_tlog.verify_checkpoint(aics_tlog.parse_note(note.decode()), key, expected_origin=key.name)
    if not found.ok:
        raise ValueError(found.error)
    return found


def audit(folder, key):
    """What the library says of a log in a folder: its checkpoint, or nothing."""
    try:
        head = opened(read(folder, "checkpoint"), key)
        aics_tlog.audit_tiles(aics_tlog.FileSystemTileReader(folder), head.size, head.root)
        return head
    except (ValueError, FileNotFoundError):
        return None


def ours(tally, tpw, folder):
    """The library reads our log."""
    log, checkpoints = os.path.join(folder, "log"), []
    # A time-stamp never causes a checkpoint; a server that stops makes one.
    for numbers in (range(FIRST), range(FIRST, LAST)):
        server = Server(tpw, folder)
        try:
            server.grow(numbers)
        finally:
            server.stop()
        checkpoints.append(read(log, "checkpoint"))
    key = aics_tlog.parse_vkey(json.loads(read(folder, "trust.json"))["log_keys"][0])
    head, old = audit(log, key), opened(checkpoints[0], key)
    tally.that("the library finds our log sound", head is not None and head.size >= LAST > old.size >= FIRST)
    tiles = aics_tlog.VerifiedTileReader(aics_tlog.FileSystemTileReader(log), head.size, head.root)
    for index in (0, 1, 255, 256, 257, old.size, head.size - 1):
        proof = aics_tlog.inclusion_proof_from_tiles(tiles, index, head.size)
        holds = lambda leaf: aics_tlog.verify_leaf_inclusion(leaf, index, head.size, proof, head.root)
        tally.that(f"the library proves our entry {index}", holds(tiles.entry(index)))
        tally.that(f"and no other in its place {index}", not holds(tiles.entry(index)[:-1] + b"!"))
    proof = aics_tlog.consistency_proof_from_tiles(tiles, old.size, head.size)
    grown = lambda root: aics_tlog.verify_consistency(old.size, head.size, root, head.root, proof)
    tally.that("the library finds that our log only grew", grown(old.root))
    tally.that("and from no other tree", not grown(hashlib.sha256(old.root).digest()))
    broken(tally, "our log", log, lambda path: audit(path, key) is not None)


def theirs(tally, tpw, folder):
    """The product reads a log of the library."""
    private, name = Ed25519PrivateKey.generate(), "other.example/log"
    key = aics_tlog.vkey_from_ed25519(name, private.public_key())
    log, policy = os.path.join(folder, "log"), os.path.join(folder, "policy")
    writer = aics_tlog.IncrementalTileWriter(store := aics_tlog.DirectoryTileStore(log, fsync=False))
    for size in (FIRST, LAST):
        writer.append([b"entry %d" % number * (number % 7) for number in range(writer.size, size)])
        checkpoint = aics_tlog.Checkpoint(name, writer.size, writer.root())
        store.write_checkpoint(aics_tlog.sign_checkpoint(checkpoint, private, name).to_bytes())
    with open(policy, "w", encoding="utf-8") as file:
        file.write(f"log {aics_tlog.format_vkey(key)}\nquorum none\n")

    def fsck(path):
        words = [tpw, "log", "fsck", "--log", path, "--policy", policy]
        return {SOUND: True, UNSOUND: False}[subprocess.run(words, capture_output=True, timeout=60).returncode]

    tally.that("the product finds the library's log sound", fsck(log))
    tally.that("the library, too", audit(log, key) is not None)
    broken(tally, "the library's log", log, fsck)
    broken(tally, "the library's log, by the library", log, lambda path: audit(path, key) is not None)


def broken(tally, name, log, sound):
    """Of a copy of the log one bit is changed, in each kind of file."""
    paths = [("checkpoint", 0), ("checkpoint", -3), ("tile/0/000", 0), ("tile/0/001", 8191), ("tile/entries/000", 5), ("tile/entries/001", -1)]
    for level, places in (("0", (0, -1)), ("1", (0, -1)), ("entries", (5, -1))):
        part = f"tile/{level}/{'002' if level != '1' else '000'}.p"
        width = max(os.listdir(os.path.join(log, part)), key=int)
        paths += [(f"{part}/{width}", place) for place in places]
    for path, place in paths:
        with tempfile.TemporaryDirectory() as scratch:
            copy = shutil.copytree(log, os.path.join(scratch, "log"))
            flip(os.path.join(copy, path), place)
            tally.that(f"{name}: {path} with byte {place} changed is found", not sound(copy))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpw", required=True)
    tpw, tally = parser.parse_args().tpw, Tally()
    for judge in (ours, theirs):
        with tempfile.TemporaryDirectory() as folder:
            judge(tally, tpw, folder)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
