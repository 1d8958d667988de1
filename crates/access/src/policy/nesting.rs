//! How deep a text of Cedar is nested at most, found without recursion and before anything parses it.
//!
//! Cedar's parser, and what makes other forms of what it parsed, call themselves once for each level. A few hundred parentheses, or
//! as many conditions in one chain, would end the program for want of stack; a long chain also takes memory by its square.
//!
//! INVARIANT: what is found is never less than the depth of the tree that the text stands for.

use super::error::PolicyError;

/// The deepest nesting that is parsed. Lists are written as `[…].contains(…)`, which is flat.
pub(super) const DEPTH_MAX: usize = 300;

/// So much stack is had for what is nested no deeper: three times what the worst form, parentheses, was measured to take.
pub(super) const STACK_LEN: usize = 16 << 20;

/// Refuses what would be parsed at the cost of more stack than there is.
pub(super) fn check(file: &str, text: &str) -> Result<(), PolicyError> {
    if depth(text) <= DEPTH_MAX {
        return Ok(());
    }
    Err(PolicyError::TooDeep { file: file.to_owned(), most: DEPTH_MAX })
}

/// What stands between two brackets, up to where the text was read: how much its parts add to the depth. An operand of `&&` or `||`
/// is as deep as the operators and the deepest brackets in it; of operands beside each other the deepest counts, and each further
/// one is a level.
#[derive(Default)]
struct Level {
    /// `if`, `when`, `unless`: what follows is inside of them, to the end.
    wraps: usize,
    ors: usize,
    ands: usize,
    /// Every other operator of this operand.
    operators: usize,
    /// The deepest brackets of this operand.
    inner: usize,
    /// The deepest operand of this chain of `&&`, of this chain of `||`, and of all that commas separate.
    operand: usize,
    chain: usize,
    deepest: usize,
}

impl Level {
    fn and(&mut self) {
        self.end_operand();
        self.ands = self.ands.saturating_add(1);
    }

    fn or(&mut self) {
        self.end_chain();
        self.ors = self.ors.saturating_add(1);
    }

    fn end_operand(&mut self) {
        self.operand = self.operand.max(self.operators.saturating_add(self.inner));
        (self.operators, self.inner) = (0, 0);
    }

    fn end_chain(&mut self) {
        self.end_operand();
        self.chain = self.chain.max(self.ands.saturating_add(self.operand));
        (self.ands, self.operand) = (0, 0);
    }

    /// After a comma or a semicolon something else begins.
    fn end_part(&mut self) -> usize {
        self.end_chain();
        let part = self.wraps.saturating_add(self.ors).saturating_add(self.chain);
        self.deepest = self.deepest.max(part);
        (self.wraps, self.ors, self.chain) = (0, 0, 0);
        self.deepest
    }
}

/// How deep a text is nested at most. Of one with far more brackets than are parsed the rest is not looked at.
fn depth(text: &str) -> usize {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    let mut rest = text.as_bytes();
    while let Some(token) = next(&mut rest) {
        match token {
            Token::Open => outer.push(core::mem::take(&mut level)),
            Token::Close => level = closed(level, outer.pop()),
            Token::Separator => drop(level.end_part()),
            Token::And => level.and(),
            Token::Or => level.or(),
            Token::Wrap => level.wraps = level.wraps.saturating_add(2),
            Token::Operator => level.operators = level.operators.saturating_add(1),
            Token::Other => {}
        }
        if outer.len() > DEPTH_MAX {
            break;
        }
    }
    while let Some(around) = outer.pop() {
        level = closed(level, Some(around));
    }
    level.end_part()
}

/// The level around one that ends. A bracket that closes nothing ends nothing: the parser refuses it.
fn closed(mut level: Level, around: Option<Level>) -> Level {
    let Some(mut around) = around else { return level };
    around.inner = around.inner.max(level.end_part().saturating_add(1));
    around
}

enum Token {
    Open,
    Close,
    Separator,
    And,
    Or,
    /// What is around all that follows in its part.
    Wrap,
    Operator,
    /// What makes nothing deeper: names, literals, space, remarks.
    Other,
}

/// The next token; `rest` is what follows it.
fn next(rest: &mut &[u8]) -> Option<Token> {
    let bytes = *rest;
    let (token, len) = match bytes {
        [] => return None,
        [b'"', text @ ..] => (Token::Other, quoted(text).saturating_add(1)),
        [b'/', b'/', remark @ ..] => {
            (Token::Other, len_while(remark, |byte| byte != b'\n').saturating_add(2))
        }
        [b'(' | b'[' | b'{', ..] => (Token::Open, 1),
        [b')' | b']' | b'}', ..] => (Token::Close, 1),
        [b',' | b';', ..] => (Token::Separator, 1),
        [b'&', b'&', ..] => (Token::And, 2),
        [b'|', b'|', ..] => (Token::Or, 2),
        [b'=' | b'!' | b'<' | b'>', b'=', ..] => (Token::Operator, 2),
        [b'=' | b'!' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%' | b'.', ..] => {
            (Token::Operator, 1)
        }
        [first, ..] if is_of_word(*first) => {
            let len = len_while(bytes, is_of_word);
            (word(bytes.get(..len).unwrap_or(&[])), len)
        }
        _ => (Token::Other, 1),
    };
    *rest = bytes.get(len..).unwrap_or(&[]);
    Some(token)
}

fn word(word: &[u8]) -> Token {
    match word {
        b"if" | b"when" | b"unless" => Token::Wrap,
        b"in" | b"is" | b"has" | b"like" => Token::Operator,
        _ => Token::Other,
    }
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn len_while(bytes: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| holds(**byte)).count()
}

/// The length of a text up to and with the quotation mark that ends it.
fn quoted(text: &[u8]) -> usize {
    let mut len = 0_usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        len = len.saturating_add(1);
        match byte {
            b'"' => break,
            b'\\' => len = len.saturating_add(usize::from(bytes.next().is_some())),
            _ => {}
        }
    }
    len
}

#[cfg(test)]
mod tests {
    //! Goal: no text is deeper than it is found to be, and what people write is found to be flat. Method: forms that nest, so many
    //! times; forms that do not.

    use super::*;

    #[test]
    fn what_nests_is_counted() {
        let many = |text: &str| text.repeat(50);
        for (what, text) in [
            ("parentheses", format!("{}true{}", many("("), many(")"))),
            ("never closed", many("(")),
            ("sets", format!("{}{}", many("["), many("]"))),
            ("records", format!("{}1{}", many("{a: "), many("}"))),
            ("not", format!("{}true{}", many("!("), many(")"))),
            ("and", format!("{}true", many("a && "))),
            ("or", format!("{}true", many("a || "))),
            ("sums", format!("{}1", many("1 + "))),
            ("members", format!("a{}", many(".b"))),
            ("in front", format!("{}a{}", many("("), many(" && b)"))),
            ("calls", format!("{}1{}", many("a.contains("), many(")"))),
            ("if, in the end", format!("{}1", many("if a then b else "))),
            ("if, in the middle", format!("{}1{}", many("if "), many(" then b else c"))),
            ("if and", format!("{}1", many("if a && b then c else "))),
            (
                "if, and in each condition",
                format!("{}a && b || c{}", many("if "), many(" then b else c")),
            ),
            ("conditions", many("when { a } ")),
            ("types", format!("{}String{}", many("Set<"), many(">"))),
            ("after a text", format!("\"(\\\"\" == a{}", many(" && b"))),
            ("after a remark", format!("// it's \"\n{}", many("("))),
            ("beside it", format!("a, {}, b", many("("))),
            ("above it", format!("(a){}", many(" && b"))),
        ] {
            let found = depth(&text);
            assert!((50..=210).contains(&found), "{what}: {found}");
        }
    }

    #[test]
    fn what_people_write_is_flat() {
        let many = |text: &str| text.repeat(5_000);
        for (text, most) in [
            (format!("[{}].contains(a)", many("\"x\", ")), 3),
            (many("permit (principal, action, resource) when { a && b.c == d };\n"), 8),
            (many("// (((( \n"), 0),
            (format!("\"{}\"", many("(\\\"")), 0),
            (many("@id(\"x\") forbid (principal, action in [A::\"b\"], resource);"), 3),
            (
                many(
                    "  action a in [x] appliesTo { principal: P, resource: [R], context: { b?: C } };",
                ),
                4,
            ),
        ] {
            let found = depth(&text);
            assert!(found <= most, "{}: {found}", &text[..60]);
        }
        // Beside each other: as deep as the deepest, and one more for each.
        let chain = vec!["context.place == \"x\""; 100].join(" || ");
        assert_eq!(depth(&chain), 99 + 2);
        let both = vec!["a has b && a.b == (c + 1)"; 100].join(" || ");
        assert_eq!(depth(&both), 99 + 1 + 4);
    }

    #[test]
    fn every_end_of_a_text_is_an_end() {
        let text = "a \"x\\\"\" // y\n && b || (c.d <= [1, {e: 2}]) if 1 then 2 else 3; \u{e9} & |";
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert!(depth(&text[..end]) < 12);
        }
    }
}
