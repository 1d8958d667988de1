//! XML as a statement needs it: elements of one namespace, text, and nothing that can grow on its own.

use super::super::error::{ReconcileError, shown};
use super::super::{FILE_LEN_MAX, Place};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Elements stand at most so deep; camt.053.001.12 reaches 17.
const DEPTH_MAX: u32 = 32;
/// The longest text of an element, in bytes.
const TEXT_LEN_MAX: usize = 4096;
/// The longest tag, in bytes.
const TAG_LEN_MAX: usize = 4096;

/// An element that was entered and is to be read or skipped to its end.
pub(super) struct Element {
    /// Its name without a prefix.
    pub(super) name: String,
    /// The currency of an amount.
    pub(super) currency: Option<String>,
}

enum Step {
    Open(Element),
    /// An element of another namespace: an extension that means nothing here.
    Foreign,
    Text(String),
    Close,
    End,
}

pub(super) struct Xml<'x> {
    reader: NsReader<&'x [u8]>,
    namespace: String,
    depth: u32,
    /// Where messages say that something is wrong.
    pub(super) place: Place,
}

impl<'x> Xml<'x> {
    /// A reader at the beginning of a document.
    pub(super) fn new(file: &'x [u8]) -> Result<Self, ReconcileError> {
        if file.len() > FILE_LEN_MAX {
            return Err(ReconcileError::TooLarge(FILE_LEN_MAX));
        }
        let text = str::from_utf8(file).map_err(|_| {
            let utf16 = file.starts_with(&[0xff, 0xfe]) || file.starts_with(&[0xfe, 0xff]);
            ReconcileError::Encoding(if utf16 { "UTF-16" } else { "unknown" }.to_owned())
        })?;
        let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Ok(Self { reader, namespace: String::new(), depth: 0, place: Place::Document })
    }

    /// Enters the root and answers its local name and its namespace, which is the one of the whole document.
    pub(super) fn root(&mut self) -> Result<(String, String), ReconcileError> {
        loop {
            match self.step()? {
                Step::Open(element) => return Ok((element.name, self.namespace.clone())),
                Step::Text(text) if text.trim().is_empty() => {}
                Step::End => return Err(self.malformed("there is no element")),
                _ => return Err(self.malformed("text before the first element")),
            }
        }
    }

    /// Checks that nothing follows the root.
    pub(super) fn end(&mut self) -> Result<(), ReconcileError> {
        loop {
            match self.step()? {
                Step::End => return Ok(()),
                Step::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.malformed("something follows the document")),
            }
        }
    }

    /// Hands each child of the element that was entered last to `take`, which reads or skips it to its end.
    pub(super) fn children(
        &mut self,
        mut take: impl FnMut(&mut Self, Element) -> Result<(), ReconcileError>,
    ) -> Result<(), ReconcileError> {
        loop {
            match self.step()? {
                Step::Open(element) => take(self, element)?,
                Step::Foreign => self.skip()?,
                Step::Close => return Ok(()),
                Step::Text(text) if text.trim().is_empty() => {}
                Step::Text(_) => return Err(self.malformed("text where only elements may stand")),
                Step::End => return Err(self.malformed("it ends in the middle")),
            }
        }
    }

    /// The text of the element that was entered last, without white space around it and without control characters.
    pub(super) fn text(&mut self, element: &Element) -> Result<String, ReconcileError> {
        let mut all = String::new();
        loop {
            match self.step()? {
                Step::Text(text) => all.push_str(&text),
                Step::Close => break,
                Step::Open(_) | Step::Foreign => {
                    return Err(self.malformed("an element where only text may stand"));
                }
                Step::End => return Err(self.malformed("it ends in the middle")),
            }
            self.check_length(&all, element)?;
        }
        let plain = all.trim();
        Ok(plain.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    }

    /// The text of the element that was entered last, or of its child of that name.
    pub(super) fn text_or_child(
        &mut self,
        element: &Element,
        child: &str,
    ) -> Result<String, ReconcileError> {
        let mut all = String::new();
        let mut below = None;
        loop {
            match self.step()? {
                Step::Text(text) => all.push_str(&text),
                Step::Open(inner) if inner.name == child && below.is_none() => {
                    below = Some(self.text(&inner)?);
                }
                Step::Open(_) | Step::Foreign => self.skip()?,
                Step::Close => break,
                Step::End => return Err(self.malformed("it ends in the middle")),
            }
            self.check_length(&all, element)?;
        }
        Ok(below.unwrap_or_else(|| all.trim().to_owned()))
    }

    fn check_length(&self, text: &str, element: &Element) -> Result<(), ReconcileError> {
        if text.len() <= TEXT_LEN_MAX {
            return Ok(());
        }
        let (place, element) = (self.place, shown(&element.name));
        Err(ReconcileError::TextTooLong { place, element, max: TEXT_LEN_MAX })
    }

    /// Passes over the element that was entered last, whatever is in it.
    pub(super) fn skip(&mut self) -> Result<(), ReconcileError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            if let Step::End = self.step()? {
                return Err(self.malformed("it ends in the middle"));
            }
        }
        Ok(())
    }

    fn malformed(&self, fault: &str) -> ReconcileError {
        ReconcileError::Xml { at: self.reader.buffer_position(), fault: fault.to_owned() }
    }

    fn step(&mut self) -> Result<Step, ReconcileError> {
        loop {
            let (namespace, event) = match self.reader.read_resolved_event() {
                Ok((ResolveResult::Bound(namespace), event)) => {
                    (Some(namespace.into_inner().to_owned()), event)
                }
                Ok((ResolveResult::Unbound, event)) => (None, event),
                Ok((ResolveResult::Unknown(prefix), _)) => {
                    return Err(
                        self.malformed(&format!("the prefix `{}` is not bound", shown(&prefix)))
                    );
                }
                Err(error) => {
                    let at = self.reader.error_position();
                    return Err(ReconcileError::Xml { at, fault: shown(&error.to_string()) });
                }
            };
            match event {
                Event::Start(start) => return self.open(&start, namespace),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Step::Close);
                }
                Event::Text(text) => return Ok(Step::Text(text.xml10_content().into_owned())),
                Event::CData(text) => return Ok(Step::Text(text.xml10_content().into_owned())),
                Event::GeneralRef(reference) => return self.resolved(&reference).map(Step::Text),
                Event::Decl(declaration) => self.check_encoding(declaration.encoding())?,
                Event::DocType(_) => return Err(ReconcileError::DocumentType),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof if self.depth > 0 => return Err(self.malformed("it ends in the middle")),
                Event::Eof => return Ok(Step::End),
                Event::Empty(_) => return Err(self.malformed("an element that was not expanded")),
            }
        }
    }

    fn open(
        &mut self,
        start: &BytesStart<'_>,
        namespace: Option<String>,
    ) -> Result<Step, ReconcileError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            return Err(ReconcileError::TooDeep(DEPTH_MAX));
        }
        if start.len() > TAG_LEN_MAX {
            return Err(self.malformed("a tag that is too long"));
        }
        let namespace = namespace.unwrap_or_default();
        if self.depth == 1 {
            self.namespace.clone_from(&namespace);
        }
        if namespace != self.namespace {
            return Ok(Step::Foreign);
        }
        let mut currency = None;
        for attribute in start.attributes() {
            let attribute =
                attribute.map_err(|error| self.malformed(&shown(&error.to_string())))?;
            if attribute.key.as_ref() == "Ccy" {
                currency = Some(attribute.value.trim().to_owned());
            }
        }
        Ok(Step::Open(Element { name: start.local_name().as_ref().to_owned(), currency }))
    }

    /// The character that a reference stands for: XML's own five and numbers, nothing else.
    fn resolved(&self, reference: &BytesRef<'_>) -> Result<String, ReconcileError> {
        let name: &str = reference;
        let known = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => reference
                .resolve_char_ref()
                .map_err(|error| self.malformed(&shown(&error.to_string())))?,
        };
        known.map(String::from).ok_or_else(|| ReconcileError::Entity(shown(name)))
    }

    fn check_encoding<E>(
        &self,
        declared: Option<Result<std::borrow::Cow<'_, str>, E>>,
    ) -> Result<(), ReconcileError> {
        match declared {
            None => Ok(()),
            Some(Ok(name)) if name.eq_ignore_ascii_case("UTF-8") => Ok(()),
            Some(Ok(name)) => Err(ReconcileError::Encoding(shown(&name))),
            Some(Err(_)) => Err(self.malformed("the declaration is malformed")),
        }
    }
}
