"""Puts a time-stamp response together from parts, each of which a case can change."""

import hashlib
from dataclasses import dataclass, replace
from typing import Callable, Optional

from certificates import HASHES, ROOT, stamper
from encoding import TRUE, bits, content_of, explicit, implicit, integer, octets, oid, seq, set_of, tlv, utf8

DATA = b"Pay 12345 USD/2 to the person whom this letter names.\n"
POLICY, OTHER_POLICY = "1.3.6.1.4.1.32473.1.1", "1.3.6.1.4.1.32473.1.2"  # below RFC 5612's number for examples
NONCE = 0x6D5A1F0C2B3E4D58

SIGNED_DATA, PLAIN_DATA, ENVELOPED_DATA = (f"1.2.840.113549.1.7.{last}" for last in (2, 1, 3))
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = (f"1.2.840.113549.1.9.{last}" for last in (3, 4, 5))
SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"


def same(value):
    return value


def digest(algorithm, data):
    return hashlib.new(algorithm, data).digest()


def hash_id(algorithm, parameters=b""):
    return seq(oid(HASHES[algorithm][0]), parameters)


def attribute(kind, *values):
    return seq(oid(kind), set_of(*values))


def ess_v2(certificate, algorithm="sha256", *, named=True, hashed=None, names=None):
    """RFC 5035 §4: an ESSCertIDv2. SHA-256 is the default, which DER leaves out."""
    names = names or certificate
    return seq(
        b"" if algorithm == "sha256" else hash_id(algorithm),
        octets(hashed or digest(algorithm, certificate.der)),
        issuer_serial(names) if named else b"",
    )


def ess_v1(certificate, hashed=None):
    return seq(octets(hashed or digest("sha1", certificate.der)), issuer_serial(certificate))


def issuer_serial(certificate):
    return seq(seq(explicit(4, certificate.issuer)), integer(certificate.serial))


def signing_certificate(*identifiers):
    return attribute(SIGNING_CERTIFICATE_V2, seq(seq(*identifiers)))


def accuracy(seconds=None, millis=None, micros=None):
    number = lambda value: content_of(integer(value))  # noqa: E731
    return seq(
        b"" if seconds is None else integer(seconds),
        b"" if millis is None else implicit(0, number(millis)),
        b"" if micros is None else implicit(1, number(micros)),
    )


STAMPER = stamper("leaf", ROOT)


@dataclass(frozen=True)
class Plan:
    """What a token is made of. As it stands it obeys every rule."""

    # TSTInfo, RFC 3161 §2.4.2.
    version: int = 1
    policy: str = POLICY
    imprint: str = "sha256"
    imprint_parameters: bytes = b""
    hashed: Optional[bytes] = None
    serial: int = 0x1F2E3D4C5B6A7988
    gen_time: bytes = b"20260115120000Z"
    gen_time_tag: int = 0x18
    accuracy: bytes = accuracy(1)
    ordering: bytes = b""
    nonce: Optional[int] = NONCE
    tsa: bytes = b""
    extensions: bytes = b""
    edit_content: Callable = same
    # SignedData, RFC 5652 §5.1.
    outer_type: str = SIGNED_DATA
    data_version: int = 3
    content_type: str = TST_INFO
    detached: bool = False
    listed: Optional[str] = None
    embedded: Optional[tuple] = None
    signers: int = 1
    # SignerInfo, RFC 5652 §5.3.
    signer: object = STAMPER
    sid: object = None
    key_id: Optional[bytes] = None
    signer_version: Optional[int] = None
    digest: str = "sha256"
    digest_parameters: bytes = b""
    scheme: Optional[str] = None
    signature_digest: Optional[str] = None
    signature_algorithm: Optional[bytes] = None
    change: tuple = ()
    attributes: bool = True
    order: Callable = sorted
    signed_over: Callable = lambda attributes, content: tlv(0x31, *sorted(attributes))
    edit_signature: Callable = same
    unsigned: bytes = b""
    # TimeStampResp.
    status: int = 0
    fail_info: Optional[int] = None
    status_text: Optional[str] = None
    token: bool = True
    edit_token: Callable = same
    edit: Callable = same

    def with_(self, **changes):
        return replace(self, **changes)


def content(plan):
    hashed = digest(plan.imprint, DATA) if plan.hashed is None else plan.hashed
    return plan.edit_content(seq(
        integer(plan.version),
        oid(plan.policy),
        seq(hash_id(plan.imprint, plan.imprint_parameters), octets(hashed)),
        integer(plan.serial),
        tlv(plan.gen_time_tag, plan.gen_time),
        plan.accuracy,
        plan.ordering,
        b"" if plan.nonce is None else integer(plan.nonce),
        plan.tsa,
        plan.extensions,
    ))


def signed_attributes(plan, body):
    """By name; `change` replaces, adds or (None) drops. A change may depend on the content."""
    found = {
        "content-type": attribute(CONTENT_TYPE, oid(plan.content_type)),
        "message-digest": attribute(MESSAGE_DIGEST, octets(digest(plan.digest, body))),
        "signing-certificate": signing_certificate(ess_v2(plan.signer)),
    }
    found.update({name: value(body) if callable(value) else value for name, value in plan.change})
    return [value for value in found.values() if value is not None]


def signer_info(plan, body, again=0):
    attributes = signed_attributes(plan, body)
    attributes += [attribute(SIGNING_TIME, tlv(0x17, b"260115120000Z"))] if again else []
    message = plan.signed_over(attributes, body) if plan.attributes else body
    key, hasher = plan.signer.key, plan.signature_digest or plan.digest
    if plan.key_id is not None:
        version, sid = 3, implicit(0, plan.key_id)
    else:
        version, sid = 1, (plan.sid or plan.signer).issuer_and_serial()
    return seq(
        integer(version if plan.signer_version is None else plan.signer_version),
        sid,
        hash_id(plan.digest, plan.digest_parameters),
        explicit(0, *plan.order(attributes)) if plan.attributes else b"",
        plan.signature_algorithm or key.algorithm(hasher, plan.scheme),
        octets(plan.edit_signature(key.sign(message, hasher, plan.scheme))),
        plan.unsigned,
    )


def token(plan):
    body = content(plan)
    embedded = (plan.signer.der,) if plan.embedded is None else plan.embedded
    signed_data = seq(
        integer(plan.data_version),
        set_of(hash_id(plan.listed or plan.digest, plan.digest_parameters)),
        seq(oid(plan.content_type), b"" if plan.detached else explicit(0, octets(body))),
        explicit(0, *sorted(embedded)) if embedded else b"",
        set_of(*(signer_info(plan, body, again) for again in range(plan.signers))),
    )
    return plan.edit_token(seq(oid(plan.outer_type), explicit(0, signed_data)))


def response(plan):
    status = seq(
        integer(plan.status),
        b"" if plan.status_text is None else seq(utf8(plan.status_text)),
        b"" if plan.fail_info is None else bits([plan.fail_info], 26),
    )
    return plan.edit(seq(status, token(plan) if plan.token else b""))


def query(*, policy=None, nonce=NONCE, certificate=True, algorithm="sha256", parameters=b""):
    """TimeStampReq, RFC 3161 §2.4.1."""
    return seq(
        integer(1),
        seq(hash_id(algorithm, parameters), octets(digest(algorithm, DATA))),
        b"" if policy is None else oid(policy),
        b"" if nonce is None else integer(nonce),
        TRUE if certificate else b"",
    )
