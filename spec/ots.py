"""Judges OpenTimestamps proofs in receipts, written from `receipt.md`, "Anchors", and the format's own description."""

import hashlib

from rfc3161 import need

MAGIC = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
BITCOIN, PENDING = bytes.fromhex("0588960d73d71901"), bytes.fromhex("83dfe30d2ef90c8e")
UNARY = {0x02: "sha1", 0x03: "ripemd160", 0x08: "sha256", 0x67: "keccak256", 0xF2: "reverse", 0xF3: "hexlify"}
BINARY = {0xF0: "append", 0xF1: "prepend"}
LONGEST = 4096
ADDRESS = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:")
EASIEST = {"main": 0x1D00FFFF, "regtest": 0x207FFFFF}


# --- the file: a tree of operations with attestations, in one form ----------------------------------------------------

class Input:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(self.at + count <= len(self.data), "malformed")
        self.at += count
        return self.data[self.at - count:self.at]

    def byte(self):
        return self.take(1)[0]

    def number(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            need(value < 2**64, "malformed")
            if byte < 0x80:
                return value
        need(False, "malformed")

    def octets(self, most):
        length = self.number()
        need(length <= most, "malformed")
        return self.take(length)

    def ended(self):
        need(self.at == len(self.data), "malformed")


def number_form(value):
    form = b""
    while value > 0x7F:
        form, value = form + bytes([value & 0x7F | 0x80]), value >> 7
    return form + bytes([value])


def octets_form(data):
    return number_form(len(data)) + data


def read_attestation(inp):
    """(tag, what it is sorted by, payload); of a Bitcoin block that is its height."""
    tag, payload = inp.take(8), inp.octets(8192)
    inside = Input(payload)
    if tag == BITCOIN:
        height = inside.number()
        inside.ended()
        return tag, height, number_form(height)
    if tag == PENDING:
        address = inside.octets(1000)
        inside.ended()
        need(set(address) <= ADDRESS, "malformed")
        return tag, address, octets_form(address)
    return tag, payload, payload


def read_stamp(inp, left):
    """(attestations, operations): what is known of one value, and of the values made of it."""
    attestations, operations = set(), {}
    while True:
        tag = inp.byte()
        more = tag == 0xFF
        if more:
            tag = inp.byte()
        if tag == 0x00:
            attestations.add(read_attestation(inp))
        else:
            need(tag in UNARY or tag in BINARY, "malformed")
            argument = inp.octets(LONGEST) if tag in BINARY else None
            need(argument != b"" and left > 0, "malformed")
            operations[tag, argument] = read_stamp(inp, left - 1)
        if not more:
            return attestations, operations


def stamp_form(stamp):
    attestations, operations = stamp
    parts = [b"\x00" + tag + octets_form(payload) for tag, _, payload in sorted(attestations)]
    for tag, argument in sorted(operations, key=lambda op: (op[0], op[1] or b"")):
        own = b"" if argument is None else octets_form(argument)
        parts.append(bytes([tag]) + own + stamp_form(operations[tag, argument]))
    return b"".join(b"\xff" + part for part in parts[:-1]) + b"".join(parts[-1:])


def read_proof(data):
    """The hash that the proof is about, and its tree."""
    need(len(data) <= 2**16, "too_large")
    need(data.startswith(MAGIC), "malformed")
    inp = Input(data[len(MAGIC):])
    need(inp.number() == 1 and inp.byte() == 0x08, "malformed")
    digest = inp.take(32)
    stamp = read_stamp(inp, 255)
    inp.ended()
    need(MAGIC + b"\x01\x08" + digest + stamp_form(stamp) == data, "malformed")
    return digest, stamp


def applied(operation, value):
    """The value that an operation makes; none where it is too long or by a function that is not computed."""
    tag, argument = operation
    name = UNARY.get(tag) or BINARY[tag]
    if value is None or name in ("sha1", "ripemd160", "keccak256"):
        return None
    made = {"sha256": lambda: hashlib.sha256(value).digest(), "reverse": lambda: value[::-1],
            "hexlify": lambda: value.hex().encode(), "append": lambda: value + argument,
            "prepend": lambda: argument + value}[name]()
    return made if len(made) <= LONGEST else None


def blocks_of(stamp, value):
    """(height, value) of each Bitcoin block that the proof leads to."""
    attestations, operations = stamp
    found = [(height, value) for tag, height, _ in attestations if tag == BITCOIN and value is not None]
    for operation, below in operations.items():
        found += blocks_of(below, applied(operation, value))
    return found


# --- block headers ----------------------------------------------------------------------------------------------------

def target_of(bits):
    length, mantissa = bits >> 24, bits & 0xFFFFFF
    need(mantissa and not mantissa & 0x800000, "malformed")
    target = mantissa << 8 * (length - 3) if length > 3 else mantissa >> 8 * (3 - length)
    need(0 < target < 2**256, "malformed")
    return target


def block_hash(header):
    return hashlib.sha256(hashlib.sha256(header).digest()).digest()


def read_headers(runs):
    """The trust file's `bitcoin_headers`: for each run the Merkle roots by height."""
    need(type(runs) is list and len(runs) <= 16, "too_large")
    known = []
    for run in runs:
        need(type(run) is dict and set(run) == {"network", "first_height", "headers"}, "malformed")
        first, texts = run["first_height"], run["headers"]
        need(type(first) is int and 0 <= first < 2**64 and run["network"] in EASIEST, "malformed")
        need(type(texts) is list and 1 <= len(texts) <= 1024, "too_large")
        roots, before = {}, None
        for height, text in enumerate(texts, first):
            need(type(text) is str and len(text) == 160 and set(text) <= set("0123456789abcdef"), "malformed")
            header = bytes.fromhex(text)
            target = target_of(int.from_bytes(header[72:76], "little"))
            need(int.from_bytes(block_hash(header), "little") <= target <= target_of(EASIEST[run["network"]]), "malformed")
            need(before in (None, header[4:36]), "malformed")
            roots[height], before = header[36:68], block_hash(header)
        known.append(roots)
    return known


# --- the anchor -------------------------------------------------------------------------------------------------------

def check_ots(it, leaf, index, trust, root_of, read_stamped):
    """Whether the stamped checkpoint, which the log has signed, is in a block that the verifier knows."""
    path, stamped, data = it[2], it[3], it[4]
    try:
        head = read_stamped(stamped.decode(), trust)
    except UnicodeDecodeError:
        need(False, "malformed")
    need(root_of(leaf, index, head["size"], path) == head["root"], "root_mismatch")
    digest, stamp = read_proof(data)
    need(digest == hashlib.sha256(stamped).digest(), "mismatch")
    blocks = blocks_of(stamp, digest)
    need(blocks, "malformed")
    known = False
    for roots in trust["bitcoin_headers"]:
        for height, value in blocks:
            if height in roots:
                need(roots[height] == value, "root_mismatch")
                known = True
    return known
