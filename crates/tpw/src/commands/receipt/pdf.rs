//! A printed receipt as PDF 1.7: text that can be searched, and the receipt file inside as PDF/A-3 attaches files (ISO 19005-3,
//! annex E). It does not call itself PDF/A: it has no colour profile.
//!
//! The font comes from the person who prints. Only the glyphs that are used become part of the document.

use super::sheet::{Sheet, runs};
use pdf_writer::types::{AssociationKind, CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use qrcodegen::{QrCode, QrCodeEcc};
use std::collections::BTreeMap;
use subsetter::GlyphRemapper;
use tpw_crypto::sha256;
use ttf_parser::Face;

/// Why a font cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FontError {
    /// Not a font.
    #[error("it is no OpenType font")]
    NotAFont,
    /// Only one kind of outlines is written.
    #[error("it has no TrueType outlines")]
    Outlines,
    /// The receipt has a character that the font lacks.
    #[error("it has no glyph for `{0}` (U+{code:04X})", code = u32::from(*.0))]
    Missing(char),
    /// The font is damaged.
    #[error("its glyphs cannot be taken out: {0}")]
    Subset(String),
}

/// A4, in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 48.0;
const QR_SIDE: f32 = 112.0;
/// Where the values of rows begin.
const COLUMN: f32 = 124.0;
const FONT: Name<'_> = Name(b"F0");
const FONT_NAME: Name<'_> = Name(b"TPWRCT+Receipt");
const SYSTEM: SystemInfo<'_> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// The document. `receipt` is the file that it was made of.
pub(super) fn document(sheet: &Sheet, receipt: &[u8], font: &[u8]) -> Result<Vec<u8>, FontError> {
    let mut setter = Typesetter::new(font)?;
    lay_out(&mut setter, sheet)?;
    let Typesetter { glyphs, remapper, face, mut pages, content, .. } = setter;
    pages.push(content.finish().into_vec());
    let subset = subsetter::subset(font, 0, &remapper)
        .map_err(|error| FontError::Subset(error.to_string()))?;

    let mut ids = (1..).map(Ref::new);
    let mut next = || ids.next().unwrap_or(Ref::new(1));
    let (catalog, tree, info) = (next(), next(), next());
    let (spec, file) = (next(), next());
    let fonts =
        FontIds { font: next(), cid: next(), descriptor: next(), program: next(), unicode: next() };
    let mut pdf = Pdf::new();
    pdf.set_version(1, 7);
    // The same receipt gives the same document: it is named by what is in it.
    let id = sha256(receipt).to_vec();
    pdf.set_file_id((id.clone(), id));
    pdf.document_info(info).title(TextStr(&sheet.title));
    let mut root = pdf.catalog(catalog);
    root.pages(tree).lang(TextStr(sheet.lang.tag()));
    root.names().embedded_files().names().insert(Str(sheet.file_name.as_bytes()), spec);
    root.insert(Name(b"AF")).array().item(spec);
    root.finish();
    let ids: Vec<(Ref, Ref)> = pages.iter().map(|_| (next(), next())).collect();
    let count = i32::try_from(ids.len()).unwrap_or(i32::MAX);
    pdf.pages(tree).kids(ids.iter().map(|(page, _)| *page)).count(count);
    for ((page_id, content_id), content) in ids.iter().zip(&pages) {
        let mut page = pdf.page(*page_id);
        page.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(tree).contents(*content_id);
        page.resources().fonts().pair(FONT, fonts.font);
        page.finish();
        pdf.stream(*content_id, content);
    }
    write_font(&mut pdf, &fonts, &face, &glyphs, &subset);
    attach(&mut pdf, (spec, file), sheet, receipt);
    Ok(pdf.finish())
}

fn attach(pdf: &mut Pdf, (spec, file): (Ref, Ref), sheet: &Sheet, receipt: &[u8]) {
    let mut embedded = pdf.embedded_file(file, receipt);
    embedded.subtype(Name(b"application/vnd.tpw.receipt+cbor"));
    embedded.params().size(i32::try_from(receipt.len()).unwrap_or(i32::MAX));
    embedded.finish();
    let mut described = pdf.file_spec(spec);
    described.path(Str(sheet.file_name.as_bytes())).unic_file(TextStr(&sheet.file_name));
    described.embedded_file_with_unicode(file).association_kind(AssociationKind::Source);
    described.description(TextStr(&sheet.download));
}

struct FontIds {
    font: Ref,
    cid: Ref,
    descriptor: Ref,
    program: Ref,
    unicode: Ref,
}

fn write_font(
    pdf: &mut Pdf,
    ids: &FontIds,
    face: &Face<'_>,
    glyphs: &BTreeMap<char, Glyph>,
    subset: &[u8],
) {
    pdf.type0_font(ids.font)
        .base_font(FONT_NAME)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(ids.cid)
        .to_unicode(ids.unicode);
    let mut widths: BTreeMap<u16, f32> = BTreeMap::from([(0, 0.0)]);
    let mut unicode = UnicodeCmap::new(Name(b"Receipt"), SYSTEM);
    for (character, glyph) in glyphs {
        widths.insert(glyph.id, glyph.width);
        unicode.pair(glyph.id, *character);
    }
    let mut cid = pdf.cid_font(ids.cid);
    cid.subtype(CidFontType::Type2).base_font(FONT_NAME).system_info(SYSTEM);
    cid.font_descriptor(ids.descriptor).default_width(0.0);
    cid.cid_to_gid_map_predefined(Name(b"Identity"));
    // New glyph numbers have no gaps.
    cid.widths().consecutive(0, widths.into_values());
    cid.finish();
    let scale = 1000.0 / f32::from(face.units_per_em());
    let scaled = |value: i16| f32::from(value) * scale;
    let bounds = face.global_bounding_box();
    let mut descriptor = pdf.font_descriptor(ids.descriptor);
    descriptor.name(FONT_NAME).flags(FontFlags::SYMBOLIC).italic_angle(0.0).stem_v(80.0);
    descriptor.bbox(Rect::new(
        scaled(bounds.x_min),
        scaled(bounds.y_min),
        scaled(bounds.x_max),
        scaled(bounds.y_max),
    ));
    descriptor.ascent(scaled(face.ascender())).descent(scaled(face.descender()));
    descriptor.cap_height(scaled(face.capital_height().unwrap_or(face.ascender())));
    descriptor.font_file2(ids.program);
    descriptor.finish();
    let length = i32::try_from(subset.len()).unwrap_or(i32::MAX);
    pdf.stream(ids.program, subset).pair(Name(b"Length1"), length);
    pdf.cmap(ids.unicode, &unicode.finish());
}

fn lay_out(setter: &mut Typesetter<'_>, sheet: &Sheet) -> Result<(), FontError> {
    setter.qr(&sheet.code);
    let beside_code = PAGE.0 - 2.0 * MARGIN - QR_SIDE - 12.0;
    setter.paragraph(&sheet.title, 17.0, beside_code)?;
    setter.paragraph(&sheet.amount, 20.0, beside_code)?;
    setter.paragraph(&sheet.in_words, 11.0, beside_code)?;
    setter.paragraph(&sheet.verdict, 8.5, beside_code)?;
    setter.y = setter.y.min(PAGE.1 - MARGIN - QR_SIDE - 8.0);
    let whole = PAGE.0 - 2.0 * MARGIN;
    for section in &sheet.sections {
        setter.space(8.0);
        setter.paragraph(&section.title, 10.5, whole)?;
        for row in &section.rows {
            setter.row(&row.name, &row.value, 8.0)?;
        }
    }
    setter.space(8.0);
    setter.paragraph(&sheet.guide, 8.5, whole)?;
    for command in &sheet.commands {
        setter.paragraph(command, 8.0, whole)?;
    }
    Ok(())
}

/// A glyph of the new font.
#[derive(Clone, Copy)]
struct Glyph {
    id: u16,
    /// In thousandths of the type size.
    width: f32,
}

/// Sets lines from the top of a page to its bottom, and goes on on the next page.
struct Typesetter<'f> {
    face: Face<'f>,
    remapper: GlyphRemapper,
    glyphs: BTreeMap<char, Glyph>,
    pages: Vec<Vec<u8>>,
    content: Content,
    /// The lower edge of what is set.
    y: f32,
}

impl<'f> Typesetter<'f> {
    fn new(font: &'f [u8]) -> Result<Self, FontError> {
        let face = Face::parse(font, 0).map_err(|_| FontError::NotAFont)?;
        if face.tables().glyf.is_none() {
            return Err(FontError::Outlines);
        }
        Ok(Self {
            face,
            remapper: GlyphRemapper::new(),
            glyphs: BTreeMap::new(),
            pages: Vec::new(),
            content: Content::new(),
            y: PAGE.1 - MARGIN,
        })
    }

    fn glyph(&mut self, character: char) -> Result<Glyph, FontError> {
        if let Some(known) = self.glyphs.get(&character) {
            return Ok(*known);
        }
        let old = self.face.glyph_index(character).ok_or(FontError::Missing(character))?;
        let advance = f32::from(self.face.glyph_hor_advance(old).unwrap_or(0));
        let width = advance * 1000.0 / f32::from(self.face.units_per_em());
        let glyph = Glyph { id: self.remapper.remap(old.0), width };
        self.glyphs.insert(character, glyph);
        Ok(glyph)
    }

    /// Cuts a text into lines: after the last space that fits, or where it must be in what has none.
    fn lines(&mut self, text: &str, size: f32, width: f32) -> Result<Vec<String>, FontError> {
        let mut lines = Vec::new();
        let (mut line, mut used) = (String::new(), 0.0);
        for character in text.chars() {
            let wide = self.glyph(character)?.width * size / 1000.0;
            if used + wide > width && !line.is_empty() {
                let kept = match line.rfind(' ') {
                    Some(space) if character != ' ' => line.split_off(space.saturating_add(1)),
                    _ => String::new(),
                };
                lines.push(std::mem::replace(&mut line, kept));
                used = 0.0;
                for kept in line.clone().chars() {
                    used += self.glyph(kept)?.width * size / 1000.0;
                }
            }
            line.push(character);
            used += wide;
        }
        lines.push(line);
        Ok(lines)
    }

    fn paragraph(&mut self, text: &str, size: f32, width: f32) -> Result<(), FontError> {
        for line in self.lines(text, size, width)? {
            self.down(size * 1.45);
            self.show(&line, size, MARGIN)?;
        }
        Ok(())
    }

    /// A name and a value beside it.
    fn row(&mut self, name: &str, value: &str, size: f32) -> Result<(), FontError> {
        let names = self.lines(name, size, COLUMN - 8.0)?;
        let values = self.lines(value, size, PAGE.0 - 2.0 * MARGIN - COLUMN)?;
        for place in 0..names.len().max(values.len()) {
            self.down(size * 1.4);
            for (lines, x) in [(&names, MARGIN), (&values, MARGIN + COLUMN)] {
                if let Some(line) = lines.get(place) {
                    self.show(line, size, x)?;
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, line: &str, size: f32, x: f32) -> Result<(), FontError> {
        let mut codes = Vec::with_capacity(line.len().saturating_mul(2));
        for character in line.chars() {
            codes.extend(self.glyph(character)?.id.to_be_bytes());
        }
        self.content.begin_text().set_font(FONT, size).next_line(x, self.y);
        self.content.show(Str(&codes)).end_text();
        Ok(())
    }

    fn down(&mut self, height: f32) {
        if self.y - height < MARGIN {
            self.pages
                .push(std::mem::replace(&mut self.content, Content::new()).finish().into_vec());
            self.y = PAGE.1 - MARGIN;
        }
        self.y -= height;
    }

    fn space(&mut self, height: f32) {
        self.y -= height;
    }

    /// The code at the top right, with four modules of quiet zone (ISO/IEC 18004).
    fn qr(&mut self, code: &str) {
        // The origin has at most 255 bytes, so that it always fits; without it the page is still true.
        let Ok(code) = QrCode::encode_text(code, QrCodeEcc::Medium) else { return };
        let number = |value: i32| i16::try_from(value).map_or(0.0, f32::from);
        let module = QR_SIDE / (number(code.size()) + 8.0);
        let (left, top) = (PAGE.0 - MARGIN - QR_SIDE, PAGE.1 - MARGIN);
        for (x, y, length) in runs(&code) {
            let (x, y) = (number(x) + 4.0, number(y) + 5.0);
            let width = number(length) * module;
            self.content.rect(left + x * module, top - y * module, width, module);
        }
        self.content.fill_nonzero();
    }
}
