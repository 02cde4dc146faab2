//! Splits a text of SQL into tokens, as far as the end of a statement depends on them.
//!
//! Follows the server's scanner (`src/backend/parser/scan.l`). A string or comment that is never
//! closed is one token to the end of the text, as the server's error about it is better than one
//! made here. Must not know the grammar of statements.

/// An iterator over the tokens of a text.
pub(crate) struct Tokens<'text> {
    text: &'text str,
    /// The byte at which the next token begins, or the white space and comments before it.
    pub at: usize,
    /// Whether a backslash escapes in a plain string: `standard_conforming_strings = off`.
    pub escapes: bool,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'text> {
    /// The kind of the token.
    pub kind: Kind,
    /// The text of the token.
    pub text: &'text str,
    /// The first byte of the token.
    pub start: usize,
}

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in double quotes.
    Name,
    /// A string in any quotes, or a comment that is never closed.
    Text,
    /// A number, or a parameter such as `$1`.
    Number,
    /// Any other byte, which is ASCII.
    Symbol(u8),
}

impl Token<'_> {
    /// Returns whether the token is this word, compared without regard to case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Returns the byte after the token.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

impl<'text> Iterator for Tokens<'text> {
    type Item = Token<'text>;

    fn next(&mut self) -> Option<Token<'text>> {
        self.skip_blank();
        let start = self.at;
        let kind = match self.peek(0)? {
            b'\'' => self.string(self.escapes),
            b'"' => self.name(),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'/' if self.peek(1) == Some(b'*') => self.rest(),
            byte if is_word_start(byte) => self.word(byte),
            byte => self.symbol(byte),
        };
        let text = &self.text[start..self.at];
        Some(Token { kind, text, start })
    }
}

impl<'text> Tokens<'text> {
    /// Makes an iterator that begins at a byte of the text.
    pub(crate) fn new(text: &'text str, at: usize, escapes: bool) -> Tokens<'text> {
        Tokens { text, at, escapes }
    }

    /// Skips white space and comments; stops before a comment that is never closed.
    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'-' if self.peek(1) == Some(b'-') => self.skip_to_line_end(),
                b'/' if self.peek(1) == Some(b'*') => match self.comment_end() {
                    Some(end) => self.at = end,
                    None => break,
                },
                byte if is_space(byte) => self.at += 1,
                _ => break,
            }
        }
    }

    /// Skips to the next line feed or carriage return.
    fn skip_to_line_end(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// Returns the byte after the comment that begins here; comments nest.
    pub(super) fn comment_end(&self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        let mut depth = 0;
        while let Some(pair) = bytes.get(at..at + 2) {
            match pair {
                b"/*" => depth += 1,
                b"*/" => depth -= 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    /// Reads the rest of the text as one token.
    fn rest(&mut self) -> Kind {
        self.at = self.text.len();
        Kind::Text
    }

    fn symbol(&mut self, byte: u8) -> Kind {
        self.at += 1;
        Kind::Symbol(byte)
    }

    /// Reads a string from its quote on, with the parts that continue it on later lines.
    fn string(&mut self, escapes: bool) -> Kind {
        loop {
            self.at += 1;
            self.skip_past_quote(b'\'', escapes);
            match self.continuation() {
                Some(quote) => self.at = quote,
                None => return Kind::Text,
            }
        }
    }

    fn name(&mut self) -> Kind {
        self.at += 1;
        self.skip_past_quote(b'"', false);
        Kind::Name
    }

    /// Skips past the closing quote. A doubled quote does not close.
    fn skip_past_quote(&mut self, quote: u8, escapes: bool) {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            if byte == quote {
                if bytes.get(self.at) != Some(&quote) {
                    return;
                }
                self.at += 1;
            } else if byte == b'\\' && escapes && self.at < bytes.len() {
                self.at += 1;
            }
        }
        // A backslash skips one byte of a character that may have more.
        self.at = bytes.len();
    }

    /// Returns the quote at which the same string continues: after white space with a line end in
    /// it, and line comments (`quotecontinue` of scan.l).
    fn continuation(&self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        let mut has_line_end = false;
        loop {
            match *bytes.get(at)? {
                b'\'' if has_line_end => return Some(at),
                b'-' if bytes.get(at + 1) == Some(&b'-') => {
                    at += self.text[at..].find(['\n', '\r'])?;
                }
                byte if is_space(byte) => {
                    has_line_end |= matches!(byte, b'\n' | b'\r');
                    at += 1;
                }
                _ => return None,
            }
        }
    }

    /// Reads `$tag$…$tag$`, `$1`, or a dollar sign that begins neither.
    fn dollar(&mut self) -> Kind {
        let rest = &self.text[self.at..];
        if let Some(tag) = dollar_tag(rest) {
            let body = &rest[tag.len()..];
            self.at += tag.len() + body.find(tag).map_or(body.len(), |end| end + tag.len());
            return Kind::Text;
        }
        self.at += 1;
        if !self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            return Kind::Symbol(b'$');
        }
        while self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Kind::Number
    }

    /// Reads a number with the letters that may follow it: `1e5`, `0xff`, `1_000`. A dollar sign may
    /// not: in `1$a$` it begins a string.
    fn number(&mut self) -> Kind {
        while self
            .peek(0)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.at += 1;
        }
        Kind::Number
    }

    /// Reads a word, or the string or name that a prefix such as `E'` or `U&"` begins.
    fn word(&mut self, first: u8) -> Kind {
        match (first.to_ascii_lowercase(), self.peek(1), self.peek(2)) {
            (b'e', Some(b'\''), _) => {
                self.at += 1;
                self.string(true)
            }
            (b'b' | b'x', Some(b'\''), _) => {
                self.at += 1;
                self.string(false)
            }
            (b'u', Some(b'&'), Some(b'\'')) => {
                self.at += 2;
                self.string(false)
            }
            (b'u', Some(b'&'), Some(b'"')) => {
                self.at += 2;
                self.name()
            }
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let length = rest.iter().position(|&byte| !is_word_part(byte));
                self.at += length.unwrap_or(rest.len());
                Kind::Word
            }
        }
    }
}

/// Returns the `$tag$` that a text begins with. A tag is an identifier without a dollar sign, or
/// empty.
fn dollar_tag(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let length = bytes[1..]
        .iter()
        .position(|&byte| !is_word_part(byte) || byte == b'$')?
        + 1;
    let is_tag = bytes[length] == b'$' && !bytes[1].is_ascii_digit();
    is_tag.then(|| &text[..=length])
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Returns whether a byte is white space: `space` of scan.l, with the vertical tab, which is white
/// space since PostgreSQL 16.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = Tokens::new(text, 0, false)
            .map(|token| token.text)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_backslash_escapes_only_in_an_e_string() {
        check(r"E'\';' x", &[r"E'\';'", "x"]);
        check(r"e'a\\' x", &[r"e'a\\'", "x"]);
        check(r"'\' x", &[r"'\'", "x"]);
        check(r"type'\' x", &["type", r"'\'", "x"]);
        check(r"U&'\' x", &[r"U&'\'", "x"]);
        check(r"N'\' x", &["N", r"'\'", "x"]);
        check(r"B'\' X'\' x", &[r"B'\'", r"X'\'", "x"]);
        check(r"E'it''s\'' x", &[r"E'it''s\''", "x"]);
    }

    #[test]
    fn without_standard_strings_a_backslash_escapes_in_plain_strings_and_in_no_others() {
        let tokens =
            |text| -> Vec<&str> { Tokens::new(text, 0, true).map(|token| token.text).collect() };
        assert_eq!(tokens(r"'\'' x"), [r"'\''", "x"]);
        assert_eq!(tokens(r"N'\'' x"), ["N", r"'\''", "x"]);
        assert_eq!(tokens("B'\\'\n'\\' x"), ["B'\\'\n'\\'", "x"]);
        assert_eq!(tokens(r#"U&'\' "\" x"#), [r"U&'\'", r#""\""#, "x"]);
        assert_eq!(tokens(r"$$\$$ x"), [r"$$\$$", "x"]);
    }

    #[test]
    fn a_string_that_continues_after_a_line_end_keeps_its_kind() {
        check("E'a' \n 'b\\'c' x", &["E'a' \n 'b\\'c'", "x"]);
        check("E'a' -- ' \n\t'\\'' x", &["E'a' -- ' \n\t'\\''", "x"]);
        check("E'a' 'b\\' x", &["E'a'", "'b\\'", "x"]);
        check("E'a' /* \n */ 'b\\' x", &["E'a'", "'b\\'", "x"]);
        check("E'a'\n\u{a0}'\\'", &["E'a'", "\u{a0}", "'\\'"]);
    }

    #[test]
    fn dollar_quotes_nest_by_their_tags() {
        check("$$ begin; end $$ x", &["$$ begin; end $$", "x"]);
        check("$a$ $b$ $$ $$a$ x", &["$a$ $b$ $$ $$a$", "x"]);
        check("$ä$ ; $ä$ x", &["$ä$ ; $ä$", "x"]);
        check("a$b$ x", &["a$b$", "x"]);
        check("$1 $1$ x", &["$1", "$1", "$", "x"]);
        check("1$a$'$a$ x", &["1", "$a$'$a$", "x"]);
        check("$1a$ x", &["$1", "a$", "x"]);
    }

    #[test]
    fn comments_nest_and_end_at_both_line_ends() {
        check("/* /* */ ' */ x", &["x"]);
        check("-- '\rx -- \n y", &["x", "y"]);
        check("/*/ */ x **/ /**/", &["x", "*", "*", "/"]);
        check("+-- '\n*/* ' */", &["+", "*"]);
    }

    #[test]
    fn a_quote_or_comment_that_is_never_closed_is_one_token() {
        for text in ["'a", "\"a", "$a$ ;", "/* /* */", "E'\\", "E'\\é", "$"] {
            check(text, &[text]);
        }
    }

    #[test]
    fn a_word_may_hold_dollar_signs_and_letters_of_any_language() {
        check("sélect$1 x", &["sélect$1", "x"]);
        check(
            "1e5 0xff 1_000 1.5",
            &["1e5", "0xff", "1_000", "1", ".", "5"],
        );
    }
}
