#!/usr/bin/env python3
"""Asks stock verifiers about the time-stamps in `vectors/tsp` and prints the table of their verdicts as Markdown.

    judge_tsp.py [--write PAGE | --check PAGE]

A verdict other than the corpus expects is no failure: to show it is what the table is for. `--write` replaces the part of
a page between its markers; `--check` fails if that part is not what would be written. Of OpenSSL, which comes with the
system, the page may name another version: within the same series its verdicts must be those of the page, of another
series they are not compared, and the command says so.
"""

import argparse
import asyncio
import datetime
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from importlib.metadata import version

from asn1crypto import pem, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from pyhanko.sign.timestamps.common_utils import TimestampRequestError, handle_tsp_response
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko.sign.validation.status import TimestampSignatureStatus
from pyhanko_certvalidator import ValidationContext
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors", "tsp")
BEGIN, END = "<!-- verdicts of spec/judge_tsp.py: begin -->", "<!-- verdicts of spec/judge_tsp.py: end -->"
ACCEPTS, REJECTS, DIES = "A", "r", "error"


def read(path):
    with open(os.path.join(CORPUS, path), "rb") as file:
        return file.read()


def openssl(case):
    """The command line as its manual has it; it judges certificates by today's date."""
    call = ["openssl", "ts", "-verify", "-in", case["token"], "-CAfile", case["roots"]]
    call += ["-queryfile", case["query"]] if case["query"] else ["-data", case["data"]]
    call += ["-untrusted", case["untrusted"]] if case["untrusted"] else []
    code = subprocess.run(call, cwd=CORPUS, capture_output=True, timeout=20).returncode
    return {0: ACCEPTS, 1: REJECTS}.get(code, DIES)


def asked(case):
    return tsp.TimeStampReq.load(read(case["query"])) if case["query"] else None


def rfc3161_client(case):
    """Nonce and policy as in the request; a signer's certificate that is not in the token goes to its own parameter."""
    request, untrusted = asked(case), x509.load_pem_x509_certificates(read(case["untrusted"])) if case["untrusted"] else []
    leaves = [one for one in untrusted if is_stamper(one)]
    builder = VerifierBuilder(
        policy_id=x509.ObjectIdentifier(request["req_policy"].dotted) if request and request["req_policy"].native else None,
        nonce=request["nonce"].native if request else None,
        tsa_certificate=leaves[0] if leaves else None,
        intermediates=[one for one in untrusted if one not in leaves],
        roots=x509.load_pem_x509_certificates(read(case["roots"])),
    )
    try:
        answer = decode_timestamp_response(read(case["token"]))
        if request:
            builder.build().verify(answer, request["message_imprint"]["hashed_message"].native)
        else:
            builder.build().verify_message(answer, read(case["data"]))
    except (VerificationError, ValueError):
        return REJECTS
    return ACCEPTS


def is_stamper(certificate):
    usages = [e.value for e in certificate.extensions if e.oid == x509.oid.ExtensionOID.EXTENDED_KEY_USAGE]
    return any(x509.oid.ExtendedKeyUsageOID.TIME_STAMPING in usage for usage in usages)


def pyhanko(case):
    """What its client does with an answer, then its validation of a token, at the token's time."""
    request = asked(case)
    try:
        response = tsp.TimeStampResp.load(read(case["token"]), strict=True)
        token = handle_tsp_response(response, request["nonce"].native if request else None)["content"]
        moment = token["encap_content_info"]["content"].parsed["gen_time"].native
        moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
        context = ValidationContext(trust_roots=certificates(case["roots"]), moment=moment, allow_fetching=False,
                                    other_certs=certificates(case["untrusted"]) if case["untrusted"] else [])
        imprint = lambda name: hashlib.new(name, read(case["data"])).digest()  # noqa: E731
        found = asyncio.run(validate_tst_signed_data(token, context, imprint))
    except (SignatureValidationError, TimestampRequestError, ValueError):
        return REJECTS
    status = TimestampSignatureStatus(**found)
    return ACCEPTS if status.valid and status.intact and status.trusted else REJECTS


def certificates(path):
    return [asn1_x509.Certificate.load(der) for _, _, der in pem.unarmor(read(path), multiple=True)]


def verdict(judge, case):
    """A judge that ends in any other way than by an answer has died: a panic is no `Exception`."""
    try:
        return judge(case)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return DIES


def openssl_version():
    said = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    return said.split()[1]


def judges():
    return [
        (f"OpenSSL {openssl_version()}", openssl),
        (f"rfc3161-client {version('rfc3161-client')}", rfc3161_client),
        (f"pyHanko {version('pyHanko')}", pyhanko),
    ]


def wanted(case):
    return ACCEPTS if case["expect"] == "accept" else REJECTS


def row(case, verdicts):
    should = wanted(case)
    cells = [found if found == should else f"**{found}**" for found in verdicts]
    return [case["name"], should + (", arguable" if case["arguable"] else ""), *cells, case["why"].replace("|", "\\|")]


def count(cases, verdicts, fits):
    """How many cases a judge gets wrong in one way, and how many of these are arguable."""
    found = [case for case, given in zip(cases, verdicts) if fits(case, given)]
    arguable = sum(case["arguable"] for case in found)
    return f"{len(found)} ({arguable} arguable)" if arguable else str(len(found))


def table(cases, names, columns):
    """Two tables: every token, and the sums."""
    valid = sum(case["expect"] == "accept" for case in cases)
    lines = [["token", "should", *names, "rule"], ["---"] * (3 + len(names))]
    lines += [row(case, verdicts) for case, verdicts in zip(cases, zip(*columns))]
    sums = [
        (f"invalid accepted, of {len(cases) - valid}", lambda case, given: wanted(case) == REJECTS and given == ACCEPTS),
        (f"valid rejected, of {valid}", lambda case, given: wanted(case) == ACCEPTS and given == REJECTS),
        (f"error instead of an answer, of {len(cases)}", lambda case, given: given == DIES),
    ]
    below = [["sum", *names], ["---"] * (1 + len(names))]
    below += [[text, *(count(cases, column, fits) for column in columns)] for text, fits in sums]
    return "\n\n".join("\n".join(f"| {' | '.join(cells)} |" for cells in part) for part in (lines, below)) + "\n"


def replaced(page, part):
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"the page must have `{BEGIN}` and `{END}` once each")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{part}\n{END}{rest.split(END)[1]}"


def compared(page, cases, names, columns):
    """What of the page is not as the judges say now, as text; empty when all is."""
    told = re.search(r"\| OpenSSL ([0-9]+\.[0-9]+)(\S*) \|", page)
    if not told:
        return "the page names no version of OpenSSL"
    written, here = "OpenSSL " + told[1] + told[2], names[0]
    names = [written, *names[1:]]
    if not here.startswith(f"OpenSSL {told[1]}."):
        print(f"the page has the verdicts of {written}; this is {here}, whose verdicts are not compared")
        columns = [column_of(page, cases), *columns[1:]]
    new = replaced(page, table(cases, names, columns))
    old, new = page.splitlines(), new.splitlines()
    changed = [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]
    return "\n".join(changed) or ("" if old == new else "the lines stand in another order")


def column_of(page, cases):
    """OpenSSL's verdicts as the page has them."""
    cells = (line.split(" | ") for line in page.splitlines() if line.startswith("| "))
    known = {row[0][2:]: row[2].strip("*") for row in cells if len(row) > 4}
    return [known.get(case["name"], "") for case in cases]


def main():
    parser = argparse.ArgumentParser(description="prints how stock verifiers judge the corpus of time-stamps")
    parser.add_argument("--write", metavar="PAGE", help="replace the part of this page between the markers")
    parser.add_argument("--check", metavar="PAGE", help="fail if that part of the page is not what would be written")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # what libraries think of broken certificates is not asked here
    logging.disable(logging.CRITICAL)
    cases = json.loads(read("index.json"))
    names, asked_of = zip(*judges())
    columns = [[verdict(judge, case) for case in cases] for judge in asked_of]
    if options.check:
        with open(options.check, encoding="utf-8") as file:
            wrong = compared(file.read(), cases, names, columns)
        if wrong:
            print(f"{wrong}\n`{options.check}` is not what the judges say; run spec/judge_tsp.py --write {options.check}")
        return 1 if wrong else 0
    if options.write:
        with open(options.write, encoding="utf-8") as file:
            page = replaced(file.read(), table(cases, names, columns))
        with open(options.write, "w", encoding="utf-8") as file:
            file.write(page)
        return 0
    print(table(cases, names, columns), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
