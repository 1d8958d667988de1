"""Checks RFC 4998 evidence records by the rules of `receipt.md`, "Evidence records"."""

import datetime
import hashlib
import json
import os

from rfc3161 import OCTETS, SEQUENCE, SET, Der, Fault, check_token, granted_token, leads_to_root, need

FUNCTIONS = {"2.16.840.1.101.3.4.2.1": hashlib.sha256, "2.16.840.1.101.3.4.2.2": hashlib.sha384,
             "2.16.840.1.101.3.4.2.3": hashlib.sha512}
NAMES = {hashlib.sha256: "SHA-256", hashlib.sha384: "SHA-384", hashlib.sha512: "SHA-512"}
TOLERANCE_MS = 5000

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "algorithms.json"), encoding="utf-8") as file:
    YEARS = {row["name"]: row["until"] for row in json.load(file)["algorithms"]}


def relied_on(name, at_ms):
    """To the end of the year of the table."""
    end = datetime.datetime(YEARS[name] + 1, 1, 1, tzinfo=datetime.timezone.utc)
    need(at_ms < round(end.timestamp()) * 1000, "ers_weak")


class Stamp:
    """One archive time-stamp. The token's own rules are checked here; whom it leads to, and when, is asked later."""

    def __init__(self, content, policies):
        archive, self.stated, self.lists = Der(content), None, None
        if archive.has(0xA0):
            wrapped = Der(b"\x30" + archive.take()[1][1:])
            self.stated = wrapped.hash("ers_hash_function", FUNCTIONS)
        if archive.has(0xA2):
            lists = list(Der(archive.take()[0]).all(SEQUENCE))
            self.lists = [[raw for raw, _ in Der(body).all(OCTETS)] for body, _ in lists]
            need(len(self.lists) <= 64 and all(len(hashes) <= 64 for hashes in self.lists), "ers_too_large")
        body, self.token = archive.take(SEQUENCE)
        archive.end()
        need(len(self.token) <= 65536, "tsp_too_long")
        check_bags(Der(body))
        self.content, self.leaf, self.certificates = check_token(Der(body), policies, FUNCTIONS)
        self.function, self.time = self.content["hash"], self.content["gen_time"]
        need(self.stated in (None, self.function), "ers_chain_function")
        need(len(self.content["hashed"]) == self.function().digest_size, "tsp_imprint")

    def covers(self, covered):
        """Rules 2 to 4."""
        if self.lists is None:
            return need(self.content["hashed"] == covered, "ers_not_covered")
        need(self.lists and covered in self.lists[0], "ers_not_covered")
        carried = []
        for hashes in self.lists:
            need(hashes and sorted(set(hashes)) == hashes, "ers_hash_list")
            need(all(len(one) == self.function().digest_size for one in hashes), "ers_hash_list")
            need(not carried or carried[0] not in hashes, "ers_hash_list")
            together = sorted(hashes + carried)
            carried = together if len(together) == 1 else [self.function(b"".join(together)).digest()]
        return need(carried[0] == self.content["hashed"], "ers_root")


def check_bags(token):
    """The certificates and revocations of a token are sorted: what is hashed at a renewal is DER."""
    token.oid()
    data = token.inside(0xA0).inside()
    data.take(), data.take(SET), data.take(SEQUENCE)
    for tag in (0xA0, 0xA1):
        if data.has(tag):
            data.inside(tag).sorted(None)


def check_held(leaf, certificates, function, roots, at_ms):
    """Rule 6: at this time all that a token leans on still held."""
    try:
        leaf.check_leaf(at_ms)
    except Fault as fault:
        raise Fault("ers_expired") from fault
    need(leads_to_root(leaf, certificates, roots, at_ms), "ers_expired")
    _, _, digest, signature = leaf.key()
    relied_on(signature, at_ms), relied_on(NAMES[digest], at_ms), relied_on(NAMES[function], at_ms)


def read_record(data, policies):
    """The functions at the front, the chains, and the DER of each chain."""
    need(len(data) <= 262144, "ers_too_large")
    outer = Der(data)
    record = outer.inside()
    outer.end()
    need(record.integer() == 1, "ers_version")
    functions, listed = record.inside(), []
    while functions.rest:
        listed.append(functions.hash("ers_digest_algorithms", FUNCTIONS))
    chains = [(body, raw) for body, raw in record.inside().all(SEQUENCE)]
    record.end()
    need(1 <= len(chains) <= 16, "ers_empty")
    stamps = []
    for body, _ in chains:
        items = list(Der(body).all(SEQUENCE))
        need(1 <= len(items) <= 64, "ers_empty")
        stamps.append([Stamp(content, policies) for content, _ in items])
        need(len({stamp.function for stamp in stamps[-1]}) == 1, "ers_chain_function")
    used = list(dict.fromkeys(chain[0].function for chain in stamps))
    need(listed == used, "ers_digest_algorithms")
    return stamps, [raw for _, raw in chains]


def sequence(parts):
    """A DER SEQUENCE of encoded parts."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([0x30, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([0x30, 0x80 | len(length)]) + length + body


def check_evidence(data, archived, responses, roots, policies):
    """One record over the archived bytes of a receipt whose own time-stamps are these responses."""
    chains, encoded = read_record(data, policies)
    for number, chain in enumerate(chains):
        function, before = chain[0].function, None
        covered = function(archived).digest()
        if number:
            covered = function(covered + function(sequence(encoded[:number])).digest()).digest()
        for stamp in chain:
            stamp.covers(covered if before is None else function(before.token).digest())
            before = stamp
    stamps = [stamp for chain in chains for stamp in chain]
    for stamp, following in zip(stamps, stamps[1:] + stamps[-1:]):
        need(leads_to_root(stamp.leaf, stamp.certificates, roots, stamp.time), "tsp_untrusted_chain")
        need(following.time >= stamp.time, "ers_order")
        check_held(stamp.leaf, stamp.certificates, stamp.function, roots, following.time)
    begun = stamps[0].time
    relied_on("SHA-256", begun)
    for response in responses:
        content, leaf, certificates = check_token(granted_token(response), policies)
        need(begun >= content["gen_time"] - TOLERANCE_MS, "ers_order")
        check_held(leaf, certificates, hashlib.sha256, roots, max(begun, content["gen_time"]))
