//! Splits a file of SQL into statements, where psql and the server end them.
//!
//! Follows the server's scanner (`src/backend/parser/scan.l`) and, for the semicolons that do not
//! end a statement (in parentheses and in `BEGIN ATOMIC` bodies), psql's
//! (`src/fe_utils/psqlscan.l`). Leaves syntax errors to the server, whose messages are better, and
//! refuses psql's commands. Must not know any file or database.

mod bounds;
mod comments;
mod place;
mod psql;
mod routine;
mod session_effect;
mod statement_kind;
mod tokens;

pub(crate) use bounds::{WrongBounds, changes_table, check_bounds, folded};
pub(crate) use comments::comments;
pub use place::Place;
pub use routine::Routine;
pub use session_effect::SessionEffect;
pub(crate) use statement_kind::identifier;
pub use statement_kind::{Concurrent, Control, Modes};
pub(crate) use tokens::{Kind as TokenKind, Token, Tokens};

use statement_kind::StatementKind;
use std::ops::Range;
use tokens::Kind;

/// One statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The bytes of the statement in the file, from its first token to its semicolon.
    pub span: Range<usize>,
    /// The bytes of the data after a `COPY … FROM STDIN`, without the line `\.`.
    pub data: Option<Range<usize>>,
    /// Whether the statement is a `COPY … TO STDOUT`, which answers with rows.
    pub copies_out: bool,
    /// Whether the statement ends with its own semicolon. Without one it is the last, and a quote
    /// that it does not close would take in what is sent after it.
    pub closed: bool,
    /// Whether a backslash escapes in the statement's plain strings.
    escapes: bool,
    kind: StatementKind,
}

/// The reason why a file cannot be split.
#[derive(Debug, PartialEq, Eq)]
pub struct SplitError {
    /// The byte in the file.
    pub at: usize,
    /// What stands there, and what to do about it.
    pub reason: String,
}

/// Splits a section of a text into its statements. Comments between statements belong to none.
///
/// # Errors
/// The first psql command that cannot be ignored, or SQL on the line where the data of a
/// `COPY … FROM STDIN` should begin.
///
/// ```
/// let text = "CREATE TABLE t (a int); -- one column\nINSERT INTO t VALUES (1)";
/// let statements = migrate::sql::statements(text, 0..text.len()).expect("no psql commands");
/// let found: Vec<&str> = statements.iter().map(|one| &text[one.span.clone()]).collect();
/// assert_eq!(found, ["CREATE TABLE t (a int);", "INSERT INTO t VALUES (1)"]);
/// ```
pub fn statements(text: &str, section: Range<usize>) -> Result<Vec<Statement>, SplitError> {
    let text = &text[..section.end];
    let tokens = Tokens::new(text, section.start, false);
    let mut splitter = Splitter { text, tokens };
    std::iter::from_fn(|| splitter.statement().transpose()).collect()
}

/// Returns the places of the symbols in a statement: of what is no word, name, string, number or
/// comment.
pub(crate) fn symbols(statement: &str) -> impl Iterator<Item = usize> {
    let tokens = Tokens::new(statement, 0, false);
    let symbols = tokens.filter(|token| matches!(token.kind, Kind::Symbol(_)));
    symbols.map(|token| token.start)
}

impl Statement {
    /// Returns the first word, in lower case; `select` for `(SELECT …)`.
    pub fn keyword(&self) -> &str {
        &self.kind.keyword
    }

    /// Returns how the statement begins or ends a transaction, if it does.
    pub fn control(&self) -> Option<Control> {
        self.kind.control
    }

    /// Returns whether the server refuses the statement in a transaction, as far as its text shows.
    /// It does not show whether the procedure of a `CALL` commits, or whether a table is
    /// partitioned.
    pub fn refuses_transaction(&self) -> bool {
        self.kind.refuses_transaction
    }

    /// Returns what the statement works on concurrently, if it does.
    pub fn concurrent(&self) -> Option<&Concurrent> {
        self.kind.concurrent.as_ref()
    }

    /// Returns the modes of a `BEGIN` or a `SET TRANSACTION`.
    pub fn modes(&self) -> Option<Modes> {
        self.kind.modes
    }

    /// Returns what the statement leaves in the session. `text` is the file's.
    pub fn session_effect(&self, text: &str) -> SessionEffect {
        SessionEffect::of(&text[self.span.clone()], self.escapes)
    }

    /// Returns the word after which the statement sets whose rights the session has, if it does.
    /// `text` is the file's.
    pub fn role_word(&self, text: &str) -> Option<&'static str> {
        session_effect::role_word(&text[self.span.clone()])
    }

    /// Returns whether the statement has this name among its words, or in a string of it. `text` is
    /// the file's.
    pub fn mentions(&self, text: &str, name: &str) -> bool {
        session_effect::mentions(&text[self.span.clone()], self.escapes, name)
    }

    /// Returns the routine that the statement creates, or the body of a `DO`. `text` is the file's.
    pub fn routine(&self, text: &str) -> Option<Routine> {
        Routine::of(&text[self.span.clone()], self.escapes)
    }
}

struct Splitter<'text> {
    text: &'text str,
    tokens: Tokens<'text>,
}

impl<'text> Splitter<'text> {
    fn statement(&mut self) -> Result<Option<Statement>, SplitError> {
        let Some(first) = self.first()? else {
            return Ok(None);
        };
        let mut nesting = Nesting::default();
        nesting.add(&first);
        let (mut end, mut closed) = (first.end(), false);
        for token in &mut self.tokens {
            end = token.end();
            match token.kind {
                Kind::Symbol(b';') if nesting.is_closed() => {
                    closed = true;
                    break;
                }
                Kind::Symbol(b'\\') => {
                    let at = token.start;
                    let reason = psql::refuse_inside(line(self.text, at));
                    return Err(SplitError { at, reason });
                }
                _ => nesting.add(&token),
            }
        }
        let span = first.start..end;
        let escapes = self.tokens.escapes;
        let kind = StatementKind::of(&self.text[span.clone()], escapes);
        self.tokens.escapes = kind.escapes.unwrap_or(self.tokens.escapes);
        let data = match nesting.reads_standard_input {
            true => Some(self.data()?),
            false => None,
        };
        Ok(Some(Statement {
            span,
            data,
            copies_out: nesting.writes_standard_output,
            closed,
            escapes,
            kind,
        }))
    }

    /// Returns the first token of the next statement. Skips empty statements and the psql commands
    /// that can be ignored.
    fn first(&mut self) -> Result<Option<Token<'text>>, SplitError> {
        while let Some(token) = self.tokens.next() {
            match token.kind {
                Kind::Symbol(b';') => {}
                Kind::Symbol(b'\\') => {
                    let line = line(self.text, token.start);
                    if let Some(reason) = psql::refuse(line) {
                        let at = token.start;
                        return Err(SplitError { at, reason });
                    }
                    self.tokens.at = token.start + line.len();
                }
                _ => return Ok(Some(token)),
            }
        }
        Ok(None)
    }

    /// Reads COPY's data: the lines after the one with the semicolon, until `\.` or the end of the
    /// text, in any format.
    fn data(&mut self) -> Result<Range<usize>, SplitError> {
        let after = self.tokens.at;
        let rest = line(self.text, after);
        let mut tokens = Tokens::new(rest, 0, false);
        if let Some(token) = tokens.next() {
            let reason = "the data of COPY FROM STDIN begin on the next line, so nothing may \
                          follow it on this one: move it after the data";
            return Err(SplitError {
                at: after + token.start,
                reason: reason.to_string(),
            });
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

/// Returns the text from a byte to the end of its line.
fn line(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find('\n').unwrap_or(rest.len())]
}

/// The state that decides whether a semicolon ends the statement, and whether data follow it.
#[derive(Default)]
struct Nesting {
    beginning: Beginning,
    previous: Previous,
    parentheses: usize,
    /// The number of open `BEGIN ATOMIC` and `CASE`.
    bodies: usize,
    reads_standard_input: bool,
    writes_standard_output: bool,
}

/// The first words of a statement.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    #[default]
    Nothing,
    Create,
    CreateOr,
    CreateOrReplace,
    /// `CREATE [OR REPLACE] FUNCTION` or `PROCEDURE`.
    Routine,
    Copy,
    Other,
}

/// The previous token.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Previous {
    /// `AS` or a dot: any word after it is a name.
    Naming,
    Begin,
    From,
    To,
    #[default]
    Other,
}

impl Nesting {
    /// Returns whether a semicolon ends the statement here.
    fn is_closed(&self) -> bool {
        self.parentheses == 0 && self.bodies == 0
    }

    fn add(&mut self, token: &Token) {
        self.beginning = self.beginning.with(token);
        match token.kind {
            Kind::Symbol(b'(') => self.parentheses += 1,
            Kind::Symbol(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Word if self.parentheses == 0 => self.word(token),
            _ => {}
        }
        self.previous = match token.kind {
            Kind::Symbol(b'.') => Previous::Naming,
            Kind::Word if token.is("as") => Previous::Naming,
            Kind::Word if token.is("begin") => Previous::Begin,
            Kind::Word if token.is("from") => Previous::From,
            Kind::Word if token.is("to") => Previous::To,
            _ => Previous::Other,
        };
    }

    fn word(&mut self, word: &Token) {
        match self.beginning {
            // The server accepts STDOUT for STDIN, and the reverse.
            Beginning::Copy if self.previous == Previous::From => {
                self.reads_standard_input |= word.is("stdin") || word.is("stdout");
            }
            Beginning::Copy if self.previous == Previous::To => {
                self.writes_standard_output |= word.is("stdin") || word.is("stdout");
            }
            // psql counts every `begin` and `end`. Here those that are names are not counted, as
            // they would join the statements that follow.
            Beginning::Routine if self.previous == Previous::Begin && word.is("atomic") => {
                self.bodies += 1;
            }
            Beginning::Routine if self.bodies > 0 && self.previous != Previous::Naming => {
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
    /// Adds a token to the beginning of the statement.
    fn with(self, token: &Token) -> Beginning {
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
        let error = statements(text, 0..text.len()).expect_err("it is refused");
        assert_eq!(error.at, at, "{error:?}");
        assert!(error.reason.contains(says), "{error:?}");
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
    fn a_semicolon_in_parentheses_ends_nothing() {
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
    fn a_quote_or_parenthesis_that_is_never_closed_makes_the_rest_one_statement() {
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
    fn setting_standard_conforming_strings_changes_how_later_strings_are_read() {
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
    fn commands_that_change_only_psql_are_ignored() {
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
        // A linear congruential generator makes the same texts in every run.
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
