"""Writes ASN.1 element by element, so that a case can break any of them. The encodings themselves are asn1crypto's."""

from asn1crypto import core, parser

NULL = core.Null().dump()
TRUE, FALSE = core.Boolean(True).dump(), core.Boolean(False).dump()


def tlv(tag, *parts):
    """An element by its first byte: class, constructed or not, number below 31."""
    return parser.emit(tag >> 6, tag >> 5 & 1, tag & 0x1F, b"".join(parts))


def seq(*parts):
    return tlv(0x30, *parts)


def set_of(*parts):
    """SET OF, which DER sorts (X.690 §11.6)."""
    return tlv(0x31, *sorted(parts))


def explicit(number, *parts):
    return tlv(0xA0 | number, *parts)


def implicit(number, body):
    """A context tag in place of a primitive element's own."""
    return tlv(0x80 | number, body)


def integer(value):
    return core.Integer(value).dump()


def oid(dotted):
    return core.ObjectIdentifier(dotted).dump()


def octets(body):
    return core.OctetString(body).dump()


def utf8(text):
    return core.UTF8String(text).dump()


def bits(names, length):
    """A BIT STRING of named bits, without trailing zeros (X.690 §11.2.2)."""
    whole = "".join("1" if place in names else "0" for place in range(length)).rstrip("0")
    unused = -len(whole) % 8
    return tlv(0x03, bytes([unused]), int((whole + "0" * unused) or "0", 2).to_bytes((len(whole) + unused) // 8, "big"))


def bit_string(body):
    return tlv(0x03, b"\0", body)


def content_of(element):
    return parser.parse(element)[4]


def long_length(element):
    """The same element with its length in one more byte than DER allows."""
    _, _, _, header, body, _ = parser.parse(element)
    size = len(body).to_bytes(max(1, len(header) - 1), "big")
    return header[:1] + bytes([0x80 | len(size)]) + size + body


def indefinite(element):
    """The same constructed element with an indefinite length, which is BER and not DER."""
    _, _, _, header, body, _ = parser.parse(element)
    return header[:1] + b"\x80" + body + b"\0\0"
