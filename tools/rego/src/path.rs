//! What a request asks for: the path after `/v1/data`.

/// The most segments of a path.
const SEGMENTS_MAX: usize = 32;
/// The longest path, in bytes.
const BYTES_MAX: usize = 2048;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A member of an object.
    Name(String),
    /// A place in an array, or a member that is called like this.
    Number(usize),
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataPath(Vec<Segment>);

/// A path that cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Too long.
    #[error("the path has more than {SEGMENTS_MAX} segments or {BYTES_MAX} bytes")]
    TooLong,
    /// `%` and something that is no byte, or bytes that are no UTF-8.
    #[error("the path is not percent-encoded UTF-8")]
    Encoding,
}

impl DataPath {
    /// The segments of a path as it stands in an address: `authz/allow`. A segment of digits is a number, as with OPA.
    ///
    /// # Errors
    /// [`PathError`]
    pub fn parse(encoded: &str) -> Result<Self, PathError> {
        if encoded.len() > BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let encoded = encoded.trim_matches('/');
        if encoded.is_empty() {
            return Ok(Self::default());
        }
        let segments: Vec<Segment> =
            encoded.split('/').map(segment).collect::<Result<_, PathError>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(PathError::TooLong);
        }
        Ok(Self(segments))
    }

    /// The steps, outermost first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

fn segment(encoded: &str) -> Result<Segment, PathError> {
    let text = decoded(encoded)?;
    // `007` names a member: it is not how a number is written.
    let number = text.parse().ok().filter(|number: &usize| number.to_string() == text);
    Ok(number.map_or(Segment::Name(text), Segment::Number))
}

/// RFC 3986 §2.1.
pub(crate) fn decoded(encoded: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit(), digit());
        let value = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(value.ok_or(PathError::Encoding)?);
    }
    String::from_utf8(bytes).map_err(|_odd| PathError::Encoding)
}

#[cfg(test)]
mod tests {
    //! Goal: a path means one thing, and nothing in it becomes part of a query. Method: by hand, mostly odd ones.

    use super::*;

    fn names(encoded: &str) -> Vec<Segment> {
        DataPath::parse(encoded).unwrap().0
    }

    #[test]
    fn segments_are_decoded_one_by_one() {
        let name = |text: &str| Segment::Name(text.to_owned());
        assert_eq!(names(""), []);
        assert_eq!(names("/authz/allow/"), [name("authz"), name("allow")]);
        assert_eq!(names("a%2Fb/%22%5D"), [name("a/b"), name("\"]")]);
        assert_eq!(names("servers/0/007"), [name("servers"), Segment::Number(0), name("007")]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["%", "a/%4", "%zz", "%ff", "%c3%28"] {
            assert_eq!(DataPath::parse(bad), Err(PathError::Encoding), "{bad}");
        }
        assert_eq!(DataPath::parse(&"a/".repeat(33)), Err(PathError::TooLong));
        assert_eq!(DataPath::parse(&"a".repeat(2049)), Err(PathError::TooLong));
    }
}
