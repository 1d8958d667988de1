#!/usr/bin/env python3
"""Holds the corpus `vectors/tsp` to its generator, to the strict verifier, and to the page of stock verifiers' verdicts.

    test_tsp.py [--page docs/reference/timestamps.md] [--flips 2000] [--seed 1]

Method: every file must be what the generator writes; the index must name every file once, and nothing else; `verify_tsp.py`
must give every case the expected verdict. Then valid tokens with one byte changed at random: nearly all must be rejected,
and none may end in anything but a verdict. Last, the stock verifiers are asked, and the page must say what they say.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
import warnings

import verify_tsp

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "vectors", "tsp")
CASES_MIN = 60


def read(path):
    with open(os.path.join(CORPUS, path), "rb") as file:
        return file.read()


def index():
    return json.loads(read("index.json"))


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, found, wanted):
        if found == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: found {found}, wanted {wanted}")


class Judge:
    """The strict verifier, with each file of certificates read once."""

    def __init__(self):
        self.now_ms, self.known = time.time_ns() // 1_000_000, {}

    def certificates(self, path):
        if path not in self.known:
            self.known[path] = verify_tsp.read_pem(read(path)) if path else []
        return self.known[path]

    def judge(self, case, token):
        """The verdict, and the broken rule if any."""
        try:
            verify_tsp.check(
                token, self.certificates(case["roots"]), data=read(case["data"]),
                query=read(case["query"]) if case["query"] else None,
                untrusted=self.certificates(case["untrusted"]), now_ms=self.now_ms,
            )
        except verify_tsp.Fault as fault:
            return "reject", fault.code
        return "accept", None


def files(tally):
    """The index names what is there, and what is there is named."""
    cases = index()
    tally.check("there are enough cases", len(cases) >= CASES_MIN, True)
    tally.check("names are unique", len({case["name"] for case in cases}), len(cases))
    wanted = {"name", "token", "data", "query", "roots", "untrusted", "expect", "why", "arguable"}
    for case in cases:
        whole = set(case) == wanted and case["expect"] in ("accept", "reject") and case["why"].endswith(".")
        tally.check(f"{case['name']} has every member", whole, True)
    named = {case[member] for case in cases for member in ("token", "query", "roots", "untrusted") if case[member]}
    there = {f"{folder}/{name}" for folder in ("tokens", "queries", "trust") for name in os.listdir(os.path.join(CORPUS, folder))}
    tally.check("files without a case", sorted(there - named), [])
    tally.check("cases without a file", sorted(named - there), [])


def command(tally, name, *words):
    run = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if run.returncode:
        print(run.stdout + run.stderr)
    elif run.stdout.strip():
        print(run.stdout.strip())
    tally.check(name, run.returncode, 0)


def verdicts(tally, judge):
    for case in index():
        found, code = judge.judge(case, read(case["token"]))
        tally.check(f"{case['name']} ({code})", found, case["expect"])


def flips(tally, judge, count, seed):
    dice = random.Random(seed)
    good, accepted = [case for case in index() if case["expect"] == "accept"], 0
    for _ in range(count):
        case = dice.choice(good)
        token = bytearray(read(case["token"]))
        token[dice.randrange(len(token))] ^= dice.randrange(1, 256)
        accepted += judge.judge(case, bytes(token))[0] == "accept"
    # Certificates beside the chain, unsigned attributes and the status text are vouched for by nothing.
    tally.check(f"{accepted} of {count} flips accepted, which are few", accepted * 20 <= count, True)


def main():
    parser = argparse.ArgumentParser(description="holds the corpus of time-stamps to its generator and its verifiers")
    parser.add_argument("--page", help="the page with the verdicts of stock verifiers")
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # broken certificates are odd, and nobody reads what a library thinks of them
    tally, judge = Tally(), Judge()
    files(tally)
    command(tally, "the files are the generator's", os.path.join(CORPUS, "generate.py"), "--check")
    verdicts(tally, judge)
    flips(tally, judge, options.flips, options.seed)
    if options.page:
        command(tally, "the page is what the judges say", os.path.join(HERE, "judge_tsp.py"), "--check", options.page)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
