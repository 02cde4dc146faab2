//! Reads the name and the body of a function or procedure from the statement that creates it, and the
//! body of a `DO`.
//!
//! Must not know any language of bodies.

use super::statement_kind::Words;
use super::tokens::{Kind, Token};

/// A routine that a statement creates, or the block of a `DO`.
#[derive(Debug, PartialEq, Eq)]
pub struct Routine {
    /// The name as the catalog has it, without its schema; `None` for a `DO`.
    pub name: Option<String>,
    /// The byte of the statement at which the body begins, after the opening quote.
    pub body: usize,
}

impl Routine {
    /// Reads one statement.
    pub(super) fn of(statement: &str, escapes: bool) -> Option<Routine> {
        let mut words = Words::new(statement, escapes);
        match words.keyword().as_str() {
            "do" => {
                let body = words.string_after(|previous| !previous.is("language"))?;
                Some(Routine { name: None, body })
            }
            "create" => {
                let _ = words.eat("or") && words.eat("replace");
                if !words.eat("function") && !words.eat("procedure") {
                    return None;
                }
                let name = words.names().pop();
                let body = words.string_after(|previous| previous.is("as"))?;
                Some(Routine { name, body })
            }
            _ => None,
        }
    }
}

impl Words<'_> {
    /// Finds the first string that follows a token of a kind; returns the byte after its opening
    /// quote.
    fn string_after(&mut self, is_before: impl Fn(&Token) -> bool) -> Option<usize> {
        let mut previous: Option<Token> = None;
        while let Some(token) = self.take() {
            if token.kind == Kind::Text && previous.is_none_or(|previous| is_before(&previous)) {
                return Some(token.start + opening_quote(token.text));
            }
            previous = Some(token);
        }
        None
    }
}

/// Returns the length of a string's opening quote: of `$tag$`, `'` or `E'`.
fn opening_quote(string: &str) -> usize {
    let close = match string.strip_prefix('$') {
        Some(rest) => rest.find('$').map(|end| end + 1),
        None => string.find('\''),
    };
    close.map_or(0, |close| close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statement: &str, name: Option<&str>, body: &str) {
        let routine = Routine::of(statement, false).expect("it has a body");
        assert_eq!(routine.name.as_deref(), name);
        assert!(statement[routine.body..].starts_with(body), "{routine:?}");
    }

    #[test]
    fn a_body_begins_after_the_quote_of_its_string() {
        check("do $x$\nbegin end $x$", None, "\nbegin");
        check("do language 'plpgsql' 'begin end'", None, "begin");
        check(
            "create or replace function S.\"F\"(a text default '$') returns int language plpgsql as $$ x $$",
            Some("F"),
            " x",
        );
        check(
            "create procedure p(a int) as E'x' language sql",
            Some("p"),
            "x'",
        );
        assert_eq!(
            Routine::of("create table t (a text default '$')", false),
            None
        );
        assert_eq!(
            Routine::of(
                "create function f() returns int begin atomic select 1; end",
                false
            ),
            None
        );
    }
}
