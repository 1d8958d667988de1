#!/usr/bin/env python3
"""Computes every balance from a transfer list and the outcomes alone, and compares it with the ledger's.

usage: check_balances.py nodes.csv transactions.csv outcomes.csv balances.csv

Shares no code with the product. Integers only. Exit code 1 on any difference.
"""
import csv
import sys


def minor(text):
    """Hundredths, exactly: `12`, `12.3` and `12.34` are amounts, anything else is an error."""
    whole, _, rest = text.partition(".")
    if not whole.isdigit() or len(rest) > 2 or (rest and not rest.isdigit()):
        raise ValueError(f"not an amount: {text!r}")
    return int(whole) * 100 + int(rest.ljust(2, "0"))


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def main(nodes, transfers, outcomes, balances):
    expected = {row["nodeid"]: minor(row["init_balance"]) for row in rows(nodes)}
    brought_in, moved, unjust = sum(expected.values()), 0, 0
    outcome = {int(row["number"]): (row["status"], row["code"]) for row in rows(outcomes)}
    for number, row in enumerate(rows(transfers), start=1):
        amount, status = minor(row["value"]), outcome.get(number)
        covered = expected[row["sourceNodeId"]] >= amount
        # In file order, a payment is booked if it is covered, and refused for want of funds if it is not.
        unjust += status == ("refused", "insufficient_funds") and covered
        if status == ("booked", ""):
            unjust += not covered
            expected[row["sourceNodeId"]] -= amount
            expected[row["targetNodeId"]] += amount
            moved += 1
    actual = {row["nodeid"]: int(row["posted"]) for row in rows(balances)}
    wrong = [name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name)]
    for name in sorted(wrong)[:20]:
        print(f"account {name}: expected {expected.get(name)}, ledger says {actual.get(name)}")
    total = sum(actual.values())
    print(f"{len(actual)} accounts, {moved} transfers booked, {len(wrong)} balances differ, "
          f"{unjust} outcomes unjust, sum {total} of {brought_in} brought in")
    return 1 if wrong or unjust or total != brought_in else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]) if len(sys.argv) == 5 else __doc__)
