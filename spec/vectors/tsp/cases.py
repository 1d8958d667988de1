"""The cases: what each token changes, how it must be judged, and by which rule."""

from dataclasses import dataclass
from typing import Optional

import certificates as pki
from certificates import ROOT, authority, stamper
from encoding import FALSE, NULL, TRUE, explicit, indefinite, long_length, octets, oid, seq, tlv, utf8
from tokens import (CONTENT_TYPE, ENVELOPED_DATA, MESSAGE_DIGEST, NONCE, OTHER_POLICY, PLAIN_DATA, POLICY,
                    SIGNING_CERTIFICATE, SIGNING_TIME, STAMPER, DATA, Plan, accuracy, attribute, digest, ess_v1, ess_v2,
                    hash_id, query, signing_certificate)


@dataclass(frozen=True)
class Case:
    name: str
    accept: bool
    why: str
    arguable: bool
    plan: Plan
    query: Optional[bytes]
    roots: str
    untrusted: Optional[tuple]


ASKED = object()
CASES = []
ROOTS = {
    "root": ROOT,
    "other-root": authority("other-root", "Another Corpus Root", "other-root"),
}


def add(accept, name, why, *, arguable=False, asks=ASKED, roots="root", untrusted=None, **changes):
    request = query() if asks is ASKED else asks
    CASES.append(Case(name, accept, why, arguable, Plan(**changes), request, roots, untrusted))


def good(name, why, **rest):
    add(True, name, why, **rest)


def bad(name, why, **rest):
    add(False, name, why, **rest)


def changed(**attributes):
    """Signed attributes to replace, add or drop, with `_` for `-` in their names."""
    return tuple((name.replace("_", "-"), value) for name, value in attributes.items())


def extensions(*items):
    """The last field of a TSTInfo: [1] in place of SEQUENCE."""
    return explicit(1, *items)


UNKNOWN = "1.3.6.1.4.1.32473.9.1"


# --- Plain tokens, and every freedom that the standard gives ------------------------------------------------------------

good("p256", "A P-256 token that obeys RFC 3161 in every point.")
good("data-only", "RFC 3161 §2.2: without the request at hand the imprint is compared with the data itself.", asks=None)
good("nonce-absent", "RFC 3161 §2.4.2: the nonce is there only if the request had one.", asks=query(nonce=None), nonce=None)
good("nonce-160-bit", "RFC 3161 §2.4.1: the nonce is an INTEGER of any size and comes back as it was.",
     asks=query(nonce=2**160 - 1), nonce=2**160 - 1)
good("nonce-zero", "RFC 3161 §2.4.1: zero is a nonce too.", asks=query(nonce=0), nonce=0)
good("nonce-negative", "RFC 3161 §2.4.1: the nonce is an INTEGER, which may be negative, and comes back as it was.",
     asks=query(nonce=-129), nonce=-129)
good("policy-requested", "RFC 3161 §2.4.2: the policy equals the one that was asked for.", asks=query(policy=POLICY))
good("imprint-sha512", "RFC 3161 §2.4.2: the imprint may be of any hash that the verifier knows; the request has the same.",
     asks=query(algorithm="sha512"), imprint="sha512")
good("imprint-sha384", "RFC 3161 §2.4.2: the imprint may be of any hash that the verifier knows; the request has the same.",
     asks=query(algorithm="sha384"), imprint="sha384")
good("imprint-parameters-null", "RFC 5754 §2: for SHA-2 absent parameters and NULL mean the same; here both sides have NULL.",
     asks=query(parameters=NULL), imprint_parameters=NULL)
good("imprint-parameters-null-answered", "RFC 5754 §2: for SHA-2 absent parameters and NULL mean the same; only the answer has NULL.",
     imprint_parameters=NULL)
good("digest-parameters-null", "RFC 5754 §2: parameters of the signer's digest algorithm may be NULL.", digest_parameters=NULL)
good("gen-time-milliseconds", "RFC 3161 §2.4.2: genTime may have a fraction of a second.", gen_time=b"20260115120000.125Z")
good("gen-time-microseconds", "RFC 3161 §2.4.2: genTime may have a fraction of a second.", gen_time=b"20260115120000.123456Z")
good("gen-time-at-not-before", "RFC 5280 §4.1.2.5: the validity period includes its first second.", gen_time=b"20250101000000Z")
good("gen-time-at-not-after", "RFC 5280 §4.1.2.5: the validity period includes its last second; it has ended since.",
     arguable=True, signer=stamper("leaf-to-the-second", ROOT, end="20260115120000Z"))
good("accuracy-absent", "RFC 3161 §2.4.2: accuracy is optional.", accuracy=b"")
good("accuracy-all-parts", "RFC 3161 §2.4.2: accuracy in seconds, milliseconds and microseconds.", accuracy=accuracy(1, 999, 1))
good("ordering-true", "RFC 3161 §2.4.2: ordering may be TRUE.", ordering=TRUE)
good("tsa-name", "RFC 3161 §2.4.2: the tsa field is the subject name of the certificate.",
     tsa=explicit(0, explicit(4, STAMPER.subject)))
ALSO = stamper("leaf-with-other-name", ROOT, more=(pki.extension("2.5.29.17", seq(tlv(0x82, b"tsa.example"))),))
good("tsa-alternative-name", "RFC 3161 §2.4.2: the tsa field is one of the certificate's alternative names.",
     signer=ALSO, tsa=explicit(0, tlv(0x82, b"tsa.example")))
good("extension-unknown", "RFC 3161 §2.4.2: an unknown extension of the token that is not critical is passed over.",
     extensions=extensions(seq(oid(UNKNOWN), octets(NULL))))
good("serial-160-bit", "RFC 3161 §2.4.2: users must be ready for serial numbers of up to 160 bits.", serial=2**160 - 1)
good("serial-zero", "RFC 3161 §2.4.2: the serial number is an INTEGER, and zero is one.", serial=0)
good("granted-with-mods", "RFC 3161 §2.4.2: a token comes with status 0 or 1 (grantedWithMods).", status=1)
good("status-text", "RFC 3161 §2.4.2: a granted answer may carry a text.", status_text="as asked")

# --- Signers: algorithms, certificates, identifiers --------------------------------------------------------------------

good("rsa2048", "RFC 5754 §3.2: RSA PKCS #1 v1.5 with SHA-256.", signer=stamper("leaf-rsa2048", ROOT, "rsa2048"))
RSA3072 = stamper("leaf-rsa3072", ROOT, "rsa3072")
good("rsa3072", "RFC 5754 §3.2: RSA PKCS #1 v1.5 with SHA-256.", signer=RSA3072)
good("rsa3072-sha512", "RFC 5754 §3.2: RSA PKCS #1 v1.5 with SHA-512.", signer=RSA3072, digest="sha512")
good("rsa-encryption-named", "RFC 3370 §3.2: rsaEncryption as signature algorithm, the hash is the digest algorithm's.",
     signer=RSA3072, scheme="rsaEncryption")
good("rsa-pss", "RFC 4056: RSASSA-PSS with SHA-256 and a salt of 32 bytes.", signer=RSA3072, scheme="pss")
P384 = stamper("leaf-p384", ROOT, "p384")
good("p384-sha384", "RFC 5754 §3.3: ECDSA P-384 with SHA-384.", signer=P384, digest="sha384")
good("p521-sha512", "RFC 5754 §3.3: ECDSA P-521 with SHA-512.", signer=stamper("leaf-p521", ROOT, "p521"), digest="sha512")
good("digest-sha384", "RFC 5754 §2: the signer's digest may be SHA-384.", digest="sha384")
good("digest-sha512", "RFC 5754 §2: the signer's digest may be SHA-512.", digest="sha512")
good("ed25519", "RFC 8419: Ed25519 in CMS, with SHA-512 as digest.", signer=stamper("leaf-ed25519", ROOT, "ed25519"),
     digest="sha512")
good("ml-dsa-65", "RFC 9882: ML-DSA-65 in CMS, with SHA-512 as digest.", signer=stamper("leaf-ml-dsa-65", ROOT, "ml-dsa-65"),
     digest="sha512")
good("signer-by-key-identifier", "RFC 5652 §5.3: a signer named by its key identifier has version 3.",
     key_id=STAMPER.key.identifier())
good("key-usage-non-repudiation", "RFC 5280 §4.2.1.3: non-repudiation alone is a usage for signatures.",
     signer=stamper("leaf-non-repudiation", ROOT, may=(pki.NON_REPUDIATION,)))
good("certificate-not-embedded", "RFC 3161 §2.4.1: without certReq the certificate is left out; the verifier has it already.",
     asks=query(certificate=False), embedded=(), untrusted=(STAMPER,))
good("certificate-expired-since", "RFC 3161 §4: a token outlives its certificate, which was valid at genTime and has expired since.",
     arguable=True, signer=stamper("leaf-short", ROOT, end="20260201000000Z"))
good("root-embedded", "RFC 5652 §10.2.3: the chain may come with its root.", embedded=(STAMPER.der, ROOT.der))
STRANGER = stamper("leaf-stranger", ROOT, "stranger", subject="Another Time-stamp Authority")
good("certificate-unrelated", "RFC 5652 §10.2.3: there may be more certificates than needed.",
     embedded=(STAMPER.der, STRANGER.der))
good("certificate-junk", "RFC 5652 §10.2.3 allows more certificates than needed; one that cannot be read is part of no chain.",
     arguable=True, embedded=(STAMPER.der, seq(oid(UNKNOWN), octets(b"no certificate"))))
RENEWED = stamper("leaf-renewed", ROOT)
good("certificates-of-one-key", "RFC 5652 §5.3: of two certificates of the same key, issuer and serial number say which.",
     embedded=(STAMPER.der, RENEWED.der))
good("key-identifier-shared", "RFC 5035 §4: of two certificates with the same key identifier, the certificate hash says which.",
     arguable=True, key_id=STAMPER.key.identifier(), embedded=(STAMPER.der, RENEWED.der))
good("ess-v1", "RFC 5816 §2.2: an ESSCertID (SHA-1 of the certificate) still identifies it.",
     change=changed(signing_certificate=attribute(SIGNING_CERTIFICATE, seq(seq(ess_v1(STAMPER))))))
good("ess-v1-and-v2", "RFC 5816 §2.2: both identifiers may be there if both are right.",
     change=changed(ess_v1=attribute(SIGNING_CERTIFICATE, seq(seq(ess_v1(STAMPER))))))
good("ess-v2-without-issuer", "RFC 5035 §4: issuerSerial is optional.",
     change=changed(signing_certificate=signing_certificate(ess_v2(STAMPER, named=False))))
good("ess-v2-sha512", "RFC 5035 §4: the hash of the certificate may be another than SHA-256.",
     change=changed(signing_certificate=signing_certificate(ess_v2(STAMPER, "sha512"))))
good("ess-v2-with-issuer-certificate", "RFC 5035 §3: after the signer's certificate the list may name those of its chain.",
     change=changed(signing_certificate=signing_certificate(ess_v2(STAMPER), ess_v2(ROOT))))
good("attribute-signing-time", "RFC 5652 §11.3: a signing-time attribute may be there.",
     change=changed(signing_time=attribute(SIGNING_TIME, tlv(0x17, b"260115120000Z"))))
good("attribute-unsigned", "RFC 5652 §5.3: unsigned attributes change nothing in what is signed.",
     unsigned=explicit(1, attribute(UNKNOWN, utf8("kept beside"))))

# --- Chains ------------------------------------------------------------------------------------------------------------

MIDDLE = authority("intermediate", "Corpus Intermediate", "intermediate", ROOT)
BELOW = stamper("leaf-below", MIDDLE)


def below(middle, label, **rest):
    """A signer whose chain goes through this certificate, with both embedded."""
    leaf = stamper(label, middle, **rest)
    return {"signer": leaf, "embedded": (leaf.der, middle.der)}


good("chain-of-two", "RFC 5280 §6.1: the signer's certificate leads to the root through an embedded intermediate.",
     signer=BELOW, embedded=(BELOW.der, MIDDLE.der))
good("intermediate-given-apart", "RFC 5280 §6.1: the intermediate is not in the token, but the verifier has it.",
     signer=BELOW, untrusted=(MIDDLE,))
good("chain-within-path-length", "RFC 5280 §4.2.1.9: a path length of zero still allows the signer's certificate.",
     **below(authority("intermediate-zero", "Corpus Intermediate", "intermediate", ROOT, path_length=0), "leaf-below-zero"))
bad("intermediate-missing", "RFC 5280 §6.1: no chain leads to the root.", signer=BELOW)
bad("intermediate-not-authority", "RFC 5280 §4.2.1.9: an issuer has basic constraints with cA TRUE.",
    **below(authority("intermediate-plain", "Corpus Intermediate", "intermediate", ROOT, ca=False), "leaf-below-plain"))
bad("intermediate-may-not-sign", "RFC 5280 §4.2.1.3: the key usage of an issuer has keyCertSign.",
    **below(authority("intermediate-unfit", "Corpus Intermediate", "intermediate", ROOT, may=(pki.DIGITAL_SIGNATURE,)),
            "leaf-below-unfit"))
bad("intermediate-forged", "RFC 5280 §6.1.3: the intermediate's signature is not the root's.",
    **below(authority("intermediate-forged", "Corpus Intermediate", "intermediate", ROOT, forged=True), "leaf-below-forged"))
bad("intermediate-expired", "RFC 5280 §6.1.3: every certificate of the chain is valid at genTime.",
    **below(authority("intermediate-short", "Corpus Intermediate", "intermediate", ROOT, end="20260101000000Z"),
            "leaf-below-short"))
bad("intermediate-for-servers", "An intermediate limited to TLS servers vouches for no time-stamps; RFC 5280 §4.2.1.12 "
    "leaves the meaning in a chain open.", arguable=True,
    **below(authority("intermediate-for-servers", "Corpus Intermediate", "intermediate", ROOT,
                      more=(pki.usage((pki.SERVER_AUTH,), critical=False),)), "leaf-below-servers"))
NARROW = authority("intermediate-narrow", "Corpus Intermediate", "intermediate", ROOT, path_length=0)
SECOND = authority("intermediate-second", "Corpus Second Intermediate", "second-intermediate", NARROW)
TOO_LOW = stamper("leaf-too-low", SECOND)
bad("path-length-exceeded", "RFC 5280 §4.2.1.9: a path length of zero allows no further intermediate.",
    signer=TOO_LOW, embedded=(TOO_LOW.der, SECOND.der, NARROW.der))
bad("root-not-trusted", "RFC 5280 §6.1: the chain ends at a root that the verifier does not trust.",
    roots="other-root", embedded=(STAMPER.der, ROOT.der))
IMPOSTOR = authority("impostor", "Corpus Root", "other-root", key_id=ROOT.key.identifier())
IMPOSED = stamper("leaf-imposed", IMPOSTOR)
bad("root-impostor", "RFC 5280 §6.1: the name and key identifier are the root's, the key is not.",
    signer=IMPOSED, embedded=(IMPOSED.der, IMPOSTOR.der))
SELF = stamper("leaf-self-signed", None)
bad("certificate-self-signed", "RFC 5280 §6.1: a certificate that only vouches for itself.", signer=SELF)
bad("certificate-forged", "RFC 5280 §6.1.3: the certificate's signature is not its issuer's.",
    signer=stamper("leaf-forged", ROOT, forged=True))
bad("certificate-critical-extension", "RFC 5280 §4.2: an unknown critical extension of a certificate.",
    signer=stamper("leaf-critical", ROOT, more=(pki.extension(UNKNOWN, NULL, critical=True),)))
bad("certificate-missing", "RFC 3161 §2.4.1: the certificate was asked for, is not in the token, and is not known otherwise.",
    embedded=())

# --- The signer's certificate ------------------------------------------------------------------------------------------

bad("usage-missing", "RFC 3161 §2.3: the certificate has an extended key usage.", signer=stamper("leaf-no-usage", ROOT, purposes=()))
bad("usage-server", "RFC 3161 §2.3: the extended key usage is time-stamping.",
    signer=stamper("leaf-server", ROOT, purposes=(pki.SERVER_AUTH,)))
bad("usage-not-critical", "RFC 3161 §2.3: the extended key usage is critical.", signer=stamper("leaf-uncritical", ROOT, critical=False))
bad("usage-not-alone", "RFC 3161 §2.3: the extended key usage is time-stamping alone.",
    signer=stamper("leaf-code", ROOT, purposes=(pki.TIME_STAMPING, pki.CODE_SIGNING)))
bad("certificate-is-authority", "RFC 3161 §2.3: the key is reserved for time-stamps; that of a certificate authority is not.",
    signer=stamper("leaf-authority", ROOT, ca=True, may=(pki.DIGITAL_SIGNATURE, pki.CERT_SIGN)))
bad("key-usage-encipherment", "RFC 5280 §4.2.1.3: a key for encipherment alone verifies no signatures.",
    signer=stamper("leaf-encipherment", ROOT, may=(pki.KEY_ENCIPHERMENT,)))
bad("certificate-version-1", "RFC 3161 §2.3: a certificate of version 1 has no extended key usage.",
    signer=stamper("leaf-version-1", ROOT, version=1))
bad("certificate-expired", "RFC 5280 §6.1.3: the certificate had expired at genTime.",
    signer=stamper("leaf-expired", ROOT, end="20260101000000Z"))
bad("certificate-not-yet-valid", "RFC 5280 §6.1.3: genTime is before the certificate's notBefore.",
    signer=stamper("leaf-later", ROOT, begin="20260601000000Z"))
bad("rsa1024", "NIST SP 800-131A: RSA of 1024 bits is too weak for signatures; RFC 3161 names no length.", arguable=True,
    signer=stamper("leaf-rsa1024", ROOT, "rsa1024"))

# --- The identifier of the signer's certificate ------------------------------------------------------------------------


def ess(*identifiers, **rest):
    return {"change": changed(signing_certificate=signing_certificate(*identifiers)), **rest}


bad("ess-missing", "RFC 3161 §2.4.2: the signed attributes identify the certificate.", change=changed(signing_certificate=None))
bad("ess-hash-wrong", "RFC 5816 §2.2.1: the hash is that of the signer's certificate.", **ess(ess_v2(STAMPER, hashed=bytes(32))))
bad("ess-of-another", "RFC 5816 §2.2.1: the identifier is that of another certificate, which is embedded as well.",
    **ess(ess_v2(STRANGER)), embedded=(STAMPER.der, STRANGER.der))
bad("ess-of-twin", "RFC 5035 §3: the signer is one certificate, the identifier another one of the same key.",
    **ess(ess_v2(RENEWED)), embedded=(STAMPER.der, RENEWED.der))
bad("ess-issuer-wrong", "RFC 5035 §4: issuerSerial, if there, is that of the certificate.", **ess(ess_v2(STAMPER, names=STRANGER)))
bad("ess-signer-second", "RFC 5035 §3: the first identifier of the list is that of the signer's certificate.",
    **ess(ess_v2(ROOT), ess_v2(STAMPER)))
bad("ess-empty", "RFC 5035 §3: the list has at least the signer's certificate.", **ess())
bad("ess-v1-wrong-v2-right", "RFC 5035 §3: of two identifiers one is wrong.",
    change=changed(ess_v1=attribute(SIGNING_CERTIFICATE, seq(seq(ess_v1(STAMPER, bytes(20)))))))
bad("ess-v1-wrong", "RFC 3161 §2.4.2: the SHA-1 hash is that of the signer's certificate.",
    change=changed(signing_certificate=attribute(SIGNING_CERTIFICATE, seq(seq(ess_v1(STAMPER, bytes(20)))))))
bad("ess-default-spelled-out", "X.690 §11.5: DER leaves out a default value; here SHA-256 is written out.", arguable=True,
    **ess(seq(hash_id("sha256"), octets(digest("sha256", STAMPER.der)))))

# --- The other signed attributes, and the signature --------------------------------------------------------------------

bad("message-digest-wrong", "RFC 5652 §5.6: message-digest is the digest of the content.",
    change=changed(message_digest=attribute(MESSAGE_DIGEST, octets(bytes(32)))))
bad("message-digest-missing", "RFC 5652 §5.3: signed attributes contain message-digest.", change=changed(message_digest=None))
bad("message-digest-twice", "RFC 5652 §11.2: there is one message-digest attribute.",
    change=changed(again=attribute(MESSAGE_DIGEST, octets(bytes(32)))))
bad("message-digest-two-values", "RFC 5652 §11.2: message-digest has one value.",
    change=changed(message_digest=lambda body: attribute(MESSAGE_DIGEST, octets(digest("sha256", body)), octets(bytes(32)))))
bad("content-type-attribute-wrong", "RFC 5652 §11.1: the content-type attribute equals eContentType.",
    change=changed(content_type=attribute(CONTENT_TYPE, oid(PLAIN_DATA))))
bad("content-type-attribute-missing", "RFC 5652 §5.3: signed attributes contain content-type.", change=changed(content_type=None))
bad("attributes-missing", "RFC 5652 §5.3: with another content type than data there are signed attributes.", attributes=False)
bad("attributes-not-sorted", "RFC 5652 §5.3: signed attributes are DER, and DER sorts a SET OF.",
    order=lambda found: sorted(found, reverse=True))
bad("attributes-not-sorted-as-signed", "RFC 5652 §5.3: signed attributes are DER; here they were also signed in the wrong order.",
    order=lambda found: sorted(found, reverse=True), signed_over=lambda found, body: tlv(0x31, *sorted(found, reverse=True)))
bad("attributes-signed-with-their-tag", "RFC 5652 §5.4: what is signed is the SET OF, not the field with tag [0].",
    signed_over=lambda found, body: tlv(0xA0, *sorted(found)))
bad("signature-broken", "RFC 5652 §5.6: the signature is not that of the signed attributes.",
    edit_signature=lambda made: made[:-1] + bytes([made[-1] ^ 1]))
bad("signature-of-another-key", "RFC 5652 §5.6: another key signed than that of the certificate.",
    signer=pki.Certificate(STAMPER.der, pki.Key("stranger"), STAMPER.subject, STAMPER.issuer, STAMPER.serial))
bad("signature-with-trailing-bytes", "RFC 5753 §7.2: the signature is one DER ECDSA-Sig-Value.",
    edit_signature=lambda made: made + b"\0")
bad("signers-two", "RFC 3161 §2.4.2: there is no other signature than that of the authority.", signers=2)
bad("signers-none", "RFC 3161 §2.4.2: the authority signs.", signers=0)
bad("digest-mismatch", "RFC 5652 §5.4: the message digest is of another algorithm than the signer's.",
    digest="sha512", signature_digest="sha512",
    change=changed(message_digest=lambda body: attribute(MESSAGE_DIGEST, octets(digest("sha256", body)))))
bad("digest-not-listed", "RFC 5652 §5.1: the signer's digest algorithm is listed; a verifier may fail otherwise.",
    arguable=True, listed="sha512")
bad("digest-not-of-the-signature", "RFC 5754 §3.3: ECDSA signs with the digest algorithm; here SHA-256 meets ecdsa-with-SHA512.",
    arguable=True, signature_digest="sha512")
bad("digest-sha1", "RFC 6194: SHA-1 is no longer fit for signatures; RFC 3161 forbids no hash by name.", arguable=True,
    digest="sha1")
bad("signature-parameters-null", "RFC 5758 §3.2: ecdsa-with-SHA256 has no parameters; here it has NULL.", arguable=True,
    signature_algorithm=seq(oid(pki.ECDSA["sha256"]), NULL))
bad("signer-version-wrong", "RFC 5652 §5.3: a signer named by issuer and serial number has version 1.", signer_version=3)
bad("signer-of-another-serial", "RFC 5652 §5.3: no certificate has the signer's serial number.", sid=RENEWED)

# --- SignedData and TSTInfo --------------------------------------------------------------------------------------------

bad("outer-type-wrong", "RFC 3161 §2.4.2: the token is SignedData.", outer_type=ENVELOPED_DATA)
bad("content-type-wrong", "RFC 3161 §2.4.2: eContentType is id-ct-TSTInfo.", content_type=PLAIN_DATA)
bad("content-detached", "RFC 3161 §2.4.2: eContent holds the TSTInfo.", detached=True)
bad("content-not-der", "RFC 3161 §2.4.2: eContent is DER; here a length has a byte too many.", edit_content=long_length)
bad("content-trailing-bytes", "RFC 3161 §2.4.2: eContent is one TSTInfo and nothing more.", edit_content=lambda body: body + NULL)
bad("signed-data-version-1", "RFC 5652 §5.1: with another content type than data the version is 3.", data_version=1)
bad("version-2", "RFC 3161 §2.4.2: the TSTInfo has version 1.", version=2)
bad("imprint-mismatch", "RFC 3161 §2.2: the imprint is not that of the data.", hashed=digest("sha256", b"another letter"))
bad("imprint-algorithm-differs", "RFC 3161 §2.4.2: the imprint has the hash algorithm of the request.", imprint="sha512")
bad("imprint-length-wrong", "RFC 3161 §2.4.1: the imprint is as long as its hash algorithm says.",
    hashed=digest("sha256", DATA)[:20])
bad("imprint-sha1", "RFC 3161 §2.4.2: the request had SHA-256, the answer has SHA-1.", imprint="sha1")
bad("policy-differs", "RFC 3161 §2.4.2: the policy is not the one that was asked for.", asks=query(policy=POLICY),
    policy=OTHER_POLICY)
bad("nonce-differs", "RFC 3161 §2.4.2: the nonce is not that of the request.", nonce=NONCE + 1)
bad("nonce-missing", "RFC 3161 §2.4.2: the request had a nonce, the answer has none.", nonce=None)
bad("serial-negative", "RFC 3161 §2.4.2 wants serial numbers of up to 160 bits; a negative one is nowhere foreseen.",
    arguable=True, serial=-5)
bad("serial-161-bit", "RFC 3161 §2.4.2: users must be ready for 160 bits and need not be for more.", arguable=True, serial=2**160)
bad("gen-time-trailing-zero", "RFC 3161 §2.4.2: the fraction of genTime has no trailing zero.", gen_time=b"20260115120000.120Z")
bad("gen-time-trailing-point", "RFC 3161 §2.4.2: without a fraction there is no point.", gen_time=b"20260115120000.Z")
bad("gen-time-comma", "RFC 3161 §2.4.2: the fraction of genTime follows a point.", gen_time=b"20260115120000,5Z")
bad("gen-time-without-zone", "RFC 3161 §2.4.2: genTime ends with Z.", gen_time=b"20260115120000")
bad("gen-time-with-offset", "RFC 3161 §2.4.2: genTime is in UTC and ends with Z.", gen_time=b"20260115200000+0800")
bad("gen-time-without-seconds", "RFC 3161 §2.4.2: genTime includes seconds.", gen_time=b"202601151200Z")
bad("gen-time-no-date", "X.680 §46: there is no month 13.", gen_time=b"20261315120000Z")
bad("gen-time-utc-time", "RFC 3161 §2.4.2: genTime is a GeneralizedTime.", gen_time=b"260115120000Z", gen_time_tag=0x17)
bad("gen-time-in-future", "RFC 3161 §2.2: the requester compares the time with its own clock, if it has no nonce to go by.",
    arguable=True, gen_time=b"20490101000000Z", asks=query(nonce=None), nonce=None)
bad("accuracy-millis-zero", "RFC 3161 §2.4.2: milliseconds are 1 to 999.", accuracy=accuracy(1, 0))
bad("accuracy-micros-1000", "RFC 3161 §2.4.2: microseconds are 1 to 999.", accuracy=accuracy(1, None, 1000))
bad("accuracy-seconds-negative", "RFC 3161 §2.4.2: accuracy is a deviation; a negative one means nothing.", arguable=True,
    accuracy=accuracy(-1))
bad("accuracy-empty", "RFC 3161 §2.4.2: an accuracy without parts claims an exact clock.", arguable=True, accuracy=accuracy())
bad("ordering-false-spelled-out", "X.690 §11.5: DER leaves out a default value; here ordering FALSE is written out.",
    ordering=FALSE)
bad("ordering-true-as-one", "X.690 §11.1: TRUE is FF in DER.", ordering=b"\x01\x01\x01")
bad("tsa-name-differs", "RFC 3161 §2.4.2: the tsa field is one of the certificate's names.",
    tsa=explicit(0, explicit(4, STRANGER.subject)))
bad("extension-critical", "RFC 5280 §4.2, whose extensions RFC 3161 §2.4.2 uses: an unknown critical one is refused; RFC 3161 "
    "says it of requests only.", arguable=True, extensions=extensions(seq(oid(UNKNOWN), TRUE, octets(NULL))))
bad("extension-twice", "RFC 5280 §4.2, whose extensions RFC 3161 §2.4.2 uses: each stands there once.", arguable=True,
    extensions=extensions(*[seq(oid(UNKNOWN), octets(NULL))] * 2))

# --- The response ------------------------------------------------------------------------------------------------------

bad("rejected-with-token", "RFC 3161 §2.4.2: with another status than 0 or 1 there is no token.", status=2, fail_info=2)
bad("waiting-with-token", "RFC 3161 §2.4.2: with another status than 0 or 1 there is no token.", status=3)
bad("rejected", "RFC 3161 §2.4.2: the request was rejected.", status=2, fail_info=15, token=False)
bad("granted-without-token", "RFC 3161 §2.4.2: with status 0 there is a token.", token=False)
bad("granted-with-failure", "RFC 3161 §2.4.2: failInfo says why there is no token; here there is one.", arguable=True, fail_info=14)
bad("status-unknown", "RFC 3161 §2.4.2: 0 to 5 are the only statuses.", status=6)
bad("trailing-bytes", "RFC 3161 §3.4: the reply is one DER element and nothing more.", edit=lambda whole: whole + b"\0\0")
bad("truncated", "RFC 3161 §3.4: the reply is one whole DER element.", edit=lambda whole: whole[:-7])
bad("indefinite-length", "RFC 3161 §3.4: the reply is DER; here its outermost length is indefinite.", edit=indefinite)
bad("token-indefinite-length", "RFC 3161 §3.4: the reply is DER; here the token's length is indefinite.", edit_token=indefinite)
bad("empty", "RFC 3161 §3.4: the reply is one DER element.", edit=lambda whole: b"")
