#!/usr/bin/env python3
"""Exports a receipt as ASiC-S and asks EU DSS, the validator of the European Commission, what it proves; then changes it.

    judge_asic.py --tpw PROGRAM --class-path FILE
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "judges", "asic", "JudgeAsic.java")
OBJECT, TOKEN = "checkpoint", "META-INF/timestamp.tst"


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpw", required=True)
    parser.add_argument("--class-path", required=True)
    wanted = parser.parse_args()
    with open(wanted.class_path, encoding="utf-8") as file:
        class_path = file.read().strip()
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        demo = lambda out: run(wanted.tpw, "demo", "--once", "--out", out, "--json")
        export = lambda source, name, *more: run(wanted.tpw, "receipt", "export", os.path.join(source, "receipt.tpr"), "--trust",
                                                 os.path.join(source, "trust.json"), "--out", at(name), *more)
        demo(at("ours"))
        demo(at("theirs"))
        export(at("ours"), "good.asics", "--format", "asic")
        export(at("theirs"), "foreign.asics", "--format", "asic")
        export(at("ours"), "loose")
        expected[at("good.asics")] = "holds"
        expected[at("foreign.asics")] = "refused"
        size = zipfile.ZipFile(at("good.asics")).getinfo(TOKEN).file_size
        broken = [(OBJECT, flipped(0)), (OBJECT, flipped(-2)), (OBJECT, lambda data: data + b"\n"), (OBJECT, lambda data: None),
                  (TOKEN, lambda data: None), (TOKEN, lambda data: b""), (TOKEN, lambda data: data[:-1])]
        broken += [(TOKEN, flipped(place)) for place in (size // 4, size // 2, size - 1)]
        for number, (name, change) in enumerate(broken):
            path = at(f"broken-{number}.asics")
            changed(at("good.asics"), path, name, change)
            expected[path] = "refused"
        said = run("java", "-cp", class_path, SOURCE, at("loose/tsa-root.pem"), *expected)
        found = dict(line.split("\t") for line in said.splitlines())
        failed = [f"{path}: {found.get(path)}" for path, want in expected.items() if not found.get(path, "").startswith(want)]
        judged = json.loads(run(wanted.tpw, "verify", at("ours/receipt.tpr"), "--trust", at("ours/trust.json"), "--json"))
        time = judged["payment"]["time_stamped"]
        if found[at("good.asics")] != f"holds ASiC-S CONTAINER_TIMESTAMP {time}":
            failed.append(f"{found[at('good.asics')]}, and the product says {time}")
        with zipfile.ZipFile(at("good.asics")) as container, open(at("loose/checkpoint"), "rb") as checkpoint:
            if container.read(OBJECT) != checkpoint.read():
                failed.append("the object is not the checkpoint of the loose files")
    print("\n".join(failed))
    print(f"{len(expected) + 2 - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
