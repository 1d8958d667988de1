"""Checks RFC 3161 time-stamps by the rules of `receipt.md`, "Time-stamps", with a small strict DER reader."""

import datetime
import hashlib
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID


class Fault(Exception):
    """A rule that is broken, by its code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def need(holds, code):
    if not holds:
        raise Fault(code)


INTEGER, BITS, OCTETS, OID, UTF8, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x0C, 0x30, 0x31
SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
ECDSA_SHA256, ML_DSA_65 = "1.2.840.10045.4.3.2", "2.16.840.1.101.3.4.3.18"
HASHES = {"2.16.840.1.101.3.4.2.1": hashlib.sha256, "2.16.840.1.101.3.4.2.3": hashlib.sha512}


class Der:
    """Takes the elements of a DER encoding one after the other: definite, shortest lengths and tags of one byte."""

    def __init__(self, data):
        self.rest = data

    def has(self, tag):
        return self.rest[:1] == bytes([tag])

    def take(self, tag=None):
        """The next element: (content, whole encoding)."""
        data = self.rest
        need(len(data) >= 2 and data[0] & 0x1F != 0x1F and (tag is None or data[0] == tag), "tsp_malformed")
        length, start = data[1], 2
        if length >= 0x80:
            count = length & 0x7F
            start, length = 2 + count, int.from_bytes(data[2:2 + count], "big")
            need(1 <= count <= 3 and length >= max(0x80, 1 << 8 * (count - 1)), "tsp_malformed")
        end = start + length
        need(end <= len(data), "tsp_malformed")
        self.rest = data[end:]
        return data[start:end], data[:end]

    def inside(self, tag=SEQUENCE):
        return Der(self.take(tag)[0])

    def integer(self, tag=INTEGER):
        body = self.take(tag)[0]
        need(body and not (len(body) > 1 and body[0] in (0, 0xFF) and (body[0] ^ body[1]) < 0x80), "tsp_malformed")
        return int.from_bytes(body, "big", signed=True)

    def oid(self):
        body = self.take(OID)[0]
        need(body and body[-1] < 0x80, "tsp_malformed")
        arcs, value, fresh = [], 0, True
        for byte in body:
            need(not (fresh and byte == 0x80), "tsp_malformed")
            value, fresh = value << 7 | byte & 0x7F, byte < 0x80
            if fresh:
                arcs, value = arcs + [value], 0
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, [first, arcs[0] - 40 * first] + arcs[1:]))

    def hash(self, code, taken=None):
        """An AlgorithmIdentifier of an accepted hash; parameters absent or NULL."""
        identifier = self.inside()
        found = (taken or HASHES).get(identifier.oid())
        need(found and identifier.rest in (b"", b"\x05\0"), code)
        return found

    def all(self, tag=None):
        while self.rest:
            yield self.take(tag)

    def sorted(self, tag):
        """The elements of a SET OF, which DER sorts."""
        items = list(self.all(tag))
        need([raw for _, raw in items] == sorted(raw for _, raw in items), "tsp_not_canonical")
        return items

    def end(self):
        need(not self.rest, "tsp_malformed")


class Certificate:
    def __init__(self, der):
        need(len(der) <= 16384, "tsp_too_long")
        try:
            self.der, self.x509 = der, x509.load_der_x509_certificate(der)
            self.extensions = {e.oid: e for e in self.x509.extensions}
        except Exception as error:
            raise Fault("tsp_malformed") from error
        tbs = Der(der).inside().inside()
        if tbs.has(0xA0):
            tbs.take()
        self.serial = tbs.take(INTEGER)[1]
        self.inner_algorithm = tbs.take(SEQUENCE)[1]
        self.issuer = tbs.take(SEQUENCE)[1]
        tbs.take(SEQUENCE)
        self.subject = tbs.take(SEQUENCE)[1]

    def signature_algorithm(self):
        """The identifier of the signature. It has no parameters, and stands outside as inside (RFC 5280 §4.1.1.2)."""
        outer = Der(self.der).inside()
        outer.take(SEQUENCE)
        content, raw = outer.take(SEQUENCE)
        identifier = Der(content)
        found = identifier.oid()
        need(raw == self.inner_algorithm and not identifier.rest, "tsp_signature_algorithm")
        return found

    def value(self, oid):
        return self.extensions[oid].value if oid in self.extensions else None

    def key(self):
        """The key with what belongs to its kind: the identifier of its signatures, the digest beside them, its name."""
        try:
            public = self.x509.public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Fault("tsp_signature_algorithm") from error
        if isinstance(public, mldsa.MLDSA65PublicKey):
            return public, ML_DSA_65, hashlib.sha512, "ML-DSA-65"
        need(isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1",
             "tsp_signature_algorithm")
        return public, ECDSA_SHA256, hashlib.sha256, "ECDSA P-256"

    def check_signed(self, signature, message):
        """Whether this certificate's key has signed the message."""
        public, _, _, name = self.key()
        if name == "ML-DSA-65":
            return public.verify(signature, message)
        need(encode_dss_signature(*decode_dss_signature(signature)) == signature, "tsp_bad_signature")
        return public.verify(signature, message, ec.ECDSA(hashes.SHA256()))

    def check_common(self, at_ms):
        need(self.x509.version == x509.Version.v3, "tsp_version")
        known = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE}
        need(all(oid in known for oid, e in self.extensions.items() if e.critical), "tsp_critical_extension")
        start, end = (round(t.timestamp()) * 1000 for t in (self.x509.not_valid_before_utc,
                                                            self.x509.not_valid_after_utc))
        need(start <= at_ms <= end + 999, "tsp_outside_validity")

    def check_leaf(self, at_ms):
        usage = self.extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
        need(usage, "tsp_usage_missing")
        need(list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING], "tsp_usage_wrong")
        need(usage.critical, "tsp_usage_not_critical")
        basic, bits = self.value(ExtensionOID.BASIC_CONSTRAINTS), self.value(ExtensionOID.KEY_USAGE)
        need(basic is None or not basic.ca, "tsp_leaf_is_authority")
        need(bits is None or ((bits.digital_signature or bits.content_commitment) and not bits.key_cert_sign
                              and not bits.crl_sign), "tsp_key_usage")
        self.check_common(at_ms)

    def is_issuer_of(self, child, below, at_ms):
        basic, bits = self.value(ExtensionOID.BASIC_CONSTRAINTS), self.value(ExtensionOID.KEY_USAGE)
        usage = self.value(ExtensionOID.EXTENDED_KEY_USAGE)
        wanted, own = (child.value(ExtensionOID.AUTHORITY_KEY_IDENTIFIER),
                       self.value(ExtensionOID.SUBJECT_KEY_IDENTIFIER))
        try:
            self.check_common(at_ms)
            kind = self.key()[1]
            need(kind == child.key()[1], "tsp_untrusted_chain")
            need(basic and basic.ca and (basic.path_length is None or below <= basic.path_length), "tsp_untrusted_chain")
            need((bits is None or bits.key_cert_sign) and child.issuer == self.subject, "tsp_untrusted_chain")
            need(usage is None or ExtendedKeyUsageOID.TIME_STAMPING in usage, "tsp_untrusted_chain")
            need(not (wanted and wanted.key_identifier and own) or wanted.key_identifier == own.digest,
                 "tsp_untrusted_chain")
            need(child.signature_algorithm() == kind, "tsp_untrusted_chain")
            self.check_signed(child.x509.signature, child.x509.tbs_certificate_bytes)
        except (Fault, InvalidSignature, ValueError, TypeError):
            return False
        return True


def leads_to_root(child, others, roots, at_ms, below=0):
    if any(root.is_issuer_of(child, below, at_ms) for root in roots):
        return True
    return below < 3 and any(other.is_issuer_of(child, below, at_ms)
                             and leads_to_root(other, others, roots, at_ms, below + 1)
                             for other in others if other.der != child.der)


def read_gen_time(body):
    match = re.fullmatch(rb"([0-9]{14})(?:\.([0-9]{0,8}[1-9]))?Z", body)
    need(match, "tsp_gen_time")
    try:
        whole = datetime.datetime.strptime(match[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=datetime.timezone.utc)
    except ValueError as error:
        raise Fault("tsp_gen_time") from error
    need(match[1][-2:] < b"60" and whole.year >= 1970, "tsp_gen_time")
    return round(whole.timestamp()) * 1000 + int(((match[2] or b"") + b"000")[:3])


def read_content(der, hashes_taken):
    """TSTInfo (RFC 3161 §2.4.2)."""
    outer = Der(der)
    info = outer.inside()
    outer.end()
    need(info.integer() == 1, "tsp_version")
    policy, imprint = info.oid(), info.inside()
    hasher, hashed = imprint.hash("tsp_imprint_algorithm", hashes_taken), imprint.take(OCTETS)[0]
    imprint.end()
    need(0 <= info.integer() < 2**160, "tsp_serial")
    gen_time, tsa = read_gen_time(info.take(0x18)[0]), None
    if info.has(SEQUENCE):
        accuracy, parts = info.inside(), 0
        for tag, least, most in ((INTEGER, 0, 2**64 - 1), (0x80, 1, 999), (0x81, 1, 999)):
            if accuracy.has(tag):
                need(least <= accuracy.integer(tag) <= most, "tsp_accuracy")
                parts += 1
        accuracy.end()
        need(parts, "tsp_accuracy")
    if info.has(0x01):
        need(info.take()[0] == b"\xff", "tsp_not_canonical")
    if info.has(INTEGER):
        info.integer()
    if info.has(0xA0):
        tsa = info.take()[0]
    if info.has(0xA1):
        for body, _ in Der(info.take()[0]).all(SEQUENCE):
            extension = Der(body)
            extension.oid()
            need(extension.has(OCTETS), "tsp_token_extension")  # a critical flag would come first
            extension.take(OCTETS), extension.end()
    info.end()
    return {"policy": policy, "hash": hasher, "hashed": hashed, "gen_time": gen_time, "tsa": tsa}


def read_signed_data(token):
    need(token.oid() == SIGNED_DATA, "tsp_content_type")
    wrapped = token.inside(0xA0)
    data = wrapped.inside()
    wrapped.end(), token.end()
    need(data.integer() == 3, "tsp_version")
    digests = [Der(raw) for _, raw in data.inside(SET).sorted(SEQUENCE)]
    need(len(digests) == 1, "tsp_digest_algorithm")
    listed_hash = digests[0].hash("tsp_digest_algorithm")
    content = data.inside()
    need(content.oid() == TST_INFO, "tsp_content_type")
    explicit = content.inside(0xA0)
    content_der = explicit.take(OCTETS)[0]
    explicit.end(), content.end()
    certificates = [raw for _, raw in data.inside(0xA0).all(SEQUENCE)] if data.has(0xA0) else []
    need(len(certificates) <= 8, "tsp_too_many_certificates")
    if data.has(0xA1):
        data.take()
    signers = data.inside(SET).sorted(SEQUENCE)
    data.end()
    need(len(signers) == 1, "tsp_signer_count")
    return listed_hash, content_der, readable(certificates), Der(signers[0][0])


def readable(certificates):
    """No signature covers what is embedded beside the signer's chain: what cannot be read is no part of a chain."""
    found = []
    for der in certificates:
        try:
            found.append(Certificate(der))
        except Fault:
            pass
    return found


def signer_certificate(signer, certificates):
    """RFC 5652 §5.3: the version follows from the kind of identifier."""
    version = signer.integer()
    if signer.has(SEQUENCE):
        named = signer.inside()
        issuer, serial = named.take(SEQUENCE)[1], named.take(INTEGER)[1]
        named.end()
        found = [c for c in certificates if (c.issuer, c.serial) == (issuer, serial)]
    else:
        wanted = signer.take(0x80)[0]
        keyed = [(c, c.value(ExtensionOID.SUBJECT_KEY_IDENTIFIER)) for c in certificates]
        found = [c for c, own in keyed if own is not None and own.digest == wanted]
        version -= 2
    need(version == 1, "tsp_version")
    need(found, "tsp_certificate_missing")
    return found[0]


def read_attributes(body):
    """Signed attributes: each type once, each with one value."""
    attributes = {}
    for content, _ in Der(body).sorted(SEQUENCE):
        attribute = Der(content)
        name = attribute.oid()
        values = attribute.inside(SET)
        value = values.take()[1]
        attribute.end()
        need(not values.rest and name not in attributes, "tsp_attribute_repeated")
        attributes[name] = value
    need({CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_CERTIFICATE_V2} <= set(attributes), "tsp_attribute_missing")
    return attributes


def check_signing_certificate(value, leaf):
    """RFC 5035 §3 and §4: the first identifier names the signer's certificate."""
    attribute = Der(value).inside()
    ids = attribute.inside()
    if attribute.has(SEQUENCE):
        attribute.take()
    attribute.end()
    first = ids.inside()
    hasher = hashlib.sha256
    if first.has(SEQUENCE):
        need(first.rest[:13] != bytes.fromhex("300b0609608648016503040201"), "tsp_not_canonical")
        hasher = first.hash("tsp_digest_algorithm")
    need(first.take(OCTETS)[0] == hasher(leaf.der).digest(), "tsp_signing_certificate")
    if first.has(SEQUENCE):
        named = first.inside()
        names, serial = list(named.inside().all()), named.take(INTEGER)[1]
        named.end()
        need([raw for _, raw in names] == [names[0][1]] and names[0][1][0] == 0xA4, "tsp_signing_certificate")
        need((names[0][0], serial) == (leaf.issuer, leaf.serial), "tsp_signing_certificate")
    first.end()


def token_of(data):
    """The token of a response, or the one that stands alone, in DER."""
    need(len(data) <= 65536, "tsp_too_long")
    whole = Der(data)
    parts = whole.inside()
    whole.end()
    if parts.has(OID):
        return data
    parts.take(SEQUENCE)
    need(parts.rest, "tsp_refused")
    token = parts.take(SEQUENCE)[1]
    parts.end()
    return token


def granted_token(response):
    """The token in a response: a reader at the content of its `ContentInfo`."""
    need(len(response) <= 65536, "tsp_too_long")
    whole = Der(response)
    parts = whole.inside()
    whole.end()
    status = parts.inside()
    granted = status.integer() in (0, 1)
    need(granted or not parts.rest, "tsp_token_with_refusal")
    need(granted, "tsp_refused")
    if status.has(SEQUENCE):
        for _ in status.inside().all(UTF8):
            pass
    need(not status.rest and parts.rest, "tsp_granted_inconsistent")
    token = parts.inside()
    parts.end()
    return token


def check_token(token, policies, hashes_taken=HASHES):
    """RFC 3161 with RFC 5652, 5816: the content, the signer's certificate and the embedded ones. The chain is not asked for."""
    listed_hash, content_der, certificates, signer = read_signed_data(token)
    content = read_content(content_der, hashes_taken)
    leaf = signer_certificate(signer, certificates)
    _, identifier, digest, _ = leaf.key()
    need(listed_hash is digest and signer.hash("tsp_digest_algorithm") is digest, "tsp_digest_algorithm")
    need(signer.has(0xA0), "tsp_attribute_missing")
    attributes_der = signer.take()[1]
    attributes = read_attributes(Der(attributes_der).take()[0])
    need(Der(attributes[CONTENT_TYPE]).oid() == TST_INFO, "tsp_content_type_attribute")
    need(Der(attributes[MESSAGE_DIGEST]).take(OCTETS)[0] == digest(content_der).digest(), "tsp_message_digest")
    check_signing_certificate(attributes[SIGNING_CERTIFICATE_V2], leaf)
    leaf.check_leaf(content["gen_time"])
    algorithm = signer.inside()
    need(algorithm.oid() == identifier and not algorithm.rest, "tsp_signature_algorithm")
    signature = signer.take(OCTETS)[0]
    if signer.has(0xA1):
        Der(signer.take()[0]).sorted(SEQUENCE)
    signer.end()
    try:
        leaf.check_signed(signature, b"\x31" + attributes_der[1:])
    except (InvalidSignature, ValueError) as error:
        raise Fault("tsp_bad_signature") from error
    if content["tsa"] is not None:
        name = Der(content["tsa"])
        body, raw = name.take()
        name.end()
        others = leaf.value(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        names = [n for _, n in Der(Der(others.public_bytes()).take()[0]).all()] if others else []
        need((raw[0] == 0xA4 and body == leaf.subject) or raw in names, "tsp_authority_name")
    need(content["policy"] in policies, "tsp_policy")
    return content, leaf, certificates


def check_timestamp(response, data, roots, policies):
    """A response over `data`; the time in milliseconds."""
    content, leaf, certificates = check_token(granted_token(response), policies)
    need(leads_to_root(leaf, certificates, roots, content["gen_time"]), "tsp_untrusted_chain")
    need(content["hash"](data).digest() == content["hashed"], "tsp_imprint")
    return content["gen_time"]
