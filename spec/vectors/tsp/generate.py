#!/usr/bin/env python3
"""Writes the corpus of time-stamps, or checks that the files are what it would write.

    generate.py [--check]

Beside this file: `cases.py` says what each case is, `tokens.py` and `certificates.py` make it, byte by byte, with
asn1crypto and cryptography. Nothing here is shared with a verifier.
"""

import argparse
import json
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cases import CASES, ROOTS
from certificates import KEPT
from tokens import DATA, response

HERE = os.path.dirname(os.path.abspath(__file__))
MADE = ("tokens", "queries", "trust")  # folders that hold nothing but what is written here


def pem(certificates):
    return b"".join(x509.load_der_x509_certificate(one.der).public_bytes(Encoding.PEM) for one in certificates)


def files():
    """Every file of the corpus: path, content."""
    found = {"data.txt": DATA}
    found.update({f"trust/{name}.pem": pem([root]) for name, root in ROOTS.items()})
    entries = []
    for case in CASES:
        token, query, untrusted = f"tokens/{case.name}.tsr", None, None
        found[token] = response(case.plan)
        if case.query is not None:
            query = f"queries/{case.name}.tsq"
            found[query] = case.query
        if case.untrusted is not None:
            untrusted = f"trust/{case.name}-untrusted.pem"
            found[untrusted] = pem(case.untrusted)
        entries.append({
            "name": case.name,
            "token": token,
            "data": "data.txt",
            "query": query,
            "roots": f"trust/{case.roots}.pem",
            "untrusted": untrusted,
            "expect": "accept" if case.accept else "reject",
            "why": case.why,
            "arguable": case.arguable,
        })
    assert len({entry["name"] for entry in entries}) == len(entries), "two cases have the same name"
    found["index.json"] = (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode()
    found["keys/signatures.json"] = KEPT.text().encode()
    return found


def on_disk(path):
    try:
        with open(os.path.join(HERE, path), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def strangers(found):
    """Files in the made folders that no case has."""
    for folder in MADE:
        place = os.path.join(HERE, folder)
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else []:
            if f"{folder}/{name}" not in found:
                yield f"{folder}/{name}"


def check(found):
    wrong = [f"{path} is not what generate.py writes" for path in found if on_disk(path) != found[path]]
    wrong += [f"{path} belongs to no case" for path in strangers(found)]
    for line in wrong:
        print(f"{line}; run spec/vectors/tsp/generate.py")
    return 1 if wrong else 0


def write(found):
    for path in strangers(found):
        os.remove(os.path.join(HERE, path))
    for path, data in found.items():
        os.makedirs(os.path.dirname(os.path.join(HERE, path)), exist_ok=True)
        with open(os.path.join(HERE, path), "wb") as file:
            file.write(data)
    return 0


def main():
    parser = argparse.ArgumentParser(description="writes the corpus of time-stamps")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is another")
    found = files()
    code = check(found) if parser.parse_args().check else write(found)
    print(f"{len(CASES)} tokens, {sum(case.accept for case in CASES)} of them valid")
    return code


if __name__ == "__main__":
    sys.exit(main())
