#!/usr/bin/env python3
"""A strict verifier of any RFC 3161 time-stamp, for comparison with others; `rfc3161.py` is the narrower one of receipts.

    verify_tsp.py TOKEN.tsr --roots ROOTS.pem [--data FILE] [--query FILE.tsq] [--untrusted OTHERS.pem]

Prints `accept` and the time, or `reject` and the rule that is broken. Where the standards leave room it takes the narrower
reading. Revocation is not checked.
"""

import argparse
import datetime
import hashlib
import sys
import time
import warnings

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

import rfc3161
from rfc3161 import (CONTENT_TYPE, INTEGER, MESSAGE_DIGEST, OCTETS, OID, SEQUENCE, SET, SIGNED_DATA, SIGNING_CERTIFICATE_V2,
                     TST_INFO, UTF8, Der, Fault, need)

SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
HASHES = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
ECDSA = {"1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}
RSA = {"1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512"}
RSA_ENCRYPTION, RSA_PSS, MGF1 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"
ED25519, ML_DSA_65 = "1.3.101.112", "2.16.840.1.101.3.4.3.18"
NULL = b"\x05\0"

CERTIFICATES_MAX = 8
# How far a clock may be ahead of ours.
AHEAD_MS_MAX = 60_000


class Certificate(rfc3161.Certificate):
    """A certificate whose key and signature may be of any sound algorithm."""

    def key(self):
        try:
            public = self.x509.public_key()
        except Exception as error:
            raise Fault("tsp_signature_algorithm") from error
        if isinstance(public, rsa.RSAPublicKey):
            need(public.key_size >= 2048, "tsp_weak_key")
        return public

    def is_issuer_of(self, child, below, at_ms):
        basic, bits = self.value(ExtensionOID.BASIC_CONSTRAINTS), self.value(ExtensionOID.KEY_USAGE)
        usage = self.value(ExtensionOID.EXTENDED_KEY_USAGE)
        try:
            self.check_common(at_ms)
            self.key()
            need(basic and basic.ca and (basic.path_length is None or below <= basic.path_length), "tsp_untrusted_chain")
            need(bits is None or bits.key_cert_sign, "tsp_untrusted_chain")
            need(usage is None or ExtendedKeyUsageOID.TIME_STAMPING in usage, "tsp_untrusted_chain")
            signed_with = child.x509.signature_hash_algorithm
            need(signed_with is None or signed_with.name in ("sha256", "sha384", "sha512"), "tsp_untrusted_chain")
            child.x509.verify_directly_issued_by(self.x509)
        except (Fault, InvalidSignature, ValueError, TypeError):
            return False
        return True


def hash_id(der, code):
    """An AlgorithmIdentifier of an accepted hash; parameters absent or NULL (RFC 5754 §2)."""
    identifier = der.inside()
    found = HASHES.get(identifier.oid())
    need(found and identifier.rest in (b"", NULL), code)
    return found


def digest(algorithm, data):
    return hashlib.new(algorithm.name, data).digest()


# --- The request and the response --------------------------------------------------------------------------------------


def read_imprint(der):
    imprint = der.inside()
    algorithm, hashed = hash_id(imprint, "tsp_imprint_algorithm"), imprint.take(OCTETS)[0]
    imprint.end()
    need(len(hashed) == algorithm.digest_size, "tsp_imprint_length")
    return algorithm.name, hashed


def read_query(data):
    """TimeStampReq (RFC 3161 §2.4.1)."""
    whole = Der(data)
    request = whole.inside()
    whole.end()
    need(request.integer() == 1, "query_version")
    found = {"imprint": read_imprint(request)}
    found["policy"] = request.oid() if request.has(OID) else None
    found["nonce"] = request.integer() if request.has(INTEGER) else None
    return found


def read_response(data):
    """TimeStampResp (RFC 3161 §2.4.2): the token of a granted one."""
    need(len(data) <= 65536, "tsp_too_long")
    whole = Der(data)
    parts = whole.inside()
    whole.end()
    status = parts.inside()
    granted = status.integer() in (0, 1)
    need(granted or not parts.rest, "tsp_token_with_refusal")
    need(granted, "tsp_refused")
    if status.has(SEQUENCE):
        texts = list(status.inside().all(UTF8))
        need(texts, "tsp_malformed")
    need(not status.rest, "tsp_granted_with_failure")
    need(parts.rest, "tsp_granted_without_token")
    token = parts.inside()
    parts.end()
    return token


# --- TSTInfo -----------------------------------------------------------------------------------------------------------


def read_accuracy(accuracy):
    """In milliseconds, rounded up."""
    found = []
    for tag, least, most, unit_us in ((INTEGER, 0, 2**63, 1_000_000), (0x80, 1, 999, 1_000), (0x81, 1, 999, 1)):
        if accuracy.has(tag):
            value = accuracy.integer(tag)
            need(least <= value <= most, "tsp_accuracy")
            found.append(value * unit_us)
    accuracy.end()
    need(found, "tsp_accuracy")
    return -(-sum(found) // 1000)


def read_extensions(extensions):
    """RFC 5280 §4.2: none twice; none that is critical, since none is known."""
    seen = set()
    for body, _ in extensions.all(SEQUENCE):
        extension = Der(body)
        kind = extension.oid()
        need(kind not in seen and extension.has(OCTETS), "tsp_token_extension")  # a critical flag would come first
        seen.add(kind)
        extension.take(OCTETS), extension.end()
    need(seen, "tsp_malformed")


def read_content(der):
    """TSTInfo (RFC 3161 §2.4.2)."""
    outer = Der(der)
    info = outer.inside()
    outer.end()
    need(info.integer() == 1, "tsp_version")
    found = {"policy": info.oid(), "imprint": read_imprint(info)}
    need(0 <= info.integer() < 2**160, "tsp_serial")
    found["gen_time"] = rfc3161.read_gen_time(info.take(0x18)[0])
    found["accuracy"] = read_accuracy(info.inside()) if info.has(SEQUENCE) else 0
    if info.has(0x01):
        need(info.take()[0] == b"\xff", "tsp_not_canonical")
    found["nonce"] = info.integer() if info.has(INTEGER) else None
    found["tsa"] = info.take()[0] if info.has(0xA0) else None
    if info.has(0xA1):
        read_extensions(info.inside(0xA1))
    info.end()
    return found


# --- SignedData --------------------------------------------------------------------------------------------------------


def read_signed_data(token):
    need(token.oid() == SIGNED_DATA, "tsp_content_type")
    wrapped = token.inside(0xA0)
    token.end()
    data = wrapped.inside()
    wrapped.end()
    need(data.integer() == 3, "tsp_version")
    digests = Der(b"".join(raw for _, raw in data.inside(SET).sorted(SEQUENCE)))
    listed = []
    while digests.rest:
        listed.append(hash_id(digests, "tsp_digest_algorithm"))
    content = data.inside()
    need(content.oid() == TST_INFO, "tsp_content_type")
    explicit = content.inside(0xA0)
    content.end()
    content_der = explicit.take(OCTETS)[0]
    explicit.end()
    embedded = [raw for _, raw in data.inside(0xA0).all(SEQUENCE)] if data.has(0xA0) else []
    need(len(embedded) <= CERTIFICATES_MAX, "tsp_too_many_certificates")
    if data.has(0xA1):
        data.take()
    signers = data.inside(SET).sorted(SEQUENCE)
    data.end()
    need(len(signers) == 1, "tsp_signer_count")
    return listed, content_der, readable(embedded), Der(signers[0][0])


def readable(certificates):
    """What cannot be read is no part of a chain."""
    found = []
    for der in certificates:
        try:
            found.append(Certificate(der))
        except Fault:
            pass
    return found


def named_certificates(signer, certificates):
    """RFC 5652 §5.3: all that fit the signer's identifier; the version follows from its kind."""
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
    return found


def read_attributes(body):
    """Signed attributes: each type once, each with one value (RFC 5652 §11, RFC 5035 §3)."""
    attributes = {}
    for content, _ in Der(body).sorted(SEQUENCE):
        attribute = Der(content)
        kind = attribute.oid()
        values = attribute.inside(SET)
        attribute.end()
        value = values.take()[1]
        need(not values.rest and kind not in attributes, "tsp_attribute_repeated")
        attributes[kind] = value
    need({CONTENT_TYPE, MESSAGE_DIGEST} <= set(attributes), "tsp_attribute_missing")
    need({SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2} & set(attributes), "tsp_attribute_missing")
    return attributes


def identified(attributes, certificates):
    """The certificate that every signing-certificate attribute names first."""
    found = [c for c in certificates
             if all(identifies(attributes[kind], c, kind == SIGNING_CERTIFICATE)
                    for kind in (SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2) if kind in attributes)]
    need(found, "tsp_signing_certificate")
    return found[0]


def identifies(value, certificate, first_version):
    """RFC 5035 §3 to §5: whether the first identifier is of this certificate."""
    outer = Der(value)
    attribute = outer.inside()
    outer.end()
    identifiers = attribute.inside()
    if attribute.has(SEQUENCE):
        attribute.take()
    attribute.end()
    need(identifiers.rest, "tsp_signing_certificate")
    first = identifiers.inside()
    algorithm = hashes.SHA1() if first_version else hashes.SHA256()
    if not first_version and first.has(SEQUENCE):
        algorithm = hash_id(first, "tsp_digest_algorithm")
        need(algorithm.name != "sha256", "tsp_not_canonical")
    fits = first.take(OCTETS)[0] == digest(algorithm, certificate.der)
    if first.has(SEQUENCE):
        named = first.inside()
        names, serial = list(named.inside().all()), named.take(INTEGER)[1]
        named.end()
        # [4]: a directory name. A certificate has one issuer.
        fits &= len(names) == 1 and names[0][1][0] == 0xA4 and (names[0][0], serial) == (certificate.issuer, certificate.serial)
    first.end()
    return fits


# --- The signature -----------------------------------------------------------------------------------------------------


def pss_salt(parameters, algorithm):
    """RFC 4055 §3.1: the salt's length, where hash and mask are of the signer's digest."""
    inside = parameters.inside()
    parameters.end()
    need(hash_id(inside.inside(0xA0), "tsp_signature_algorithm").name == algorithm.name, "tsp_signature_algorithm")
    mask = inside.inside(0xA1).inside()
    need(mask.oid() == MGF1 and hash_id(mask, "tsp_signature_algorithm").name == algorithm.name, "tsp_signature_algorithm")
    length = inside.inside(0xA2).integer()
    inside.end()
    need(length == algorithm.digest_size, "tsp_signature_algorithm")
    return length


def verification(identifier, algorithm, public):
    """How to verify with this key: a function of signature and message. Key, signature and digest must fit each other."""
    kind, rest = identifier.oid(), identifier.rest

    def is_of(key, holds):
        need(isinstance(public, key) and holds, "tsp_signature_algorithm")

    if kind in ECDSA:
        is_of(ec.EllipticCurvePublicKey, rest == b"" and ECDSA[kind] == algorithm.name)
        need(public.curve.name in ("secp256r1", "secp384r1", "secp521r1"), "tsp_signature_algorithm")
        return lambda signature, message: public.verify(whole_ecdsa(signature), message, ec.ECDSA(algorithm))
    if kind in RSA or kind == RSA_ENCRYPTION:
        is_of(rsa.RSAPublicKey, rest == NULL and RSA.get(kind, algorithm.name) == algorithm.name)
        return lambda signature, message: public.verify(signature, message, padding.PKCS1v15(), algorithm)
    if kind == RSA_PSS:
        is_of(rsa.RSAPublicKey, True)
        scheme = padding.PSS(padding.MGF1(algorithm), pss_salt(identifier, algorithm))
        return lambda signature, message: public.verify(signature, message, scheme, algorithm)
    if kind == ED25519:
        is_of(ed25519.Ed25519PublicKey, rest == b"" and algorithm.name == "sha512")  # RFC 8419 §3.1
        return public.verify
    need(kind == ML_DSA_65, "tsp_signature_algorithm")
    is_of(mldsa.MLDSA65PublicKey, rest == b"" and algorithm.name in ("sha384", "sha512"))  # RFC 9882 §3.3
    return public.verify


def whole_ecdsa(signature):
    need(encode_dss_signature(*decode_dss_signature(signature)) == signature, "tsp_bad_signature")
    return signature


def check_signature(signer, algorithm, public, message):
    verify = verification(signer.inside(), algorithm, public)
    signature = signer.take(OCTETS)[0]
    if signer.has(0xA1):
        Der(signer.take()[0]).sorted(SEQUENCE)
    signer.end()
    try:
        verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Fault("tsp_bad_signature") from error


# --- All together ------------------------------------------------------------------------------------------------------


def check_authority_name(tsa, leaf):
    """RFC 3161 §2.4.2: a name of the certificate."""
    name = Der(tsa)
    body, raw = name.take()
    name.end()
    others = leaf.value(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    names = [other for _, other in Der(Der(others.public_bytes()).take()[0]).all()] if others else []
    need((raw[0] == 0xA4 and body == leaf.subject) or raw in names, "tsp_authority_name")


def check_against(content, data, query, now_ms):
    """RFC 3161 §2.2: what the requester holds against the token."""
    need(content["gen_time"] <= now_ms + content["accuracy"] + AHEAD_MS_MAX, "tsp_gen_time_in_future")
    algorithm, hashed = content["imprint"]
    if data is not None:
        need(hashlib.new(algorithm, data).digest() == hashed, "tsp_imprint")
    if query is not None:
        asked = read_query(query)
        need(asked["imprint"] == content["imprint"], "tsp_imprint")
        need(asked["policy"] in (None, content["policy"]), "tsp_policy")
        need(asked["nonce"] == content["nonce"] or asked["nonce"] is None, "tsp_nonce")


def check(response, roots, *, data=None, query=None, untrusted=(), now_ms):
    """RFC 3161 with RFC 5652, 5816 and 5280. Certificates are lists of `Certificate`. The time in milliseconds."""
    listed, content_der, embedded, signer = read_signed_data(read_response(response))
    content, certificates = read_content(content_der), [*embedded, *untrusted]
    named = named_certificates(signer, certificates)
    algorithm = hash_id(signer, "tsp_digest_algorithm")
    need(algorithm.name in [one.name for one in listed], "tsp_digest_algorithm")
    need(signer.has(0xA0), "tsp_attribute_missing")
    attributes_der = signer.take()[1]
    attributes = read_attributes(Der(attributes_der).take()[0])
    need(Der(attributes[CONTENT_TYPE]).oid() == TST_INFO, "tsp_content_type_attribute")
    need(Der(attributes[MESSAGE_DIGEST]).take(OCTETS)[0] == digest(algorithm, content_der), "tsp_message_digest")
    leaf = identified(attributes, named)
    leaf.check_leaf(content["gen_time"])
    # RFC 5652 §5.4: what is signed is the SET OF, not the field with its tag.
    check_signature(signer, algorithm, leaf.key(), b"\x31" + attributes_der[1:])
    if content["tsa"] is not None:
        check_authority_name(content["tsa"], leaf)
    need(rfc3161.leads_to_root(leaf, certificates, roots, content["gen_time"]), "tsp_untrusted_chain")
    check_against(content, data, query, now_ms)
    return content["gen_time"]


def read_pem(data):
    return [Certificate(one.public_bytes(Encoding.DER)) for one in x509.load_pem_x509_certificates(data)]


def main():
    parser = argparse.ArgumentParser(description="verifies an RFC 3161 time-stamp, strictly")
    parser.add_argument("token")
    parser.add_argument("--roots", required=True)
    parser.add_argument("--data")
    parser.add_argument("--query")
    parser.add_argument("--untrusted")
    options = parser.parse_args()
    if options.data is None and options.query is None:
        parser.error("one of --data and --query is needed")
    warnings.simplefilter("ignore")  # a library's opinion of odd certificates; the verdict is printed below

    def read(path):
        with open(path, "rb") as file:
            return file.read()

    try:
        at_ms = check(
            read(options.token), read_pem(read(options.roots)),
            data=read(options.data) if options.data else None,
            query=read(options.query) if options.query else None,
            untrusted=read_pem(read(options.untrusted)) if options.untrusted else (),
            now_ms=time.time_ns() // 1_000_000,
        )
    except Fault as fault:
        print(f"reject {fault.code}")
        return 4
    print(f"accept {datetime.datetime.fromtimestamp(at_ms / 1000, datetime.timezone.utc).isoformat(timespec='milliseconds')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
