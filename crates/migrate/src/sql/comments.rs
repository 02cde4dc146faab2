//! Finds the comments in which other tools write their marks: those that have a line of their own and
//! are no part of a string, a body, parentheses or the data of a COPY.
//!
//! Must not know what a mark says.

use super::statement_kind::StatementKind;
use super::tokens::{Kind, Tokens};
use super::{Nesting, Splitter, line};
use std::ops::Range;

/// The comments of a text, and where its statements are.
pub(crate) struct Comments {
    /// The first byte of each comment that begins with `--` and has a line of its own.
    pub starts: Vec<usize>,
    /// The first byte of the first statement, and the last byte of the last one, if there is one.
    pub statements: Option<Range<usize>>,
}

/// Reads the comments of a text. Never fails: what follows an error is read as far as possible.
pub(crate) fn comments(text: &str) -> Comments {
    let tokens = Tokens::new(text, 0, false);
    let mut splitter = Splitter { text, tokens };
    let (mut starts, mut statements) = (Vec::new(), None::<Range<usize>>);
    let (mut nesting, mut begin) = (Nesting::default(), None);
    loop {
        let before = splitter.tokens.at;
        let token = splitter.tokens.next();
        let gap = before..token.map_or(text.len(), |token| token.start);
        if nesting.is_closed() {
            add_comments(text, gap, &mut starts);
        }
        let Some(token) = token else {
            return Comments { starts, statements };
        };
        let first = statements.map_or(token.start, |found| found.start);
        statements = Some(first..token.end());
        match token.kind {
            Kind::Symbol(b'\\') => {
                splitter.tokens.at = token.start + line(text, token.start).len();
            }
            Kind::Symbol(b';') if nesting.is_closed() => {
                let begin = begin.take().unwrap_or(token.start);
                let kind = StatementKind::of(&text[begin..token.end()], splitter.tokens.escapes);
                splitter.tokens.escapes = kind.escapes.unwrap_or(splitter.tokens.escapes);
                if nesting.reads_standard_input {
                    // SQL on the line of the COPY is refused later, with its place.
                    let _ = splitter.data();
                }
                nesting = Nesting::default();
            }
            _ => {
                begin.get_or_insert(token.start);
                nesting.add(&token);
            }
        }
    }
}

/// Adds the comments of a text between two tokens.
fn add_comments(text: &str, gap: Range<usize>, starts: &mut Vec<usize>) {
    let mut at = gap.start;
    while at < gap.end {
        let rest = &text[at..gap.end];
        if rest.starts_with("--") {
            let line_start = text[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1);
            if text[line_start..at].trim().is_empty() {
                starts.push(at);
            }
            at += rest.find(['\n', '\r']).unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at = Tokens::new(text, at, false)
                .comment_end()
                .unwrap_or(gap.end);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = comments(text).starts;
        let found: Vec<&str> = found.iter().map(|&at| line(text, at)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn comments_between_statements_and_after_a_statement_without_its_end_are_found() {
        check(
            "-- a\nselect 1;\n  -- b\nselect 2\n-- c\n",
            &["-- a", "-- b", "-- c"],
        );
        check("\\echo '\n-- a\n", &["-- a"]);
    }

    #[test]
    fn comments_in_strings_bodies_parentheses_data_and_after_sql_are_not_found() {
        for text in [
            "select '\n-- a\n';",
            "select $x$\n-- a\n$x$;",
            "/*\n-- a\n*/ select 1;",
            "create table t (\n-- a\nb int);",
            "copy t from stdin;\n-- a\n\\.\nselect 1;",
            "select 1; -- a",
            "set standard_conforming_strings = off; select '\\'\n-- a\n';",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn the_place_of_the_statements_is_found() {
        assert_eq!(comments("-- a\na;\nb;\n-- c").statements, Some(5..10));
        assert_eq!(comments("-- a").statements, None);
    }
}
