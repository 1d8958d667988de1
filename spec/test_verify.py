#!/usr/bin/env python3
"""Holds both verifiers to the corpora `vectors/receipts`, `vectors/anchors` and `vectors/ots`, and to each other.

    test_verify.py [--tpw BINARY] [--judge-dir BINARY] [--flips 2000] [--seed 1]

Method: `verify.py` must give every receipt the verdict and the layer of the manifest, and so must the product's own
verifier where one is given: `tpw` itself, or the example `judge_dir` of the crate `tpw-proof`, which judges many files
at once. Then good receipts with one byte changed at random: the verdicts must be equal, down to every layer and level.
Without `judge_dir` these are only counted: nearly all of them must be refused.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings

import verify

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "vectors")
CORPORA = ["receipts", "anchors", "ots"]


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, found, wanted):
        if found == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: found {found}, wanted {wanted}")


def verdict(answer):
    return answer["valid"], answer["layer"]


def everything(answer):
    return {part: answer[part] for part in ("valid", "layer", "levels", "layers")}


def flips(count, seed):
    """Good receipts with one byte changed: (name, place, trust, bytes)."""
    dice = random.Random(seed)
    good = [case for case in manifest() if case["valid"]]
    for number in range(count):
        case = dice.choice(good)
        data = bytearray(read(VECTORS, case["file"]))
        place = dice.randrange(len(data))
        data[place] ^= dice.randrange(1, 256)
        yield f"flip {number} of {case['file']} at {place}", case["trust"], bytes(data)


def manifest():
    """The cases of all corpora, with their files below `vectors`."""
    cases = []
    for corpus in CORPORA:
        for case in json.loads(read(VECTORS, corpus, "manifest.json")):
            cases.append({**case, "file": f"{corpus}/{case['file']}", "trust": f"{corpus}/{case['trust']}"})
    return cases


def by_judge_dir(binary, pairs):
    """The verdicts over many (trust file, receipt file) pairs."""
    with tempfile.NamedTemporaryFile("w", suffix=".list") as listing:
        listing.writelines(f"{trust}\t{file}\n" for trust, file in pairs)
        listing.flush()
        run = subprocess.run([binary, "--list", listing.name], check=True, capture_output=True, text=True)
    return [everything(json.loads(line)) for line in run.stdout.splitlines()]


def by_tpw(binary, pairs):
    """The verdicts of the product's command, one call for each file; its exit code must say the same."""
    found = []
    for trust, file in pairs:
        run = subprocess.run([binary, "verify", file, "--trust", trust, "--json"], capture_output=True, text=True)
        answer = json.loads(run.stdout or '{"valid": null}')
        if run.returncode != {True: 0, False: 4}.get(answer["valid"]):
            found.append(f"exit code {run.returncode}: {run.stderr}")
            continue
        found.append({
            "valid": answer["valid"],
            "layer": (answer.get("failure") or {}).get("layer"),
            "levels": {level["name"]: level["outcome"] for level in answer["levels"]},
            "layers": {layer: result["outcome"] for layer, result in answer["layers"].items()},
        })
    return found


class Ours:
    """The second verifier, with each trust file read once."""

    def __init__(self):
        self.trusts = {}

    def judge(self, data, trust):
        if trust not in self.trusts:
            self.trusts[trust] = verify.read_trust(read(VECTORS, trust).decode())
        return everything(verify.judge(data, self.trusts[trust]))


def corpus(tally, options):
    ours, cases = Ours(), manifest()
    pairs = [(os.path.join(VECTORS, case["trust"]), os.path.join(VECTORS, case["file"])) for case in cases]
    verdicts = [ours.judge(read(VECTORS, case["file"]), case["trust"]) for case in cases]
    for case, found in zip(cases, verdicts):
        tally.check(case["file"], verdict(found), (case["valid"], case["layer"]))
        if "anchored" in case:
            tally.check(f"{case['file']} anchored", found["levels"]["anchored"], case["anchored"])
    if options.judge_dir:
        for case, found, wanted in zip(cases, by_judge_dir(options.judge_dir, pairs), verdicts):
            tally.check(f"{case['file']} by judge_dir", found, wanted)
    if options.tpw:
        for case, found, wanted in zip(cases, by_tpw(options.tpw, pairs), verdicts):
            tally.check(f"{case['file']} by tpw", found, wanted)


def random_flips(tally, options):
    ours, changed, written, valid = Ours(), list(flips(options.flips, options.seed)), [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (_, trust, data) in enumerate(changed):
            written.append((os.path.join(VECTORS, trust), os.path.join(folder, f"{number}.tpr")))
            with open(written[-1][1], "wb") as file:
                file.write(data)
        theirs = by_judge_dir(options.judge_dir, written) if options.judge_dir else [None] * len(changed)
    for (name, trust, data), other in zip(changed, theirs):
        found = ours.judge(data, trust)
        valid += found["valid"]
        if other is not None:
            tally.check(name, found, other)
    # Only the trust hint, lines of unknown witnesses and certificates beside the chain are vouched for by nothing.
    tally.check("flips that change nothing are few", valid * 20 <= options.flips, True)


def entry_of(token, proof, trust):
    """Where the second verifier finds the token in the log; nowhere when it does not hold."""
    try:
        return verify.check_logged_token(token, proof.decode(), trust)
    except (verify.Fault, UnicodeDecodeError):
        return None


def logged_tokens(tally, options):
    """A time-stamp with its proof, and each with one byte changed: then it holds nowhere."""
    folder = os.path.join(HERE, "vectors", "token")
    token, proof = read(folder, "token.tsr"), read(folder, "token.tlog-proof")
    trust = verify.read_trust(read(folder, "trust.json").decode())
    alone = verify.token_of(token)
    for name, data in (("response", token), ("token", alone)):
        tally.check(f"logged {name}", entry_of(data, proof, trust), 2)
    for name, data in (("token", alone), ("proof", proof)):
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 1 << place % 7
            pair = (bytes(changed), proof) if name == "token" else (alone, bytes(changed))
            tally.check(f"logged {name} changed at {place}", entry_of(*pair, trust), None)
    other = dict(trust, origin="other.example/log")
    tally.check("logged in another log", entry_of(token, proof, other), None)
    tally.check("a payment's entry is no token's", entry_of(b"\x30\0", proof, trust), None)
    if options.tpw:
        run = subprocess.run([sys.executable, os.path.join(HERE, "verify.py"), "--token", os.path.join(folder, "token.tsr"),
                              "--proof", os.path.join(folder, "token.tlog-proof"),
                              "--trust", os.path.join(folder, "trust.json")], capture_output=True, text=True)
        tally.check("the command judges a token", (run.returncode, run.stdout.count("entry 2")), (0, 1))


def decision_of(proof, trust):
    """What the second verifier finds decided; nothing when the proof does not hold."""
    try:
        return verify.check_decision(proof.decode(), trust)
    except (verify.Fault, UnicodeDecodeError):
        return None


def decisions(tally, options):
    """Proofs of decisions: good ones, broken ones, and good ones with one byte changed, which then hold nowhere."""
    folder = os.path.join(HERE, "vectors", "decision")
    trust = verify.read_trust(read(folder, "trust.json").decode())
    names = sorted(name for name in os.listdir(folder) if name.endswith(".tlog-proof"))
    good = [name for name in names if name.startswith("good-")]
    tally.check("there are vectors of decisions", (len(good) >= 6, len(names) - len(good) >= 8), (True, True))
    for name in names:
        found = decision_of(read(folder, name), trust)
        tally.check(f"decision {name}", found is not None, name in good)
        if options.tpw:
            path = os.path.join(folder, name)
            run = subprocess.run([options.tpw, "audit", "verify", path, "--trust", os.path.join(folder, "trust.json")],
                                 capture_output=True, text=True)
            tally.check(f"decision {name} by tpw", run.returncode, 0 if name in good else 4)
    whole = read(folder, good[0])
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 7
        tally.check(f"decision changed at {place}", decision_of(bytes(changed), trust), None)
    tally.check("a decision in another log", decision_of(whole, dict(trust, origin="other.example/log")), None)


def main():
    parser = argparse.ArgumentParser(description="holds both verifiers to the corpus and to each other")
    parser.add_argument("--tpw", help="the product's binary")
    parser.add_argument("--judge-dir", help="the example `judge_dir` of the crate `tpw-proof`")
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # changed certificates are odd, and nobody reads what a library thinks of them
    tally = Tally()
    corpus(tally, options)
    random_flips(tally, options)
    logged_tokens(tally, options)
    decisions(tally, options)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
