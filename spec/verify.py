#!/usr/bin/env python3
"""Judges receipts offline, written from the pages beside it and not from the product's code.

    verify.py RECEIPT... --trust trust.json [--json]
    verify.py --token TOKEN --proof TLOG-PROOF --trust trust.json
    verify.py --decision TLOG-PROOF --trust trust.json

Needs Python 3.9 and the packages `cbor2`, `cryptography` (48 or newer, for ML-DSA) and `pycryptodome` (for Keccak). Layers, levels and codes are
those of `receipt.md`. Exit code: 0 all receipts are valid, 4 one is not, 2 wrong use.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
import unicodedata

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from anchor import check_anchor, read_chains
from ots import read_headers
from rfc3161 import Certificate, Fault, check_timestamp, need, token_of
from rfc4998 import check_evidence

LAYERS = ["container", "statement", "record", "leaf", "tlog_proof", "checkpoint", "witness", "cose_receipt",
          "timestamp", "anchor", "evidence"]
LEVELS = {"device_signature": ["container", "statement", "record"],
          "in_log": ["container", "leaf", "tlog_proof", "checkpoint", "cose_receipt"],
          "witnessed": ["checkpoint", "witness"], "time_stamped": ["checkpoint", "timestamp"], "anchored": ["leaf", "anchor"],
          "renewed": ["evidence"]}
TIME_MAX = 253402300799999


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- deterministic CBOR: intent.md, "Encoding" ------------------------------------------------------------------------

def cbor(data):
    """The one value that `data` encodes. Encoding again finds long forms, key order, repeats and trailing bytes."""
    try:
        value = cbor2.loads(data)
        again = cbor2.dumps(value, canonical=True)
    except Exception as error:
        raise Fault("codec_shape") from error
    need(again == data, "codec_not_deterministic")
    return value


def closed_map(value, keys):
    need(type(value) is dict and all(type(key) is int for key in value) and list(value) == list(keys), "codec_value")
    return list(value.values())


def listed(value, least, most):
    need(type(value) is list and least <= len(value) <= most, "codec_value")
    return value


def octets(value, length=None):
    need(type(value) is bytes and length in (None, len(value)), "codec_value")
    return value


def number(value, most=2**64 - 1, least=0):
    need(type(value) is int and least <= value <= most, "codec_value")
    return value


def amount(value):
    return number(value, 2**128 - 1)


def words(value, least, most):
    need(type(value) is str and least <= len(value.encode()) <= most, "codec_value")
    need(not any(unicodedata.category(c) == "Cc" for c in value), "codec_value")
    return value


def asset(value):
    need(type(value) is str and re.fullmatch(r"[A-Z][A-Z0-9]{1,10}/(0|[1-9]|1[0-8])", value), "codec_value")
    return value


# --- keys and signatures: intent.md, "Signature" ----------------------------------------------------------------------

FIELD = 2**255 - 19
SMALL_ORDER_Y = {0, 1, FIELD - 1,
                 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
                 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7}


def strict_point(data):
    y = int.from_bytes(data, "little") & (2**255 - 1)
    return len(data) == 32 and y < FIELD and y not in SMALL_ORDER_Y


class Key:
    """A public key that checks signatures in their raw form."""

    def __init__(self, algorithm, raw):
        self.algorithm, self.raw = algorithm, raw
        try:
            if algorithm == "Ed25519":
                need(strict_point(raw), "bad_key")
                self.public = ed25519.Ed25519PublicKey.from_public_bytes(raw)
                cose = {1: 1, -1: 6, -2: raw}
            elif algorithm == "P-256":
                need(len(raw) == 65 and raw[0] == 4, "bad_key")
                self.public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
                cose = {1: 2, -1: 1, -2: raw[1:33], -3: raw[33:]}
            else:
                self.public = mldsa.MLDSA44PublicKey.from_public_bytes(raw)
                cose = {1: 7, 3: -48, -1: raw}
        except ValueError as error:
            raise Fault("bad_key") from error
        self.thumbprint = sha256(cbor2.dumps(cose, canonical=True))  # RFC 9679

    def verify(self, message, signature):
        try:
            if self.algorithm == "P-256":
                need(len(signature) == 64, "bad_signature")
                r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
                self.public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
            elif self.algorithm == "Ed25519":
                need(len(signature) == 64 and strict_point(signature[:32]), "bad_signature")
                self.public.verify(signature, message)
            else:
                self.public.verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise Fault("bad_signature") from error


INTENT = "application/vnd.tpw.intent+cbor;v=1"
ALGORITHMS = {-19: "Ed25519", -8: "Ed25519", -9: "P-256", -7: "P-256"}


def sign1(data, header_keys):
    """A COSE_Sign1 with its protected header: (header values, protected, unprotected, payload, signature)."""
    need(len(data) <= 4096, "too_large")
    need(data[:1] == b"\xd2", "malformed")  # tag 18 in its shortest form
    protected, unprotected, payload, signature = listed(cbor(data[1:]), 4, 4)
    need(type(unprotected) is dict and (payload is None or type(payload) is bytes), "malformed")
    header = closed_map(cbor(octets(protected)), header_keys)
    need(type(header[0]) is int and header[0] in ALGORITHMS, "unknown_algorithm")
    return header, protected, unprotected, payload, octets(signature)


def sign2(data):
    """The COSE_Sign of a hybrid device: body header, payload, and (protected, algorithm, kid, signature) of both signatures."""
    need(len(data) <= 4096, "too_large")
    need(data[:2] == b"\xd8\x62", "malformed")  # tag 98 in its shortest form
    protected, unprotected, payload, signatures = listed(cbor(data[2:]), 4, 4)
    need(unprotected == {}, "malformed")
    signers = []
    for signature in listed(signatures, 2, 2):
        header, beside, signed = listed(signature, 3, 3)
        need(beside == {}, "malformed")
        algorithm, kid = closed_map(cbor(octets(header)), (1, 4))
        need(type(algorithm) is int and len(octets(kid)) == 32, "malformed")
        signers.append((header, algorithm, kid, octets(signed)))
    return octets(protected), octets(payload), signers


def check_hybrid(keys, protected, payload, signers):
    """Both keys have signed, each under its own header."""
    (_, first, _, _), (_, second, _, _) = signers
    need(first in ALGORITHMS and second == -48, "unknown_algorithm")
    need(ALGORITHMS[first] == keys[0].algorithm, "wrong_key")
    for key, (header, _, kid, signature) in zip(keys, signers):
        need(key.thumbprint == kid, "wrong_key")
        key.verify(cbor2.dumps(["Signature", protected, header, b"", payload]), signature)


def check_cose(key, algorithm, thumbprint, protected, payload, signature):
    need(key.thumbprint == thumbprint and ALGORITHMS[algorithm] == key.algorithm, "wrong_key")
    key.verify(cbor2.dumps(["Signature1", protected, b"", payload]), signature)


# --- the files' own formats: intent.md, leaf.md, receipt.md -----------------------------------------------------------

def read_receipt(data):
    need(len(data) <= 2**20, "codec_value")
    receipt = dict(enumerate(closed_map(cbor(data), range(1, 11)), 1))
    for field, length in ((1, None), (2, 32), (3, None), (9, 32), (10, None)):
        octets(receipt[field], length)
    need(type(receipt[4]) is str, "codec_value")
    for field in (5, 6, 7, 8):
        for item in listed(receipt[field], 0, 16):
            octets(item)
    return receipt


def read_intent(payload):
    names = ["payment", "device", "payer", "payee", "asset", "amount", "fee_limit", "sequence", "previous", "seen",
             "created", "expires", "audience", "purpose"]
    it = dict(zip(names, closed_map(cbor(payload), range(1, 15))))
    for name in names[:4]:
        octets(it[name], 16)
    asset(it["asset"])
    amount(it["fee_limit"])
    octets(it["previous"], 32)
    seen = listed(it["seen"], 2, 2)
    number(seen[0]), octets(seen[1], 32)
    number(it["created"], TIME_MAX), number(it["expires"], TIME_MAX)
    words(it["audience"], 1, 64), words(it["purpose"], 0, 140)
    need(amount(it["amount"]) > 0 and number(it["sequence"]) > 0 and it["payer"] != it["payee"], "codec_value")
    need(0 < it["expires"] - it["created"] <= 24 * 3600 * 1000, "codec_value")
    return it


def read_record(data):
    names = ["kind", "payment", "intent_hash", "key", "received", "booked", "decision", "approvals", "postings"]
    it = dict(zip(names, closed_map(cbor(data), range(1, 10))))
    number(it["kind"], 2), octets(it["payment"], 16), octets(it["intent_hash"], 32)
    algorithm, key, *second = listed(it["key"], 2, 4)
    number(algorithm, 2**63 - 1, -(2**63)), octets(key)
    if second:
        need(len(second) == 2 and second[0] == -48 and type(second[0]) is int, "codec_value")
        octets(second[1])
    number(it["received"], TIME_MAX), number(it["booked"], TIME_MAX)
    score, verdict, reasons, rules = listed(it["decision"], 4, 4)
    number(score, 1000), number(verdict, 3), octets(rules, 32)
    for reason in listed(reasons, 0, 16):
        code, points = listed(reason, 2, 2)
        number(code, 13, 1), number(points, 65535)
    for approval in listed(it["approvals"], 0, 16):
        kind, by, at = listed(approval, 3, 3)
        number(kind, 3, 1), octets(by, 32), number(at, TIME_MAX)
    for posting in listed(it["postings"], 0, 16):
        transfer, count, debit, credit, code, value, *chains = listed(posting, 8, 8)
        octets(transfer, 16), number(count), octets(debit, 16), octets(credit, 16), asset(code), amount(value)
        octets(chains[0], 32), octets(chains[1], 32)
    return it


def check_record(record, intent, intent_hash, operator):
    """leaf.md, "Rules between a record and its intent"."""
    need(record["intent_hash"] == intent_hash and record["payment"] == intent["payment"], "mismatch")
    need(intent["audience"] == operator, "mismatch")
    compensation, verdict = record["kind"] == 2, record["decision"][1]
    need(record["received"] <= record["booked"] and record["received"] < intent["expires"], "times")
    waited = record["approvals"] or compensation
    need(waited or record["booked"] < intent["expires"], "times")
    answers = {1: {1, 3}, 2: {2}}.get(verdict, set())
    need(verdict == 0 or answers & {kind for kind, _, _ in record["approvals"]}, "decision")
    need(record["kind"] in (1, 2), "postings")
    # Turned round, a compensation obeys the rules of a payment.
    moves = [(p[3], p[2], p[4], p[5]) if compensation else (p[2], p[3], p[4], p[5]) for p in record["postings"]]
    payer, payee = intent["payer"], intent["payee"]
    main = [move for move in moves if move[:2] == (payer, payee)]
    fees = [move for move in moves if move[:2] != (payer, payee)]
    need(len(main) == 1 and main[0][2:] == (intent["asset"], intent["amount"]) and len(fees) <= 1, "postings")
    for debit, credit, unit, value in fees:
        need(debit == payer and credit not in (payer, payee), "postings")
        need(unit == intent["asset"] and value <= intent["fee_limit"], "postings")


def read_leaf(data):
    need(len(data) == 37 and data[:4] == b"tpw1" and data[4] <= 2, "malformed")
    return data


# --- the log: log.md --------------------------------------------------------------------------------------------------

def b64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Fault("malformed") from error
    need(base64.b64encode(data).decode() == text, "malformed")
    return data


def decimal(text):
    need(re.fullmatch(r"0|[1-9][0-9]{0,19}", text) and int(text) < 2**64, "malformed")
    return int(text)


def digest(text):
    data = b64(text)
    need(len(data) == 32, "malformed")
    return data


def key_name(text):
    fits = 1 <= len(text.encode()) <= 255
    bad = any(c == "+" or c.isspace() or unicodedata.category(c) == "Cc" for c in text)
    need(fits and not bad, "bad_key_name")
    return text


def read_checkpoint(note):
    """A signed note over a tree head; no signature is checked."""
    need(len(note.encode()) <= 2**17, "too_large")
    need(not any(c < " " and c != "\n" for c in note), "malformed")
    text, blank, rest = note.rpartition("\n\n")
    need(blank and rest.endswith("\n"), "malformed")
    text += "\n"
    lines = text.split("\n")
    need(len(lines) == 4, "malformed")
    signatures = []
    for line in rest[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", line)
        need(match, "malformed")
        blob = b64(match[2])
        need(len(blob) > 4, "malformed")
        signatures.append((key_name(match[1]), blob[:4], blob[4:], line))
    need(len(signatures) <= 16, "too_large")
    return {"text": text, "origin": key_name(lines[0]), "size": decimal(lines[1]), "root": digest(lines[2]),
            "signatures": signatures}


def read_proof(text):
    """c2sp.org/tlog-proof@v1. Extra data is read, since its presence is a fault of this layer alone."""
    head, blank, note = text.partition("\n\n")
    need(blank, "malformed")
    lines = head.split("\n")
    extra = None
    if len(lines) >= 2 and lines[1].startswith("extra "):
        extra = b64(lines.pop(1)[6:])
        need(len(extra) <= 4096, "too_large")
    need(len(lines) >= 2 and lines[0] == "c2sp.org/tlog-proof@v1" and lines[1].startswith("index "), "malformed")
    path = [digest(line) for line in lines[2:]]
    need(len(path) <= 63, "too_large")
    return {"extra": extra, "index": decimal(lines[1][6:]), "path": path, "checkpoint": read_checkpoint(note)}


def root_of(leaf, index, size, path):
    """RFC 9162 §2.1.3.2, up to the comparison with a known root."""
    need(index < size, "out_of_tree")
    node, last, result = index, size - 1, sha256(b"\0", leaf)
    for sibling in path:
        need(last > 0, "proof_length")
        if node & 1 or node == last:
            result = sha256(b"\1", sibling, result)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            result = sha256(b"\1", result, sibling)
        node, last = node >> 1, last >> 1
    need(last == 0, "proof_length")
    return result


def check_line(head, name, signature, type_byte, key):
    """log.md, "Checkpoint" and "Cosignatures": one signature line with the key that it names."""
    if type_byte == 1:
        return key.verify(head["text"].encode(), signature)
    need(len(signature) > 8, "bad_signature")
    need(signature[0] < 0x80, "malformed")
    if type_byte == 4:
        time = int.from_bytes(signature[:8], "big")
        return key.verify(f"cosignature/v1\ntime {time}\n{head['text']}".encode(), signature[8:])
    name, origin = name.encode(), head["origin"].encode()
    message = (b"subtree/v1\n\0" + bytes([len(name)]) + name + signature[:8] + bytes([len(origin)]) + origin
               + bytes(8) + head["size"].to_bytes(8, "big") + head["root"])
    return key.verify(message, signature[8:])


def signed_by(head, keys):
    """The places of the verifier keys that have signed; a line of one of them that does not hold is a fault."""
    signed = set()
    for name, key_id, signature, _ in head["signatures"]:
        for place, (type_byte, known_name, key, known_id) in enumerate(keys):
            if name == known_name and key_id == known_id:
                check_line(head, name, signature, type_byte, key)
                signed.add(place)
    return signed


def check_checkpoint(head, trust):
    need(head["origin"] == trust["origin"], "mismatch")
    need(len(signed_by(head, trust["log_keys"])) == len(trust["log_keys"]), "not_signed")


def read_stamped(note, trust):
    """A checkpoint of the trust file's log that at least one of its keys has signed: receipt.md, "Bitcoin"."""
    head = read_checkpoint(note)
    need(head["origin"] == trust["origin"], "mismatch")
    need(signed_by(head, trust["log_keys"]), "not_signed")
    return head


def check_witnesses(head, policy):
    own = [key for key in policy["logs"] if key[1] == head["origin"]]
    need(not policy["logs"] or signed_by(head, own), "not_signed")
    signed = signed_by(head, [key for _, key in policy["witnesses"]])
    met = {name for place, (name, _) in enumerate(policy["witnesses"]) if place in signed}
    for name, least, members in policy["groups"]:
        if sum(member in met for member in members) >= least:
            met.add(name)
    need(policy["quorum"] == "none" or policy["quorum"] in met, "quorum")


def check_cose_receipt(data, leaf, proof, trust):
    (algorithm, kid, structure), protected, unprotected, payload, signature = sign1(data, (1, 4, 395))
    need(type(structure) is int and structure == 1 and payload is None, "malformed")
    (proofs,) = closed_map(unprotected, (396,))
    (inclusions,) = closed_map(proofs, (-1,))
    size, index, path = listed(cbor(octets(listed(inclusions, 1, 1)[0])), 3, 3)
    number(size), number(index)
    path = [octets(item, 32) for item in listed(path, 1, 63)]
    keys = [key for key in trust["cose_keys"] if key.thumbprint == kid]
    need(keys, "not_signed")
    root = root_of(leaf, index, size, path)
    check_cose(keys[0], algorithm, kid, protected, root, signature)
    head = proof["checkpoint"]
    need(index == proof["index"] and (size, root) == (head["size"], head["root"]), "mismatch")


# --- the verdict: receipt.md, "Judging" -------------------------------------------------------------------------------

def verifier_key(line, types):
    """`name+id+key` of one of these signature types."""
    name, key_id, material = line.split("+", 2)
    material = b64(material)
    need(material and material[0] in types, "malformed")
    key = Key({1: "Ed25519", 4: "Ed25519", 6: "ML-DSA-44"}[material[0]], material[1:])
    known = sha256(name.encode(), b"\n", material)[:4]
    need(name == key_name(name) and known.hex() == key_id, "malformed")
    return material[0], name, key, known


def read_policy(text):
    """A witness policy: log.md, "Witness policy"."""
    need(text.endswith("\n") and not re.search("[\x00-\x08\x0b-\x1f\x7f]", text), "malformed")
    policy = {"logs": [], "witnesses": [], "groups": [], "quorum": None}
    names, members, materials = set(), [], []
    for line in text[:-1].split("\n"):
        words_ = [word for word in re.split("[ \t]+", line) if word]
        if not words_ or words_[0].startswith("#"):
            continue
        kind = words_[0]
        if kind == "log" and len(words_) in (2, 3):
            policy["logs"].append(verifier_key(words_[1], (1, 6)))
            materials.append(("log", b64(words_[1].split("+", 2)[2])[1:]))
        elif kind == "witness" and len(words_) in (3, 4):
            policy["witnesses"].append((words_[1], verifier_key(words_[2], (4, 6))))
            materials.append(("witness", b64(words_[2].split("+", 2)[2])[1:]))
        elif kind == "group" and len(words_) > 3:
            own = words_[3:]
            need(all(member in names for member in own), "malformed")
            threshold = {"any": 1, "all": len(own)}.get(words_[2])
            if threshold is None:
                need(re.fullmatch("[1-9][0-9]*", words_[2]), "malformed")
                threshold = int(words_[2])
            need(1 <= threshold <= len(own), "malformed")
            policy["groups"].append((words_[1], threshold, own))
            members += own
        else:
            need(kind == "quorum" and len(words_) == 2 and policy["quorum"] is None, "malformed")
            need(words_[1] == "none" or words_[1] in names, "malformed")
            policy["quorum"] = words_[1]
        if kind in ("witness", "group"):
            need(words_[1] not in names | {"none"}, "malformed")
            names.add(words_[1])
    need(policy["quorum"] and len(members) == len(set(members)) and len(materials) == len(set(materials)), "malformed")
    need(all(len(policy[part]) <= 64 for part in ("logs", "witnesses", "groups")), "too_large")
    return policy


def read_trust(text):
    """The verifier's trust file, ready for use; raises Fault or ValueError when it is none."""
    it = json.loads(text)
    policy, chains, headers = (it.pop(name, None) for name in ("witness_policy", "evm_anchors", "bitcoin_headers"))
    need(list(it) == ["version", "operator", "origin", "log_keys", "cose_keys", "tsa_roots", "tsa_policies"]
         and it["version"] == 1 and it["log_keys"], "malformed")
    need(all(len(value) <= 16 for value in list(it.values())[3:]), "too_large")
    keys = [verifier_key(line, (1, 6)) for line in it["log_keys"]]
    need(all(name == it["origin"] for _, name, _, _ in keys), "malformed")
    roots = [x509.load_pem_x509_certificate(pem.encode()) for pem in it["tsa_roots"]]
    return {"operator": words(it["operator"], 1, 64), "origin": it["origin"], "log_keys": keys,
            "cose_keys": [Key(k["algorithm"], b64(k["key"])) for k in it["cose_keys"]],
            "tsa_roots": [Certificate(root.public_bytes(Encoding.DER)) for root in roots],
            "tsa_policies": it["tsa_policies"], "witness_policy": policy and read_policy(policy),
            "evm_anchors": read_chains(chains or []), "bitcoin_headers": read_headers(headers or [])}


def own_note(head):
    """The checkpoint with the log's own lines: log.md, "Checkpoint"."""
    return "\n".join([head["text"], *(line for name, _, _, line in head["signatures"] if name == head["origin"]), ""])


def archived(receipt):
    """What an evidence record is about: receipt.md, "Evidence records"."""
    head, _, note = receipt[4].partition("\n\n")
    own = head + "\n\n" + own_note(read_checkpoint(note))
    return cbor2.dumps({**receipt, 4: own, 7: [], 8: []}, canonical=True)


class Judge:
    """Checks every layer, also after another failed."""

    def __init__(self, receipt, trust):
        self.receipt, self.trust = receipt, trust
        self.forms, self.faults, self.intent = {}, {}, None
        self.failed = set()
        for layer, read, field in (("record", read_record, 10), ("leaf", read_leaf, 3), ("tlog_proof", read_proof, 4)):
            try:
                self.forms[layer] = read(receipt[field])
            except Fault as fault:
                self.faults[layer] = fault

    def form(self, layer):
        """What a layer holds, whether or not it is true; another layer's check ends here when there is nothing."""
        need(layer in self.forms, "needs_layer")
        return self.forms[layer]

    def own(self, layer):
        if layer in self.faults:
            raise self.faults[layer]
        return self.forms[layer]

    def statement(self):
        number_, raw, *second = self.form("record")["key"]
        if self.receipt[1][:1] == b"\xd8":
            protected, payload, signers = sign2(self.receipt[1])
            need(closed_map(cbor(protected), (3,)) == [INTENT], "malformed")
            need(number_ in (-19, -9), "unknown_algorithm")
            need(second, "wrong_key")
            check_hybrid((Key(ALGORITHMS[number_], raw), Key("ML-DSA-44", second[1])), protected, payload, signers)
            self.intent = (read_intent(payload), sha256(payload))
            return
        header, protected, unprotected, payload, signature = sign1(self.receipt[1], (1, 3, 4))
        algorithm, content_type, kid = header
        need(unprotected == {} and payload is not None, "malformed")
        need(content_type == INTENT and len(octets(kid)) == 32, "malformed")
        need(number_ in (-19, -9), "unknown_algorithm")
        need(not second, "wrong_key")
        check_cose(Key(ALGORITHMS[number_], raw), algorithm, kid, protected, payload, signature)
        self.intent = (read_intent(payload), sha256(payload))

    def record(self):
        record = self.own("record")
        need(self.intent, "needs_layer")
        check_record(record, *self.intent, self.trust["operator"])

    def leaf(self):
        leaf, kind = self.own("leaf"), bytes([self.form("record")["kind"]])
        parts = self.receipt[2], sha256(self.receipt[1]), sha256(self.receipt[10])
        need(leaf == b"tpw1" + kind + sha256(b"tpw/leaf/v1\0", kind, *parts), "mismatch")

    def tlog_proof(self):
        proof = self.own("tlog_proof")
        head = proof["checkpoint"]
        need(proof["extra"] is None, "malformed")
        root = root_of(self.form("leaf"), proof["index"], head["size"], proof["path"])
        need(root == head["root"], "root_mismatch")

    def checkpoint(self):
        check_checkpoint(self.form("tlog_proof")["checkpoint"], self.trust)

    def witness(self):
        policy = self.trust["witness_policy"]
        if policy is None:
            return False
        return check_witnesses(self.form("tlog_proof")["checkpoint"], policy)

    def cose_receipt(self):
        for data in self.receipt[5]:
            check_cose_receipt(data, self.form("leaf"), self.form("tlog_proof"), self.trust)
        return bool(self.receipt[5])

    def timestamp(self):
        for response in self.receipt[6]:
            head, booked = self.form("tlog_proof")["checkpoint"], self.form("record")["booked"]
            stamped = own_note(head).encode()
            need(check_timestamp(response, stamped, self.trust["tsa_roots"], self.trust["tsa_policies"]) >= booked - 5000, "times")
        return bool(self.receipt[6])

    def anchor(self):
        known = [check_anchor(data, self.form("leaf"), self.form("tlog_proof")["index"], self.trust, cbor, root_of,
                              read_stamped) for data in self.receipt[8]]
        return any(known)

    def evidence(self):
        if not self.receipt[7]:
            return False
        self.form("tlog_proof")
        need("timestamp" not in self.failed, "needs_layer")
        for record in self.receipt[7]:
            check_evidence(record, archived(self.receipt), self.receipt[6], self.trust["tsa_roots"], self.trust["tsa_policies"])
        return True


def judge(data, trust):
    """The verdict over the bytes of one receipt: valid, first failing layer, its reason, levels and layers."""
    layers = {}
    try:
        checks = Judge(read_receipt(data), trust)
        layers["container"] = ("proved", None)
    except Fault as fault:
        checks, layers["container"] = None, ("failed", fault.code)
    for layer in LAYERS[1:] if checks else []:
        try:
            layers[layer] = ("absent" if getattr(checks, layer)() is False else "proved", None)
        except Fault as fault:
            layers[layer] = ("failed", fault.code)
        except Exception:  # what nobody foresaw proves nothing
            layers[layer] = ("failed", "internal")
        if layers[layer][0] == "failed":
            checks.failed.add(layer)
    levels = {}
    for level, needed in LEVELS.items():
        found = [layers[layer][0] for layer in needed if layer in layers]
        if level == "witnessed" and found[-1:] != ["proved"] and found[-1:] != ["failed"]:
            found = []  # without a policy nobody is known who could have witnessed
        if "failed" in found or (not checks and level in ("device_signature", "in_log", "time_stamped")):
            levels[level] = "failed"
        else:
            levels[level] = "absent" if not found or (found[-1] == "absent" and level != "in_log") else "proved"
    failed = [(layer, layers[layer][1]) for layer in LAYERS if layers.get(layer, ("absent",))[0] == "failed"]
    proved = all(levels[level] == "proved" for level in ("device_signature", "in_log", "time_stamped"))
    layer, reason = failed[0] if failed else (None, None)
    return {"valid": proved and not failed, "layer": layer, "reason": reason, "levels": levels,
            "layers": {layer: outcome for layer, (outcome, _) in layers.items()}}


def check_logged_token(token, proof, trust):
    """leaf.md, "Time-stamps": the index of the entry. That the token holds is judged apart from that."""
    leaf = b"tpw1\4" + sha256(token_of(token))
    proof = read_proof(proof)
    need(proof["extra"] is None, "malformed")
    return check_entry(leaf, proof, trust)


def check_entry(leaf, proof, trust):
    """That an entry stands in the log, at the index that is given back."""
    check_checkpoint(proof["checkpoint"], trust)
    if trust["witness_policy"] is not None:
        check_witnesses(proof["checkpoint"], trust["witness_policy"])
    root = root_of(leaf, proof["index"], proof["checkpoint"]["size"], proof["path"])
    need(root == proof["checkpoint"]["root"], "root_mismatch")
    return proof["index"]


def word(value):
    need(type(value) is str and len(value.encode()) <= 64, "codec_value")
    return value


def maybe(value, length):
    need(type(value) is bytes and len(value) in (0, length), "codec_value")
    return value


def read_decision(data):
    """decision.md, "Record"."""
    need(len(data) <= 3072, "codec_value")
    names = ["format", "id", "at", "asker", "action", "resource", "owner", "ruling", "policies", "version", "facts",
             "obligations", "request"]
    it = dict(zip(names, closed_map(cbor(data), range(1, 14))))
    number(it["format"], 1, 1), octets(it["id"], 16), number(it["at"], TIME_MAX)
    person, device, client, roles = listed(it["asker"], 4, 4)
    maybe(person, 16), maybe(device, 16), word(client)
    for text in listed(roles, 0, 16) + listed(it["policies"], 0, 16) + [it["action"], it["resource"], it["request"]]:
        word(text)
    maybe(it["owner"], 16), number(it["ruling"], 3, 1), maybe(it["version"], 32)
    for fact in listed(it["facts"], 0, 16):
        name, value = listed(fact, 2, 2)
        word(name), word(value)
    for obligation in listed(it["obligations"], 0, 16):
        name, value = listed(obligation, 2, 2)
        word(name), number(value)
    return it


def check_decision(proof, trust):
    """decision.md, "Proof": the index of the block's entry and the decision."""
    proof = read_proof(proof)
    need(proof["extra"] is not None, "malformed")
    salt, record, place, count, path = listed(cbor(proof["extra"]), 5, 5)
    octets(salt, 32), octets(record), number(place), number(count)
    for sibling in listed(path, 0, 8):
        octets(sibling, 32)
    decision = read_decision(record)
    root = root_of(salt + record, place, count, path)
    leaf = b"tpw1\6" + sha256(b"tpw/decisions/v1\0", count.to_bytes(8, "big"), root)
    return check_entry(leaf, proof, trust), decision


def judge_decision(options, trust):
    try:
        with open(options.decision, encoding="utf-8", newline="") as file:
            index, decision = check_decision(file.read(), trust)
    except (Fault, UnicodeDecodeError) as fault:
        print(f"{options.decision}: NOT IN THE LOG: {getattr(fault, 'code', 'malformed')}")
        return 4
    ruling = {1: "allowed", 2: "denied", 3: "unmet"}[decision["ruling"]]
    print(f"{options.decision}: entry {index} of the log: {decision['action']} on {decision['resource']}: {ruling}")
    return 0


def judge_token(options, trust):
    try:
        with open(options.token, "rb") as file:
            token = file.read()
        with open(options.proof, encoding="utf-8", newline="") as file:
            index = check_logged_token(token, file.read(), trust)
    except (Fault, UnicodeDecodeError) as fault:
        print(f"{options.token}: NOT IN THE LOG: {getattr(fault, 'code', 'malformed')}")
        return 4
    print(f"{options.token}: entry {index} of the log")
    return 0


def main():
    parser = argparse.ArgumentParser(description="judges receipts offline")
    parser.add_argument("receipts", nargs="*", metavar="RECEIPT")
    parser.add_argument("--token", help="a time-stamp, in place of receipts")
    parser.add_argument("--proof", help="the proof that it stands in the log")
    parser.add_argument("--decision", help="the proof of a decision, in place of receipts")
    parser.add_argument("--trust", required=True, help="the trust file that you trust")
    parser.add_argument("--json", action="store_true", help="one JSON object per receipt")
    options = parser.parse_args()
    judged = [options.receipts, options.token, options.decision]
    if bool(options.token) != bool(options.proof) or sum(map(bool, judged)) != 1:
        parser.error("give receipts, or --token with --proof, or --decision")
    try:
        with open(options.trust, encoding="utf-8") as file:
            trust = read_trust(file.read())
        receipts = [(path, open(path, "rb").read()) for path in options.receipts]
    except (OSError, Fault, ValueError, KeyError, TypeError) as error:
        print(f"verify.py: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if options.token:
        return judge_token(options, trust)
    if options.decision:
        return judge_decision(options, trust)
    all_valid = True
    for path, data in receipts:
        verdict = judge(data, trust)
        all_valid = all_valid and verdict["valid"]
        if options.json:
            print(json.dumps({"file": path, **verdict}))
        else:
            levels = ", ".join(f"{level} {outcome}" for level, outcome in verdict["levels"].items())
            fault = f" in {verdict['layer']}: {verdict['reason']}" if verdict["layer"] else ""
            print(f"{path}: {'valid' if verdict['valid'] else 'NOT VALID'}{fault} ({levels})")
    return 0 if all_valid else 4


if __name__ == "__main__":
    sys.exit(main())
