//! Deterministic CBOR (RFC 8949 §4.2.1): one value has one encoding, and only that one is read.
//!
//! INVARIANT: [`decode_exact`] accepts a byte string only if encoding the value again gives the same
//! bytes. Longer integer forms, indefinite lengths, other key orders, repeated keys and trailing bytes
//! therefore all fail, whatever the reader of a type forgot to check.

use crate::hash::Hash32;
use crate::money::Amount;
use minicbor::{Decoder, Encoder, data::Type};

/// Why bytes are no value of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not well-formed CBOR, or a value of another type at some place.
    #[error("the bytes are no {what}: {cause}")]
    Shape {
        /// What was being read.
        what: &'static str,
        /// What was found instead.
        cause: String,
    },
    /// A value outside what its field may hold.
    #[error("the bytes are no {what}: the field `{field}` holds a value that is not allowed")]
    Value {
        /// What was being read.
        what: &'static str,
        /// The field in question.
        field: &'static str,
    },
    /// Well-formed, but not the one deterministic encoding (RFC 8949 §4.2.1).
    #[error("the bytes are no {what}: not in deterministic encoding")]
    NotDeterministic {
        /// What was being read.
        what: &'static str,
    },
}

/// Writes CBOR into memory, which cannot fail.
pub struct Writer(Encoder<Vec<u8>>);

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::with_room(256)
    }

    /// An empty writer with room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self(Encoder::new(Vec::with_capacity(bytes)))
    }

    /// A map of `pairs` pairs; its keys must be written in ascending order.
    pub fn map(&mut self, pairs: u64) -> &mut Self {
        let _infallible = self.0.map(pairs);
        self
    }

    /// An array of `items` items.
    pub fn array(&mut self, items: u64) -> &mut Self {
        let _infallible = self.0.array(items);
        self
    }

    /// An unsigned integer, also as a map key.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        let _infallible = self.0.u64(value);
        self
    }

    /// A signed integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        let _infallible = self.0.i64(value);
        self
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let _infallible = self.0.bytes(value);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        let _infallible = self.0.str(value);
        self
    }

    /// An amount: an unsigned integer, beyond 64 bits a bignum (RFC 8949 §3.4.3).
    pub fn amount(&mut self, value: Amount) -> &mut Self {
        match u64::try_from(value.minor()) {
            Ok(small) => self.uint(small),
            Err(_) => {
                let bytes = value.minor().to_be_bytes();
                let zeros = bytes.iter().take_while(|b| **b == 0).count();
                let _infallible = self.0.tag(minicbor::data::Tag::new(2));
                self.bytes(bytes.get(zeros..).unwrap_or(&[]))
            }
        }
    }

    /// Items that were encoded before.
    pub fn encoded(&mut self, items: &[u8]) -> &mut Self {
        self.0.writer_mut().extend_from_slice(items);
        self
    }

    /// The bytes written so far.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads CBOR; every error names what was being read.
pub struct Reader<'b> {
    decoder: Decoder<'b>,
    what: &'static str,
}

impl<'b> Reader<'b> {
    /// A reader at the start of `bytes`, which should hold a `what`.
    #[must_use]
    pub fn new(bytes: &'b [u8], what: &'static str) -> Self {
        Self { decoder: Decoder::new(bytes), what }
    }

    fn shape(&self) -> impl Fn(minicbor::decode::Error) -> CodecError + use<> {
        let what = self.what;
        move |error| CodecError::Shape { what, cause: error.to_string() }
    }

    /// The error for a field that holds a value it may not hold.
    #[must_use]
    pub fn bad(&self, field: &'static str) -> CodecError {
        CodecError::Value { what: self.what, field }
    }

    fn definite(&self, length: Option<u64>) -> Result<u64, CodecError> {
        length.ok_or(CodecError::NotDeterministic { what: self.what })
    }

    /// The number of pairs of a map.
    ///
    /// # Errors
    /// Another type, or an indefinite length.
    pub fn map(&mut self) -> Result<u64, CodecError> {
        let length = self.decoder.map().map_err(self.shape())?;
        self.definite(length)
    }

    /// The number of items of an array, at most `most`.
    ///
    /// # Errors
    /// Another type, an indefinite length, or more than `most`.
    pub fn array(&mut self, field: &'static str, most: u64) -> Result<u64, CodecError> {
        let length = self.decoder.array().map_err(self.shape())?;
        let length = self.definite(length)?;
        if length <= most { Ok(length) } else { Err(self.bad(field)) }
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// Another type.
    pub fn uint(&mut self) -> Result<u64, CodecError> {
        self.decoder.u64().map_err(self.shape())
    }

    /// A signed integer.
    ///
    /// # Errors
    /// Another type.
    pub fn int(&mut self) -> Result<i64, CodecError> {
        self.decoder.i64().map_err(self.shape())
    }

    /// The map key `wanted`.
    ///
    /// # Errors
    /// Another key: the maps read here are closed.
    pub fn key(&mut self, wanted: u64, field: &'static str) -> Result<(), CodecError> {
        if self.uint()? == wanted { Ok(()) } else { Err(self.bad(field)) }
    }

    /// A byte string.
    ///
    /// # Errors
    /// Another type, or an indefinite length.
    pub fn bytes(&mut self) -> Result<&'b [u8], CodecError> {
        self.decoder.bytes().map_err(self.shape())
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// Another type or length.
    pub fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], CodecError> {
        self.bytes()?.try_into().map_err(|_| self.bad(field))
    }

    /// A 32-byte hash.
    ///
    /// # Errors
    /// Another type or length.
    pub fn hash(&mut self, field: &'static str) -> Result<Hash32, CodecError> {
        self.fixed(field).map(Hash32::new)
    }

    /// A text string of at most `most` bytes.
    ///
    /// # Errors
    /// Another type, an indefinite length, or a longer text.
    pub fn text(&mut self, field: &'static str, most: usize) -> Result<&'b str, CodecError> {
        let text = self.decoder.str().map_err(self.shape())?;
        if text.len() <= most { Ok(text) } else { Err(self.bad(field)) }
    }

    /// An amount as written by [`Writer::amount`].
    ///
    /// # Errors
    /// Another type, or more than 128 bits.
    pub fn amount(&mut self, field: &'static str) -> Result<Amount, CodecError> {
        if self.decoder.datatype().map_err(self.shape())? != Type::Tag {
            return self.uint().map(|small| Amount::from_minor(small.into()));
        }
        let tag = self.decoder.tag().map_err(self.shape())?;
        let bytes = self.bytes()?;
        if tag.as_u64() != 2 || bytes.len() > 16 {
            return Err(self.bad(field));
        }
        let value = bytes.iter().fold(0_u128, |value, byte| (value << 8) | u128::from(*byte));
        Ok(Amount::from_minor(value))
    }
}

/// Reads exactly one deterministic value and nothing else.
///
/// # Errors
/// What `read` answers, or [`CodecError::NotDeterministic`] when `write` gives other bytes back.
pub fn decode_exact<T>(
    bytes: &[u8],
    what: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, CodecError>,
    write: impl FnOnce(&T) -> Vec<u8>,
) -> Result<T, CodecError> {
    let value = read(&mut Reader::new(bytes, what))?;
    if write(&value) == bytes { Ok(value) } else { Err(CodecError::NotDeterministic { what }) }
}
