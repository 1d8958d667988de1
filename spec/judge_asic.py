#!/usr/bin/env python3
"""Exports receipts as ASiC-S and asks EU DSS, the validator of the European Commission, what they prove: a new one by its time-stamp,
those of the corpus that have an evidence record by that. Then changes the containers.

    judge_asic.py --tpw PROGRAM --class-path FILE
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "judges", "asic", "JudgeAsic.java")
CORPUS = os.path.join(HERE, "vectors", "receipts")
OBJECT, TOKEN = "checkpoint", "META-INF/timestamp.tst"
ARCHIVED, RECORD = "archived.cbor", "META-INF/evidencerecord.ers"
# What is broken in a way that DSS passes over, or weighs in its policy and not in what it found: forms of the DER, the list of hash
# functions at the front, order and shape of the lists, our policies, and times.
LAXER = {f"broken/evidence-{name}.tpr" for name in (
    "long-length", "indefinite-length", "with-crypto-infos", "with-encryption-info", "with-attributes", "token-certificates-not-sorted",
    "functions-none", "functions-other", "functions-one-more", "functions-repeated", "functions-with-parameters",
    "functions-in-another-order", "list-not-sorted", "list-with-a-hash-twice", "list-with-the-hash-of-the-one-before", "tree-empty",
    "hash-of-another-length", "tree-with-65-lists", "token-under-another-policy", "renewed-before-it-began",
    "hash-renewed-before-it-began", "begun-before-the-token", "renewed-after-the-certificate", "hash-renewed-after-the-certificate",
    "begun-after-the-certificate", "begun-after-the-algorithms", "renewed-after-the-algorithms", "before-its-certificate",
    # Its second record is bad; the container has the first.
    "second-record-bad")}


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


def flipped(place):
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]


def changed(good, path, name, change):
    """The same container with one file changed or, where `change` gives None, left out."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            content = change(content) if entry.filename == name else content
            if content is not None:
                new.writestr(entry.filename, content)


def read(container, name):
    with zipfile.ZipFile(container) as file:
        return file.read(name)


class Judge:
    """What the product exports into a folder, and what EU DSS says about it."""

    def __init__(self, tpw, class_path, folder):
        self.tpw, self.class_path, self.folder = tpw, class_path, folder
        self.passed, self.failures = 0, []

    def at(self, name):
        return os.path.join(self.folder, name)

    def export(self, receipt, trust, name, *more):
        run(self.tpw, "receipt", "export", receipt, "--trust", trust, "--out", self.at(name), *more)
        return self.at(name)

    def verified(self, receipt, trust):
        return json.loads(run(self.tpw, "verify", receipt, "--trust", trust, "--json"))["payment"]

    def that(self, what, true):
        if true:
            self.passed += 1
        else:
            self.failures.append(what)

    def says(self, root, expected):
        """Whether DSS says of each container what is expected: all of it, or `refused` and whatever follows."""
        said = run("java", "-cp", self.class_path, SOURCE, root, *expected)
        found = dict(line.split("\t") for line in said.splitlines())
        for path, want in expected.items():
            says = found.get(path, "")
            same = says.startswith(want) if want == "refused" else says == want
            self.that(f"{os.path.basename(path)}: {says!r} instead of {want!r}", same)

    def broken(self, good, expected, object_name, proof_name):
        """The container with its object or its proof changed or left out."""
        size = len(read(good, proof_name))
        places = (size // 4, size // 2, size - 1)
        changes = [(object_name, flipped(0)), (object_name, flipped(-2)), (object_name, lambda data: data + b"\n"),
                   (object_name, lambda data: None), (proof_name, lambda data: None), (proof_name, lambda data: b""),
                   (proof_name, lambda data: data[:-1]), *((proof_name, flipped(place)) for place in places)]
        for number, (name, change) in enumerate(changes):
            path = f"{good}-broken-{number}.asics"
            changed(good, path, name, change)
            expected[path] = "refused"

    def stamps(self):
        """Containers of time-stamps, ours and one of another operator."""
        demo = lambda out: run(self.tpw, "demo", "--once", "--out", self.at(out), "--json")
        files = lambda out: (self.at(f"{out}/receipt.tpr"), self.at(f"{out}/trust.json"))
        demo("ours")
        demo("theirs")
        good = self.export(*files("ours"), "good.asics", "--format", "asic")
        foreign = self.export(*files("theirs"), "foreign.asics", "--format", "asic")
        loose = self.export(*files("ours"), "loose")
        time = self.verified(*files("ours"))["time_stamped"]
        expected = {good: f"holds ASiC-S CONTAINER_TIMESTAMP {time}", foreign: "refused"}
        self.broken(good, expected, OBJECT, TOKEN)
        self.says(os.path.join(loose, "tsa-root.pem"), expected)
        with open(os.path.join(loose, "checkpoint"), "rb") as checkpoint:
            self.that("the object is the checkpoint of the loose files", read(good, OBJECT) == checkpoint.read())
        ran = subprocess.run([self.tpw, "receipt", "export", files("ours")[0], "--trust", files("ours")[1], "--out",
                              self.at("none.asics"), "--format", "asic-ers"], capture_output=True, timeout=60)
        self.that("a receipt without a record has no container of one", ran.returncode == 4 and not os.path.exists(self.at("none.asics")))

    def records(self):
        """Containers of the evidence records of the corpus."""
        with open(os.path.join(CORPUS, "manifest.json"), encoding="utf-8") as file:
            known = [case for case in json.load(file) if "/evidence-" in case["file"]]
        cases = [case["file"] for case in known if case["valid"]]
        broken = [case["file"] for case in known if not case["valid"] and case["file"] not in LAXER]
        trust, expected = os.path.join(CORPUS, "trust.json"), {}
        for name in cases:
            receipt = os.path.join(CORPUS, name)
            container = self.export(receipt, trust, f"{os.path.basename(name)}.asics", "--format", "asic-ers")
            evidence = self.verified(receipt, trust)["evidence"]
            loose = self.export(receipt, trust, os.path.basename(name))
            for inside, beside in ((ARCHIVED, "archived.cbor"), (RECORD, "record.ers")):
                with open(os.path.join(loose, beside), "rb") as file:
                    self.that(f"{name}: {inside} is {beside}", read(container, inside) == file.read())
            stamps, begun = int(evidence["renewals"]) + 1, evidence["begun"].replace(".000Z", "Z")
            expected[container] = f"holds ASiC-S ASN1_EVIDENCE_RECORD {stamps} {begun}"
        self.that("the corpus has records", len(cases) >= 15)
        for name in ("evidence-begun", "evidence-hash-renewed", "evidence-of-a-folder-renewed-twice"):
            self.broken(self.at(f"{name}.tpr.asics"), expected, ARCHIVED, RECORD)
        for name in broken:
            path = self.export(os.path.join(CORPUS, name), trust, os.path.basename(name), "--format", "asic-ers")
            expected[path] = "refused"
        self.says(os.path.join(loose, "tsa-root.pem"), expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpw", required=True)
    parser.add_argument("--class-path", required=True)
    wanted = parser.parse_args()
    with open(wanted.class_path, encoding="utf-8") as file:
        class_path = file.read().strip()
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(wanted.tpw, class_path, folder)
        judge.stamps()
        judge.records()
    print("\n".join(judge.failures))
    print(f"{judge.passed} passed, {len(judge.failures)} failed")
    return 1 if judge.failures else 0


if __name__ == "__main__":
    sys.exit(main())
