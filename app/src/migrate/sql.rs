//! Splits a file of SQL where Postgres ends a statement. Pure.
//!
//! Follows the server's scanner (`src/backend/parser/scan.l`) and, where a semicolon does not end a
//! statement, psql's (`src/fe_utils/psqlscan.l`): parentheses and the bodies of `BEGIN ATOMIC`.
//! It never refuses a text: what it does not understand it leaves to the server, whose words are
//! better.

use std::fmt;
use std::mem;
use std::ops::Range;

/// One statement of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes in the file, from its first word to its semicolon.
    pub span: Range<usize>,
    /// Its first words, in lower case.
    words: Vec<String>,
    /// Whether `from stdin` is among its words.
    from_stdin: bool,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
}

/// The statements of a text, in order. Comments between them belong to none.
pub fn statements(text: &str) -> Vec<Statement> {
    let mut scanner = Scanner { text, at: 0 };
    std::iter::from_fn(|| scanner.statement()).collect()
}

impl Statement {
    /// Its first word, in lower case.
    pub fn keyword(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Whether it wants data that would have to follow it.
    pub fn reads_standard_input(&self) -> bool {
        self.keyword() == "copy" && self.from_stdin
    }

    /// Whether it would end or begin the transaction that it runs in.
    pub fn ends_or_begins_a_transaction(&self) -> bool {
        match self.keyword() {
            "begin" | "commit" | "end" | "abort" => true,
            "start" | "prepare" => self.words.get(1).is_some_and(|word| word == "transaction"),
            "rollback" => !self.words[1..].iter().take(2).any(|word| word == "to"),
            _ => false,
        }
    }
}

impl Place {
    /// The place of a byte of a text.
    pub fn of(text: &str, offset: usize) -> Place {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

struct Scanner<'text> {
    text: &'text str,
    at: usize,
}

/// What decides whether a semicolon ends the statement.
#[derive(Default)]
struct Nesting {
    words: Vec<String>,
    last_word: String,
    from_stdin: bool,
    parentheses: usize,
    begins: usize,
}

impl Scanner<'_> {
    fn statement(&mut self) -> Option<Statement> {
        self.skip_blank();
        let start = self.at;
        let mut nesting = Nesting::default();
        while let Some(byte) = self.peek(0) {
            match byte {
                b'-' if self.peek(1) == Some(b'-') => self.skip_line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.skip_block_comment(),
                b'\'' => self.skip_quoted(b'\'', false),
                b'"' => self.skip_quoted(b'"', false),
                b'$' => self.skip_dollar(),
                b'0'..=b'9' => self.skip_number(),
                byte if is_word_start(byte) => self.word(&mut nesting),
                b';' if nesting.is_over() => {
                    self.at += 1;
                    break;
                }
                byte => {
                    nesting.count(byte);
                    self.at += 1;
                }
            }
        }
        (self.at > start).then(|| nesting.statement(start..self.at))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// White space, comments, and the semicolons of empty statements.
    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'-' if self.peek(1) == Some(b'-') => self.skip_line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.skip_block_comment(),
                b';' => self.at += 1,
                byte if byte.is_ascii_whitespace() || byte == 0x0b => self.at += 1,
                _ => break,
            }
        }
    }

    fn skip_line_comment(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => depth += 1,
                (b'*', Some(b'/')) => depth -= 1,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                break;
            }
        }
    }

    /// A string or a quoted identifier. A doubled quote ends it and begins another at once, which
    /// comes to the same.
    fn skip_quoted(&mut self, quote: u8, escapes: bool) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == quote {
                if escapes && self.peek(0) == Some(quote) {
                    self.at += 1;
                    continue;
                }
                break;
            }
            if byte == b'\\' && escapes && self.peek(0).is_some() {
                self.at += 1;
            }
        }
    }

    /// Whether white space with a line's end in it and then a quote follow: the same string goes on
    /// ("String Constants", PostgreSQL's manual).
    fn continues_on_another_line(&self) -> bool {
        let rest = self.text[self.at..].trim_start();
        let blank = &self.text[self.at..self.text.len() - rest.len()];
        rest.starts_with('\'') && blank.contains(['\n', '\r'])
    }

    /// `$tag$…$tag$`, or a dollar sign that begins nothing.
    fn skip_dollar(&mut self) {
        let rest = &self.text[self.at..];
        let Some(tag) = dollar_tag(rest) else {
            self.at += 1;
            return;
        };
        let body = &rest[tag.len()..];
        self.at += tag.len() + body.find(tag).map_or(body.len(), |end| end + tag.len());
    }

    /// A number, with the letters that may follow it: `1e5`, `0xff`, `1_000`. A dollar sign is not
    /// among them: `$1$` is no quote.
    fn skip_number(&mut self) {
        while self
            .peek(0)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.at += 1;
        }
    }

    fn word(&mut self, nesting: &mut Nesting) {
        let start = self.at;
        while self.peek(0).is_some_and(is_word_part) {
            self.at += 1;
        }
        let word = self.text[start..self.at].to_ascii_lowercase();
        if word == "e" && self.peek(0) == Some(b'\'') {
            self.skip_quoted(b'\'', true);
            while self.continues_on_another_line() {
                self.skip_blank();
                self.skip_quoted(b'\'', true);
            }
        }
        nesting.add(word);
    }
}

impl Nesting {
    fn is_over(&self) -> bool {
        self.parentheses == 0 && self.begins == 0
    }

    fn count(&mut self, byte: u8) {
        match byte {
            b'(' => self.parentheses += 1,
            b')' => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
    }

    fn add(&mut self, word: String) {
        let before = mem::replace(&mut self.last_word, word.clone());
        self.from_stdin |= before == "from" && word == "stdin";
        if self.parentheses == 0 && self.creates_a_routine() {
            match word.as_str() {
                // psql counts every `begin`; but one that is a name would hide what follows it.
                "atomic" if before == "begin" => self.begins += 1,
                "case" if self.begins > 0 => self.begins += 1,
                "end" => self.begins = self.begins.saturating_sub(1),
                _ => {}
            }
        }
        // `create or replace function` is the longest beginning that matters.
        if self.words.len() < 4 {
            self.words.push(word);
        }
    }

    fn creates_a_routine(&self) -> bool {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        matches!(
            words[..],
            ["create", "function" | "procedure", ..]
                | ["create", "or", "replace", "function" | "procedure", ..]
        )
    }

    fn statement(self, span: Range<usize>) -> Statement {
        Statement {
            span,
            words: self.words,
            from_stdin: self.from_stdin,
        }
    }
}

/// `$tag$` at the beginning of a text. A tag is an identifier without a dollar sign, or empty.
fn dollar_tag(text: &str) -> Option<&str> {
    let length = text[1..].find(|c: char| !is_word_part_of_tag(c))? + 1;
    let is_tag =
        text[length..].starts_with('$') && !text[1..].starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &text[..=length])
}

fn is_word_part_of_tag(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = statements(text)
            .iter()
            .map(|statement| &text[statement.span.clone()])
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_semicolon_ends_a_statement_and_the_last_one_needs_none() {
        check("select 1;select 2", &["select 1;", "select 2"]);
        check(" ;; select 1 ;\n", &["select 1 ;"]);
        check("", &[]);
        check("-- nothing\n/* at all */ ;", &[]);
    }

    #[test]
    fn a_semicolon_in_a_string_or_a_comment_ends_nothing() {
        check("select ';', \"a;b\"; x", &["select ';', \"a;b\";", "x"]);
        check("select 'it''s;'; x", &["select 'it''s;';", "x"]);
        check("select 1 -- ;\n; x", &["select 1 -- ;\n;", "x"]);
        check(
            "select /* /* ; */ ; */ 1; x",
            &["select /* /* ; */ ; */ 1;", "x"],
        );
    }

    #[test]
    fn a_backslash_escapes_only_in_an_e_string() {
        check(r"select E'\';'; x", &[r"select E'\';';", "x"]);
        check(r"select e'a\\'; x", &[r"select e'a\\';", "x"]);
        check(r"select '\'; x", &[r"select '\';", "x"]);
        check(r"select type'\'; x", &[r"select type'\';", "x"]);
        check(r"select U&'\'; x", &[r"select U&'\';", "x"]);
        check(
            "select E'a' \n 'b\\';c'; x",
            &["select E'a' \n 'b\\';c';", "x"],
        );
        check("select E'a' 'b\\'; x", &["select E'a' 'b\\';", "x"]);
    }

    #[test]
    fn dollar_quotes_nest_by_their_tags() {
        check("do $$ begin; end $$; x", &["do $$ begin; end $$;", "x"]);
        check("do $a$ ; $b$ ; $$ $a$; x", &["do $a$ ; $b$ ; $$ $a$;", "x"]);
        check("do $ä$ ; $ä$; x", &["do $ä$ ; $ä$;", "x"]);
        check("select a$b$; x", &["select a$b$;", "x"]);
        check("select $1; x", &["select $1;", "x"]);
        check("select $1$; x", &["select $1$;", "x"]);
    }

    #[test]
    fn parentheses_and_atomic_bodies_hold_statements_together() {
        check(
            "create rule r as on insert to t do (a; b); x",
            &["create rule r as on insert to t do (a; b);", "x"],
        );
        let body = "create or replace function f() returns int begin atomic \
                    select case when true then 1 else 2 end; select 2; end;";
        check(&format!("{body} x"), &[body, "x"]);
        check(
            "create table t (begin int); x",
            &["create table t (begin int);", "x"],
        );
        check("select ) ; x", &["select ) ;", "x"]);
    }

    #[test]
    fn what_is_never_closed_belongs_to_the_last_statement() {
        for text in [
            "select '",
            "select \"",
            "select $a$ ;",
            "select /* ;",
            "select (;",
            "select E'\\",
        ] {
            check(text, &[text]);
        }
    }

    #[test]
    fn statements_that_would_end_the_transaction_are_known_by_their_words() {
        let check = |text: &str, expected: bool| {
            let ends = statements(text)[0].ends_or_begins_a_transaction();
            assert_eq!(ends, expected, "{text}");
        };
        for text in [
            "BEGIN",
            "commit",
            "END;",
            "abort",
            "rollback",
            "start transaction",
            "prepare transaction 'x'",
            "/* a */ Begin work",
            "rollback prepared 'x'",
        ] {
            check(text, true);
        }
        for text in [
            "rollback to a",
            "rollback work to savepoint a",
            "savepoint a",
            "release a",
            "prepare p as select 1",
            "do $$ begin end $$",
            "create table begin_x ()",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn a_statement_that_wants_data_is_known() {
        let check = |text: &str, expected: bool| {
            assert_eq!(
                statements(text)[0].reads_standard_input(),
                expected,
                "{text}"
            );
        };
        check("copy t (a, b) from stdin with (format csv);", true);
        check("COPY t FROM STDIN", true);
        check("copy t from '/tmp/stdin'", false);
        check("select 'copy from stdin'", false);
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        assert_eq!(Place::of("ab", 0).to_string(), "1:1");
        assert_eq!(Place::of("a\nöx", 4).to_string(), "2:2");
    }

    #[test]
    fn every_byte_of_a_text_is_in_a_statement_or_between_two() {
        // A linear congruential generator: the same texts in every run.
        let pieces = [
            "'",
            "\"",
            "$$",
            "$a$",
            "--",
            "/*",
            "*/",
            "\n",
            ";",
            "(",
            ")",
            "E'",
            "\\",
            " begin ",
            " end ",
            "create function ",
            "x",
            "1",
            "$",
            "é",
            " ",
        ];
        let mut random: u64 = 7;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                text.push_str(pieces[(random >> 33) as usize % pieces.len()]);
            }
            let mut end = 0;
            for statement in statements(&text) {
                let between = &text[end..statement.span.start];
                assert!(
                    statements(between).is_empty(),
                    "{between:?} is lost of {text:?}"
                );
                end = statement.span.end;
            }
            assert!(
                statements(&text[end..]).is_empty(),
                "the end is lost of {text:?}"
            );
        }
    }
}
