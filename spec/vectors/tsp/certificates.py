"""The test keys, and certificates made with them.

Everything is the same in every run: keys are files, serial numbers come from names, ECDSA is that of RFC 6979. Signatures
that draw random numbers (RSA-PSS, ML-DSA) are made once and kept in `keys/signatures.json`.
"""

import hashlib
import json
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from encoding import NULL, TRUE, bit_string, bits, content_of, explicit, implicit, integer, octets, oid, seq, set_of
from encoding import tlv, utf8

KEYS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keys")
SIGNATURES = os.path.join(KEYS, "signatures.json")

HASHES = {
    "sha1": ("1.3.14.3.2.26", hashes.SHA1()),
    "sha256": ("2.16.840.1.101.3.4.2.1", hashes.SHA256()),
    "sha384": ("2.16.840.1.101.3.4.2.2", hashes.SHA384()),
    "sha512": ("2.16.840.1.101.3.4.2.3", hashes.SHA512()),
}
ECDSA = {
    "sha1": "1.2.840.10045.4.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
RSA = {
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
RSA_PSS, MGF1 = "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"
ED25519, ML_DSA_65 = "1.3.101.112", "2.16.840.1.101.3.4.3.18"

TIME_STAMPING, CODE_SIGNING, SERVER_AUTH = (f"1.3.6.1.5.5.7.3.{last}" for last in (8, 3, 1))
DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_ENCIPHERMENT, CERT_SIGN, CRL_SIGN = 0, 1, 2, 5, 6
BEGIN, END = "20250101000000Z", "20491231235959Z"

# How each key is made, once. Small and old ones are here because a verifier has to meet them.
KINDS = {
    "root": lambda: ec.generate_private_key(ec.SECP256R1()),
    "other-root": lambda: ec.generate_private_key(ec.SECP256R1()),
    "intermediate": lambda: ec.generate_private_key(ec.SECP256R1()),
    "second-intermediate": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "stranger": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
}


def private_key(name):
    path = os.path.join(KEYS, f"{name}.pem")
    if not os.path.exists(path):
        made = KINDS[name]().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        os.makedirs(KEYS, exist_ok=True)
        with open(path, "wb") as file:
            file.write(made)
    with open(path, "rb") as file:
        return serialization.load_pem_private_key(file.read(), None)


class Kept:
    """Signatures that draw random numbers, by what was signed."""

    def __init__(self):
        self.known = json.load(open(SIGNATURES, encoding="ascii")) if os.path.exists(SIGNATURES) else {}
        self.used = {}

    def sign(self, scheme, message, make):
        place = f"{scheme} {hashlib.sha256(message).hexdigest()}"
        if place not in self.known:
            self.known[place] = make().hex()
        self.used[place] = self.known[place]
        return bytes.fromhex(self.known[place])

    def text(self):
        return json.dumps(self.used, indent=1, sort_keys=True) + "\n"


KEPT = Kept()


class Key:
    """A test key that signs in its own way."""

    def __init__(self, name):
        self.name, self.private = name, private_key(name)
        public = self.private.public_key()
        self.public_info = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def identifier(self):
        """RFC 5280 §4.2.1.2, method 1."""
        algorithm_and_bits = content_of(self.public_info)
        algorithm = seq(content_of(algorithm_and_bits))
        return hashlib.sha1(content_of(algorithm_and_bits[len(algorithm):])[1:]).digest()

    def algorithm(self, digest, scheme=None):
        """The AlgorithmIdentifier of a signature."""
        if scheme == "pss":
            digest_id = seq(oid(HASHES[digest][0]), NULL)
            length = HASHES[digest][1].digest_size
            return seq(oid(RSA_PSS), seq(explicit(0, digest_id), explicit(1, seq(oid(MGF1), digest_id)),
                                         explicit(2, integer(length))))
        if scheme == "rsaEncryption":
            return seq(oid("1.2.840.113549.1.1.1"), NULL)
        if isinstance(self.private, rsa.RSAPrivateKey):
            return seq(oid(RSA[digest]), NULL)
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return seq(oid(ECDSA[digest]))
        return seq(oid(ED25519 if self.name == "ed25519" else ML_DSA_65))

    def sign(self, message, digest, scheme=None):
        algorithm = HASHES[digest][1]
        if scheme == "pss":
            pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
            return KEPT.sign(f"pss {self.name}", message, lambda: self.private.sign(message, pss, algorithm))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, padding.PKCS1v15(), algorithm)
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(message, ec.ECDSA(algorithm, deterministic_signing=True))
        if self.name == "ml-dsa-65":
            return KEPT.sign(self.name, message, lambda: self.private.sign(message))
        return self.private.sign(message)


def name(common_name):
    """O=TPWallet test corpus, CN=…"""
    parts = (("2.5.4.10", "TPWallet test corpus"), ("2.5.4.3", common_name))
    return seq(*(set_of(seq(oid(kind), utf8(text))) for kind, text in parts))


def time(text):
    """RFC 5280 §4.1.2.5: UTCTime up to 2049."""
    return tlv(0x17, text[2:].encode()) if text < "2050" else tlv(0x18, text.encode())


def extension(kind, value, critical=False):
    return seq(oid(kind), TRUE if critical else b"", octets(value))


def usage(purposes, critical=True):
    return extension("2.5.29.37", seq(*map(oid, purposes)), critical)


def key_usage(*places):
    return extension("2.5.29.15", bits(places, 9), critical=True)


def basic_constraints(authority, path_length=None):
    inside = [TRUE] if authority else []
    return extension("2.5.29.19", seq(*inside, *([] if path_length is None else [integer(path_length)])), critical=True)


@dataclass(frozen=True)
class Certificate:
    der: bytes
    key: Key
    subject: bytes
    issuer: bytes
    serial: int

    def issuer_and_serial(self):
        return seq(self.issuer, integer(self.serial))


def serial_of(label):
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") >> 1


def issue(label, subject, key, issuer, extensions, *, begin=BEGIN, end=END, version=3, serial=None, forged=False,
          key_id=None):
    """A certificate; `issuer` None means self-signed. `forged` signs it with a stranger's key."""
    subject, serial = name(subject), serial_of(label) if serial is None else serial
    signer, issuer_name = (issuer.key, issuer.subject) if issuer else (key, subject)
    digest = "sha256"
    identifiers = [extension("2.5.29.14", octets(key_id or key.identifier()))]
    if issuer:
        identifiers.append(extension("2.5.29.35", seq(implicit(0, signer.identifier()))))
    body = seq(
        b"" if version == 1 else explicit(0, integer(version - 1)),
        integer(serial),
        signer.algorithm(digest),
        issuer_name,
        seq(time(begin), time(end)),
        subject,
        key.public_info,
        b"" if version == 1 else explicit(3, seq(*extensions, *identifiers)),
    )
    signature = (Key("stranger") if forged else signer).sign(body, digest)
    return Certificate(seq(body, signer.algorithm(digest), bit_string(signature)), key, subject, issuer_name, serial)


def authority(label, subject, key, issuer=None, *, ca=True, path_length=None, may=(CERT_SIGN, CRL_SIGN), more=(), **rest):
    extensions = [basic_constraints(ca, path_length), key_usage(*may), *more]
    return issue(label, subject, Key(key), issuer, extensions, **rest)


def stamper(label, issuer, key="p256", *, purposes=(TIME_STAMPING,), critical=True, ca=False, may=(DIGITAL_SIGNATURE,),
            more=(), subject="Corpus Time-stamp Authority", **rest):
    """The certificate of a time-stamp authority, by default as RFC 3161 §2.3 wants it."""
    extensions = [usage(purposes, critical)] if purposes else []
    extensions += [basic_constraints(True)] if ca else []
    extensions += [key_usage(*may), *more]
    return issue(label, subject, Key(key), issuer, extensions, **rest)


ROOT = authority("root", "Corpus Root", "root")
