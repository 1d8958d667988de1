"""Judges the anchors of a receipt, written from `receipt.md`, "Anchors": RLP, the receipts trie of a block, and the event."""

from Crypto.Hash import keccak

from ots import check_ots
from rfc3161 import Fault, need

EVENT = "Anchored(bytes32,uint64)"
TIME_MAX_S = 253402300799


def keccak256(data):
    return keccak.new(digest_bits=256, data=data).digest()


# --- RLP: a string of bytes, or a list; each has one form -------------------------------------------------------------

class RlpList:
    """A list inside another value, not read yet: what is not asked for is not looked at."""

    def __init__(self, payload):
        self.payload = payload


def rlp_item(data, at):
    """The item that begins at `at`, and where it ends."""
    need(at < len(data), "malformed")
    first = data[at]
    if first < 0x80:
        return data[at:at + 1], at + 1
    short, is_list = (0x80, False) if first < 0xC0 else (0xC0, True)
    length, at = first - short, at + 1
    if length > 55:
        width = length - 55
        digits = data[at:at + width]
        need(len(digits) == width and digits[0] > 0, "malformed")
        length, at = int.from_bytes(digits, "big"), at + width
        need(length > 55, "malformed")
    end = at + length
    need(end <= len(data), "malformed")
    if is_list:
        return RlpList(data[at:end]), end
    need(length != 1 or data[at] >= 0x80, "malformed")
    return data[at:end], end


def rlp_items(value):
    need(type(value) is RlpList, "malformed")
    items, at, payload = [], 0, value.payload
    while at < len(payload):
        item, at = rlp_item(payload, at)
        items.append(item)
    need(len(items) <= 64, "too_large")
    return items


def rlp_list(data):
    """The one list that `data` is."""
    value, end = rlp_item(data, 0)
    need(end == len(data), "malformed")
    return rlp_items(value)


def string(item, length=None):
    need(type(item) is bytes and length in (None, len(item)), "malformed")
    return item


def uint(item):
    need(len(string(item)) <= 8 and item[:1] != b"\0", "malformed")
    return int.from_bytes(item, "big")


# --- the receipts trie ------------------------------------------------------------------------------------------------

def nibbles(data):
    return [nibble for byte in data for nibble in (byte >> 4, byte & 15)]


def trie_key(index):
    """The index in RLP, in nibbles."""
    digits = index.to_bytes((index.bit_length() + 7) // 8, "big")
    return nibbles(digits if len(digits) == 1 and digits[0] < 0x80 else bytes([0x80 + len(digits)]) + digits)


def trie_value(root, index, nodes):
    key, wanted = trie_key(index), root
    for place, node in enumerate(nodes):
        need(keccak256(node) == wanted, "root_mismatch")
        items = rlp_list(node)
        if len(items) == 17:
            need(key, "malformed")
            child = items[key.pop(0)]
        else:
            need(len(items) == 2 and string(items[0]), "malformed")
            flag, *part = nibbles(items[0])
            need(flag <= 3, "malformed")
            if not flag & 1:
                need(part.pop(0) == 0, "malformed")
            need(key[:len(part)] == part, "malformed")
            key, child = key[len(part):], items[1]
            if flag & 2:
                need(not key and place == len(nodes) - 1, "malformed")
                return string(child)
        wanted = string(child, 32)
    raise Fault("malformed")


# --- the anchor -------------------------------------------------------------------------------------------------------

def read_anchor(data, cbor):
    need(len(data) <= 2**16, "too_large")
    it = cbor(data)
    need(type(it) is dict and next(iter(it), None) == 1 and type(it[1]) is int, "codec_value")
    need(it[1] in (1, 2) and all(type(key) is int for key in it), "unsupported")
    if it[1] == 2:
        need(list(it) == list(range(1, 5)) and type(it[2]) is list and len(it[2]) <= 63, "codec_value")
        need(all(type(node) is bytes and len(node) == 32 for node in it[2]), "codec_value")
        need(type(it[3]) is bytes and type(it[4]) is bytes, "codec_value")
        return it
    need(list(it) == list(range(1, 8)), "codec_value")
    whole = all(type(it[key]) is int and 0 <= it[key] < 2**64 for key in (2, 5, 7))
    need(whole and type(it[3]) is list and type(it[4]) is bytes and type(it[6]) is list, "codec_value")
    need(len(it[3]) <= 63 and all(type(node) is bytes and len(node) == 32 for node in it[3]), "codec_value")
    need(len(it[6]) <= 19 and all(type(node) is bytes for node in it[6]), "codec_value")
    return it


def check_anchor(data, leaf, index, trust, cbor, root_of, read_stamped):
    """Whether the anchor is in a block that the verifier knows."""
    it = read_anchor(data, cbor)
    if it[1] == 2:
        return check_ots(it, leaf, index, trust, root_of, read_stamped)
    chains = trust["evm_anchors"]
    header, nodes = it[4], it[6]
    need(len(header) <= 4096 and all(len(node) <= 16384 for node in nodes), "too_large")
    fields = rlp_list(header)
    need(len(fields) >= 15 and all(type(field) is bytes for field in fields), "malformed")
    receipts_root, _number, time = string(fields[5], 32), uint(fields[8]), uint(fields[11])
    receipt = trie_value(receipts_root, it[5], nodes)
    need(receipt[:1] == b"\2", "malformed")
    receipt = rlp_list(receipt[1:])
    need(len(receipt) == 4 and receipt[0] == b"\1", "malformed")
    logs = rlp_items(receipt[3])
    need(it[7] < len(logs), "malformed")
    log = rlp_items(logs[it[7]])
    need(len(log) == 3, "malformed")
    topics = rlp_items(log[1])
    need(len(topics) == 2 and topics[0] == keccak256(EVENT.encode()), "malformed")
    contract, root, size = string(log[0], 20), string(topics[1], 32), int.from_bytes(string(log[2], 32), "big")
    need(size < 2**64, "malformed")
    need(root_of(leaf, index, size, it[3]) == root, "root_mismatch")
    need(time <= TIME_MAX_S, "malformed")
    chain = next((chain for chain in chains if chain["chain_id"] == it[2]), None)
    if chain is None:
        return False
    need(contract in chain["contracts"], "mismatch")
    return keccak256(header) in chain["blocks"]


# --- the trust file ---------------------------------------------------------------------------------------------------

def hexadecimal(text, length):
    need(type(text) is str and len(text) == 2 + 2 * length and text[:2] == "0x", "malformed")
    need(all(digit in "0123456789abcdef" for digit in text[2:]), "malformed")
    return bytes.fromhex(text[2:])


def read_chains(chains):
    need(type(chains) is list and len(chains) <= 16, "too_large")
    read = []
    for chain in chains:
        need(type(chain) is dict and set(chain) == {"chain_id", "contracts", "blocks"}, "malformed")
        chain_id = chain["chain_id"]
        need(type(chain_id) is int and 0 <= chain_id < 2**64, "malformed")
        need(chain_id not in [known["chain_id"] for known in read], "malformed")
        need(1 <= len(chain["contracts"]) <= 16 and len(chain["blocks"]) <= 1024, "too_large")
        read.append({"chain_id": chain_id, "contracts": [hexadecimal(text, 20) for text in chain["contracts"]],
                     "blocks": [hexadecimal(text, 32) for text in chain["blocks"]]})
    return read
