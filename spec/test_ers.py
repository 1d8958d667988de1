#!/usr/bin/env python3
"""Has evidence records judged by Bouncy Castle, and Bouncy Castle's own by ours.

    test_ers.py --jars FOLDER [--judge-dir BINARY]

Method: `JudgeEvidence.java` judges the records of the corpus `vectors/receipts` by Bouncy Castle. It must accept every good
one, and refuse every broken one, except those that are named here with the reason. Then it makes records with an
authority of its own, begun in a tree, renewed, and renewed under another hash function: put into a receipt they must be
accepted by `verify.py` and by the product's judge, and refused in the receipt of another payment.
"""

import argparse
import base64
import glob
import json
import os
import subprocess
import sys
import tempfile

import cbor2

import verify
from test_verify import CORPUS, Tally, by_judge_dir, everything, manifest, read

JUDGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "JudgeEvidence.java")
# What Bouncy Castle does not look at, and so accepts: each with the rule of `receipt.md` that it breaks.
LENIENT = {
    "long-length": "DER", "indefinite-length": "DER", "token-certificates-not-sorted": "DER",
    "with-crypto-infos": "no cryptoInfos", "with-encryption-info": "no encryptionInfo", "with-attributes": "no attributes",
    "without-chains": "a chain", "chain-empty": "a time-stamp", "tree-with-65-lists": "64 lists",
    "functions-none": "digestAlgorithms", "functions-other": "digestAlgorithms", "functions-one-more": "digestAlgorithms",
    "functions-repeated": "digestAlgorithms", "functions-with-parameters": "digestAlgorithms",
    "functions-in-another-order": "digestAlgorithms",
    "imprint-under-another-function": "rule 1", "token-under-another-policy": "rule 2", "list-not-sorted": "rule 3",
    "list-with-a-hash-twice": "rule 3", "list-with-the-hash-of-the-one-before": "rule 3", "hash-of-another-length": "rule 3",
    "begun-before-the-token": "rule 5", "begun-after-the-certificate": "rule 7", "begun-after-the-algorithms": "rule 7",
}
# What RFC 4998 allows and Bouncy Castle does not take; `tpw` makes no such records.
STRICT = {
    "renewed-twice": "it wants all older time-stamps of a chain covered, not only the one before",
    "with-long-lists": "it hashes a list of several before the carried hash comes in, RFC 4998 §4.3 with it",
}


def java(jars, *words):
    path = os.pathsep.join(sorted(glob.glob(os.path.join(jars, "*.jar"))))
    run = subprocess.run(["java", "-cp", path, JUDGE, *words], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"test_ers.py: Bouncy Castle's judge ended with {run.returncode}: {run.stderr}")
    return run.stdout.splitlines()


def write(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def by_bouncy_castle(tally, options, folder):
    trust = json.loads(read(CORPUS, "trust.json"))
    root = write(folder, "root.der", der(trust["tsa_roots"][0]))
    names, words = [], []
    for case in manifest():
        name = os.path.basename(case["file"])[:-4]
        if not name.startswith("evidence-"):
            continue
        receipt = verify.read_receipt(read(CORPUS, case["file"]))
        # A receipt holds when each of its records does: the last one is what the case is about.
        data = write(folder, f"{name}.data", verify.archived(receipt))
        names.append((name, case["valid"]))
        words += [data, write(folder, f"{name}.ers", receipt[7][-1])]
    for (name, valid), said in zip(names, java(options.jars, "judge", root, *words)):
        short = name.removeprefix("evidence-")
        tally.check(f"{name} by Bouncy Castle ({said})", said == "accepts", short not in STRICT if valid else short in LENIENT)


def der(pem):
    return base64.b64decode("".join(pem.strip().split("\n")[1:-1]))


def pem(data):
    text = base64.b64encode(data).decode()
    lines = "\n".join(text[start:start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def of_bouncy_castle(tally, options, folder):
    trust = json.loads(read(CORPUS, "trust.json"))
    receipts = [verify.read_receipt(read(CORPUS, "good", name)) for name in ("ed25519.tpr", "p256.tpr")]
    data = write(folder, "data", verify.archived(receipts[0]))
    java(options.jars, "make", trust["tsa_policies"][0], data, folder)
    trust["tsa_roots"].append(pem(read(folder, "root.der")))
    trust_file = write(folder, "trust.json", json.dumps(trust).encode())
    known = verify.read_trust(json.dumps(trust))
    pairs, found = [], []
    for name in ("begun", "renewed", "rehashed"):
        for receipt, valid in zip(receipts, (True, False)):
            data = cbor2.dumps({**receipt, 7: [read(folder, f"{name}.ers")]}, canonical=True)
            verdict = verify.judge(data, known)
            tally.check(f"{name} of Bouncy Castle ({verdict['reason']})", verdict["valid"], valid)
            found.append(everything(verdict))
            pairs.append((trust_file, write(folder, f"{name}-{valid}.tpr", data)))
    if options.judge_dir:
        for (_, file), one, other in zip(pairs, found, by_judge_dir(options.judge_dir, pairs)):
            tally.check(f"{os.path.basename(file)} by judge_dir", other, one)


def main():
    parser = argparse.ArgumentParser(description="has evidence records judged by Bouncy Castle, and its own by ours")
    parser.add_argument("--jars", required=True, help="a folder with Bouncy Castle's bcpkix, bcprov and bcutil")
    parser.add_argument("--judge-dir", help="the example `judge_dir` of the crate `tpw-proof`")
    options = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        by_bouncy_castle(tally, options, folder)
    with tempfile.TemporaryDirectory() as folder:
        of_bouncy_castle(tally, options, folder)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
