//! Splits a file of SQL where psql and the server end a statement. Pure.
//!
//! Follows the server's scanner (`src/backend/parser/scan.l`) and, where a semicolon does not end a
//! statement, psql's (`src/fe_utils/psqlscan.l`): parentheses and the bodies of `BEGIN ATOMIC`.
//! What it does not understand it leaves to the server, whose words are better; what only psql
//! understands it refuses.

// The paths are spelled out because tests/lexer.rs compares this file with psql and the server.
#[path = "sql/meaning.rs"]
mod meaning;
#[path = "sql/place.rs"]
mod place;
#[path = "sql/psql.rs"]
mod psql;
#[path = "sql/tokens.rs"]
mod tokens;

pub use meaning::{ConcurrentIndex, Control};
pub use place::Place;

use meaning::Meaning;
use std::ops::Range;
use tokens::{Kind, Token, Tokens};

/// One statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes in the file, from its first token to its semicolon.
    pub span: Range<usize>,
    /// The bytes of the data that follow a `COPY … FROM STDIN`, without the line `\.`.
    pub data: Option<Range<usize>>,
    meaning: Meaning,
}

/// Why a file cannot be split.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The byte in the file.
    pub at: usize,
    /// What is there, and what to do.
    pub reason: String,
}

/// The statements of a section of a text, in order. Comments between them belong to none.
///
/// # Errors
/// The first command of psql that is not SQL and cannot be passed over.
pub fn statements(text: &str, section: Range<usize>) -> Result<Vec<Statement>, Refusal> {
    let text = &text[..section.end];
    let tokens = Tokens::new(text, section.start, false);
    let mut splitter = Splitter { text, tokens };
    std::iter::from_fn(|| splitter.statement().transpose()).collect()
}

impl Statement {
    /// Its first word, in lower case; that of `(SELECT …)` is inside.
    pub fn keyword(&self) -> &str {
        &self.meaning.keyword
    }

    /// Whether it begins or ends a transaction.
    pub fn control(&self) -> Option<Control> {
        self.meaning.control
    }

    /// Whether the server refuses it in a transaction. What only the server can know is not told:
    /// whether the procedure of a `CALL` commits, whether a table is partitioned.
    pub fn refuses_transaction(&self) -> bool {
        self.meaning.refuses_transaction
    }

    /// What a `CREATE INDEX CONCURRENTLY` creates: left invalid when it fails.
    pub fn concurrent_index(&self) -> Option<ConcurrentIndex> {
        self.meaning.concurrent_index.clone()
    }
}

struct Splitter<'text> {
    text: &'text str,
    tokens: Tokens<'text>,
}

impl<'text> Splitter<'text> {
    fn statement(&mut self) -> Result<Option<Statement>, Refusal> {
        let Some(first) = self.first()? else {
            return Ok(None);
        };
        let mut nesting = Nesting::default();
        nesting.add(&first);
        let mut end = first.end();
        for token in &mut self.tokens {
            end = token.end();
            match token.kind {
                Kind::Symbol(b';') if nesting.is_over() => break,
                Kind::Symbol(b'\\') => {
                    let reason = psql::refusal_inside(line(self.text, token.start));
                    return Err(refused(token.start, reason));
                }
                _ => nesting.add(&token),
            }
        }
        let span = first.start..end;
        let meaning = Meaning::of(&self.text[span.clone()], self.tokens.escapes);
        self.tokens.escapes = meaning.escapes.unwrap_or(self.tokens.escapes);
        let data = match nesting.reads_standard_input {
            true => Some(self.data()?),
            false => None,
        };
        Ok(Some(Statement {
            span,
            data,
            meaning,
        }))
    }

    /// The first token of a statement: after the semicolons of empty ones, and psql's commands.
    fn first(&mut self) -> Result<Option<Token<'text>>, Refusal> {
        while let Some(token) = self.tokens.next() {
            match token.kind {
                Kind::Symbol(b';') => {}
                Kind::Symbol(b'\\') => {
                    let line = line(self.text, token.start);
                    if let Some(reason) = psql::refusal(line) {
                        return Err(refused(token.start, reason));
                    }
                    self.tokens.at = token.start + line.len();
                }
                _ => return Ok(Some(token)),
            }
        }
        Ok(None)
    }

    /// The lines after the one with the semicolon, until `\.` or the end, whatever the format.
    fn data(&mut self) -> Result<Range<usize>, Refusal> {
        let after = self.tokens.at;
        let rest = line(self.text, after);
        let mut tokens = Tokens::new(rest, 0, false);
        if let Some(token) = tokens.next() {
            let reason = "the data of COPY FROM STDIN begin on the next line, so nothing may \
                          follow it on this one: move it after the data";
            return Err(refused(after + token.start, reason.to_string()));
        }
        let start = self.text.len().min(after + rest.len() + 1);
        let mut at = start;
        for line in self.text[start..].split_inclusive('\n') {
            if matches!(line, "\\.\n" | "\\.\r\n" | "\\.") {
                self.tokens.at = at + line.len();
                return Ok(start..at);
            }
            at += line.len();
        }
        self.tokens.at = at;
        Ok(start..at)
    }
}

fn refused(at: usize, reason: String) -> Refusal {
    Refusal { at, reason }
}

/// From a byte to the end of its line.
fn line(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find('\n').unwrap_or(rest.len())]
}

/// What decides whether a semicolon ends the statement, and whether data follow it.
#[derive(Default)]
struct Nesting {
    beginning: Beginning,
    before: Before,
    parentheses: usize,
    bodies: usize,
    reads_standard_input: bool,
}

/// How a statement begins, as far as it decides.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    #[default]
    Nothing,
    Create,
    CreateOr,
    CreateOrReplace,
    Routine,
    Copy,
    Other,
}

/// The token before, as far as it decides.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// After it any word is a name: `AS` or a dot.
    Naming,
    Begin,
    From,
    #[default]
    Other,
}

impl Nesting {
    fn is_over(&self) -> bool {
        self.parentheses == 0 && self.bodies == 0
    }

    fn add(&mut self, token: &Token) {
        self.beginning = self.beginning.then(token);
        match token.kind {
            Kind::Symbol(b'(') => self.parentheses += 1,
            Kind::Symbol(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Word if self.parentheses == 0 => self.word(token),
            _ => {}
        }
        self.before = match token.kind {
            Kind::Symbol(b'.') => Before::Naming,
            Kind::Word if token.is("as") => Before::Naming,
            Kind::Word if token.is("begin") => Before::Begin,
            Kind::Word if token.is("from") => Before::From,
            _ => Before::Other,
        };
    }

    fn word(&mut self, word: &Token) {
        match self.beginning {
            // The server takes either word for the other.
            Beginning::Copy if self.before == Before::From => {
                self.reads_standard_input |= word.is("stdin") || word.is("stdout");
            }
            // psql counts every `begin` and `end`; but those that are names would hide what
            // follows.
            Beginning::Routine if self.before == Before::Begin && word.is("atomic") => {
                self.bodies += 1;
            }
            Beginning::Routine if self.bodies > 0 && self.before != Before::Naming => {
                if word.is("case") {
                    self.bodies += 1;
                } else if word.is("end") {
                    self.bodies -= 1;
                }
            }
            _ => {}
        }
    }
}

impl Beginning {
    fn then(self, token: &Token) -> Beginning {
        use Beginning::*;
        match self {
            Nothing if token.is("create") => Create,
            Nothing if token.is("copy") => Copy,
            Create if token.is("or") => CreateOr,
            CreateOr if token.is("replace") => CreateOrReplace,
            Create | CreateOrReplace if token.is("function") || token.is("procedure") => Routine,
            Routine | Copy => self,
            _ => Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Statement> {
        statements(text, 0..text.len()).expect("nothing is refused")
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = all(text);
        let found: Vec<&str> = found
            .iter()
            .map(|found| &text[found.span.clone()])
            .collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check_refused(text: &str, at: usize, says: &str) {
        let refusal = statements(text, 0..text.len()).expect_err("it is refused");
        assert_eq!(refusal.at, at, "{refusal:?}");
        assert!(refusal.reason.contains(says), "{refusal:?}");
    }

    #[test]
    fn a_semicolon_ends_a_statement_and_the_last_one_needs_none() {
        check("select 1;select 2", &["select 1;", "select 2"]);
        check(" ;; select 1 ;\n", &["select 1 ;"]);
        check("select 1 -- the end\n", &["select 1"]);
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
        check("do $$ begin; end $$; x", &["do $$ begin; end $$;", "x"]);
    }

    #[test]
    fn parentheses_hold_statements_together() {
        check(
            "create rule r as on insert to t do (a; b); x",
            &["create rule r as on insert to t do (a; b);", "x"],
        );
        check("select ) ; x", &["select ) ;", "x"]);
    }

    #[test]
    fn an_atomic_body_ends_with_its_end() {
        for body in [
            "create or replace function f() returns int begin atomic \
             select case when true then 1 else 2 end; select 2; end;",
            "CREATE PROCEDURE p() LANGUAGE sql BEGIN /* ; */ ATOMIC ; END;",
            "create function f(t) returns int begin atomic select t.end, 1 as case; end;",
            "create function f(t) returns int begin atomic select (case when a then b end); end;",
            "create function \"end\"() returns int begin atomic select \"end\"(); end;",
        ] {
            check(&format!("{body} x"), &[body, "x"]);
        }
        for text in [
            "create table t (begin int);",
            "create function begin() returns int as 'x';",
            "create view v as select begin atomic from t;",
            "create or function begin atomic;",
        ] {
            check(&format!("{text} x"), &[text, "x"]);
        }
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
            "/* ; select 1",
        ] {
            check(text, &[text]);
        }
    }

    #[test]
    fn a_section_is_split_as_a_text_of_its_own() {
        let text = "a; b; 'c; d;";
        let found = statements(text, 2..5).expect("nothing is refused");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].span, 3..5);
    }

    #[test]
    fn a_file_that_sets_standard_strings_off_is_read_so() {
        check(
            "set standard_conforming_strings = off; select '\\';'; x",
            &[
                "set standard_conforming_strings = off;",
                "select '\\';';",
                "x",
            ],
        );
        for on in [
            "reset all",
            "reset standard_conforming_strings",
            "set standard_conforming_strings to 'on'",
            "set standard_conforming_strings to default",
            "discard all",
        ] {
            let text = format!("set local standard_conforming_strings to 'OFF'; {on}; '\\'; x");
            assert_eq!(all(&text).len(), 4, "{on}");
        }
        check(
            "set search_path = off; select '\\'; x",
            &["set search_path = off;", "select '\\';", "x"],
        );
    }

    #[test]
    fn data_follow_a_copy_from_stdin_until_a_backslash_and_a_dot() {
        let data = |text: &str| -> Vec<Option<String>> {
            all(text)
                .into_iter()
                .map(|statement| statement.data.map(|data| text[data].to_string()))
                .collect()
        };
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            data("COPY t (a, b) FROM stdin;\n1;\t'\n\\.\nselect 1;"),
            [some("1;\t'\n"), None]
        );
        assert_eq!(
            data("copy t from stdin with (format csv); -- so\r\na,\\.\r\n\\.\r\nx"),
            [some("a,\\.\r\n"), None]
        );
        assert_eq!(data("copy t from stdin;\n\\.\nx"), [some(""), None]);
        assert_eq!(data("copy t from stdin;\na\nb"), [some("a\nb")]);
        assert_eq!(data("copy t from stdin;\na\n\\."), [some("a\n")]);
        assert_eq!(data("copy t from stdout;"), [some("")]);
        assert_eq!(data("copy t from stdin"), [some("")]);
        for none in [
            "copy t from '/tmp/stdin';",
            "copy (select * from stdin) to stdout;",
            "copy t from \"stdin\";",
            "select 'copy', x from stdin;",
        ] {
            assert_eq!(data(&format!("{none}\nx")), [None, None], "{none}");
        }
        check_refused("copy t from stdin; select 1;\n\\.\n", 19, "next line");
    }

    #[test]
    fn what_changes_only_psql_is_passed_over() {
        check(
            "\\restrict x'y\nselect 1;\n\\echo '\n  \\unrestrict x'y",
            &["select 1;"],
        );
    }

    #[test]
    fn other_commands_of_psql_are_refused_where_they_are() {
        check_refused("select 1;\n\\i other.sql\n", 10, "\\i");
        check_refused("select 1 \\gexec\n", 9, "\\gexec");
        check_refused("select 1 \\; select 2;\n", 9, "remove it");
        check_refused("\\.\n", 0, "COPY");
        check(
            "select '\\i', $$\\i$$ /* \\i */; -- \\i",
            &["select '\\i', $$\\i$$ /* \\i */;"],
        );
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
            "\r\n",
            ";",
            "(",
            ")",
            "E'",
            "U&'",
            "b'",
            "\\",
            "\\.",
            "\\echo",
            "copy from stdin",
            "set standard_conforming_strings = off;",
            " begin ",
            " atomic ",
            " case ",
            " end ",
            "create function ",
            "create index concurrently ",
            "reindex (",
            "do ",
            "commit",
            "x",
            "1",
            "$",
            ".",
            "é",
            "\u{a0}",
            " ",
        ];
        let mut random: u64 = 7;
        for _ in 0..100_000 {
            let mut text = String::new();
            for _ in 0..12 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                text.push_str(pieces[(random >> 33) as usize % pieces.len()]);
            }
            let Ok(found) = statements(&text, 0..text.len()) else {
                assert!(text.contains('\\') || text.contains("copy"), "{text:?}");
                continue;
            };
            let mut end = 0;
            for statement in found.into_iter().map(Some).chain([None]) {
                let start = statement
                    .as_ref()
                    .map_or(text.len(), |next| next.span.start);
                let between = &text[end..start];
                assert!(all(between).is_empty(), "{between:?} is lost of {text:?}");
                let Some(Statement { span, data, .. }) = statement else {
                    break;
                };
                assert!(!span.is_empty(), "{text:?}");
                end = span.end;
                if let Some(data) = data {
                    let line = &text[span.end..data.start];
                    assert!(all(line).is_empty(), "{line:?} is lost of {text:?}");
                    end = data.end + usize::from(text[data.end..].starts_with("\\.")) * 2;
                }
            }
        }
    }
}
