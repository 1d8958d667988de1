//! C2SP signed notes (`c2sp.org/signed-note@v1.0.0`): text, a blank line, signature lines.
//!
//! This module reads and writes the form. What a signature covers depends on its type and is decided
//! in [`crate::cosignature`]: Ed25519 (0x01) signs the note's text, a cosignature (0x04) a time before
//! it, ML-DSA-44 (0x06) a structure of the checkpoint (`c2sp.org/tlog-cosignature`).

use crate::error::ProofError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::str::FromStr;
use tpw_crypto::{Algorithm, PublicKey, sha256_parts};

/// The most signature lines that are read; verifiers must accept at least 16.
pub const SIGNATURES_MAX: usize = 16;

/// The largest note that is read, in bytes: 16 post-quantum signatures fit.
pub const SIZE_MAX: usize = 1 << 17;

const WHAT: &str = "signed note";

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

/// The name of a note key or the origin of a log: 1 to 255 bytes without spaces, `+` or control
/// characters. By convention a URL without its scheme.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KeyName(String);

impl KeyName {
    /// Checks a text.
    ///
    /// # Errors
    /// [`ProofError::BadKeyName`].
    pub fn new(text: &str) -> Result<Self, ProofError> {
        let fits = (1..=255).contains(&text.len())
            && !text.chars().any(|c| c == '+' || c.is_whitespace() || c.is_control());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ProofError::BadKeyName(text.chars().take(64).collect()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key's signatures are over (`c2sp.org/signed-note`, "Signature types").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SignatureType {
    /// The note's text: a log signs its checkpoints so.
    Ed25519,
    /// A time and the note's text: a witness cosigns so.
    CosignatureEd25519,
    /// The structure `cosigned_message`: logs and witnesses sign so.
    MlDsa44,
}

impl SignatureType {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureEd25519 => 0x04,
            Self::MlDsa44 => 0x06,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureEd25519),
            0x06 => Some(Self::MlDsa44),
            _ => None,
        }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Ed25519 | Self::CosignatureEd25519 => Algorithm::Ed25519,
            Self::MlDsa44 => Algorithm::MlDsa44,
        }
    }

    /// Whether a log may sign its checkpoints so.
    #[must_use]
    pub const fn is_of_logs(self) -> bool {
        matches!(self, Self::Ed25519 | Self::MlDsa44)
    }

    /// Whether a witness may cosign so.
    #[must_use]
    pub const fn is_of_witnesses(self) -> bool {
        matches!(self, Self::CosignatureEd25519 | Self::MlDsa44)
    }
}

/// A key that checks notes, known by name and key id. Text form: `name+hash+base64(type || key)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierKey {
    name: KeyName,
    key: PublicKey,
    signature_type: SignatureType,
    id: [u8; 4],
}

impl VerifierKey {
    /// Names a log's key. Ed25519 becomes type 0x01, ML-DSA-44 type 0x06.
    ///
    /// # Errors
    /// [`ProofError::Unsupported`] for a key that signs no notes.
    pub fn new(name: KeyName, key: PublicKey) -> Result<Self, ProofError> {
        match key.algorithm() {
            Algorithm::Ed25519 => Ok(Self::typed(name, key, SignatureType::Ed25519)),
            Algorithm::MlDsa44 => Ok(Self::typed(name, key, SignatureType::MlDsa44)),
            Algorithm::P256 | Algorithm::MlDsa65 => Err(ProofError::Unsupported),
        }
    }

    /// Names a witness's key. Ed25519 becomes type 0x04, ML-DSA-44 type 0x06.
    ///
    /// # Errors
    /// [`ProofError::Unsupported`] for a key that cosigns nothing.
    pub fn cosigner(name: KeyName, key: PublicKey) -> Result<Self, ProofError> {
        match key.algorithm() {
            Algorithm::Ed25519 => Ok(Self::typed(name, key, SignatureType::CosignatureEd25519)),
            Algorithm::MlDsa44 => Ok(Self::typed(name, key, SignatureType::MlDsa44)),
            Algorithm::P256 | Algorithm::MlDsa65 => Err(ProofError::Unsupported),
        }
    }

    fn typed(name: KeyName, key: PublicKey, signature_type: SignatureType) -> Self {
        let byte = [signature_type.byte()];
        let hash = sha256_parts(&[name.as_str().as_bytes(), b"\n", &byte, key.as_bytes()]);
        let [a, b, c, d, ..] = hash;
        Self { name, key, signature_type, id: [a, b, c, d] }
    }

    /// What its signatures are over.
    #[must_use]
    pub const fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The first four bytes of SHA-256(name || 0x0A || type || key).
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = vec![self.signature_type.byte()];
        material.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(material))
    }
}

impl FromStr for VerifierKey {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let wrong = |why| ProofError::Malformed { what: "verifier key", why };
        // The base64 part may hold plus signs of its own, the name may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("not `name+hash+key`"));
        };
        let material = STANDARD.decode(material).map_err(|_| wrong("the key is not base64"))?;
        let (byte, bytes) = material.split_first().ok_or(wrong("the key is empty"))?;
        let unknown = ProofError::UnknownAlgorithm((*byte).into());
        let signature_type = SignatureType::from_byte(*byte).ok_or(unknown)?;
        let public = PublicKey::from_bytes(signature_type.algorithm(), bytes)?;
        let key = Self::typed(KeyName::new(name)?, public, signature_type);
        if hex::encode(key.id) == id { Ok(key) } else { Err(wrong("the hash is of another key")) }
    }
}

/// One signature line: unchecked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: KeyName,
    /// The key id.
    pub id: [u8; 4],
    /// What follows the key id: the signature, in the form of its type.
    pub signature: Vec<u8>,
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = self.id.to_vec();
        blob.extend_from_slice(&self.signature);
        writeln!(f, "\u{2014} {} {}", self.name, STANDARD.encode(blob))
    }
}

/// A note taken apart: no signature in it is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The text with its final newline.
    pub text: String,
    /// The signature lines, 1 to [`SIGNATURES_MAX`].
    pub signatures: Vec<NoteSignature>,
}

impl Note {
    /// Takes a note apart.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`], [`ProofError::BadKeyName`], or [`ProofError::Malformed`] with the rule.
    pub fn parse(note: &str) -> Result<Self, ProofError> {
        if note.len() > SIZE_MAX {
            return Err(ProofError::TooLarge { what: WHAT, most: SIZE_MAX });
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(wrong("a control character"));
        }
        // The text may hold empty lines; the last one in the note separates the signatures.
        let split = note.rfind("\n\n").ok_or(wrong("no blank line before the signatures"))?;
        let (text, rest) = note.split_at_checked(split.saturating_add(1)).unwrap_or((note, ""));
        let signatures = parse_lines(rest.strip_prefix('\n').unwrap_or(rest))?;
        Ok(Self { text: text.to_owned(), signatures })
    }
}

/// Reads 1 to [`SIGNATURES_MAX`] signature lines: the end of a note, or what a witness answers.
///
/// # Errors
/// As [`Note::parse`].
pub fn parse_lines(lines: &str) -> Result<Vec<NoteSignature>, ProofError> {
    if lines.len() > SIZE_MAX {
        return Err(ProofError::TooLarge { what: WHAT, most: SIZE_MAX });
    }
    let lines = lines.strip_suffix('\n').ok_or(wrong("the last line has no end"))?;
    let signatures = lines.split('\n').map(parse_line).collect::<Result<Vec<_>, _>>()?;
    if signatures.len() > SIGNATURES_MAX {
        return Err(ProofError::TooLarge { what: "list of signatures", most: SIGNATURES_MAX });
    }
    Ok(signatures)
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| line.fmt(f))
    }
}

fn parse_line(line: &str) -> Result<NoteSignature, ProofError> {
    let rest = line.strip_prefix("\u{2014} ").ok_or(wrong("a line that is no signature"))?;
    let (name, blob) = rest.split_once(' ').ok_or(wrong("a signature line without a key name"))?;
    let blob = STANDARD.decode(blob).map_err(|_| wrong("a signature that is not base64"))?;
    let (id, signature) =
        blob.split_first_chunk::<4>().ok_or(wrong("a signature without a key id"))?;
    if signature.is_empty() {
        return Err(wrong("an empty signature"));
    }
    Ok(NoteSignature { name: KeyName::new(name)?, id: *id, signature: signature.to_vec() })
}
