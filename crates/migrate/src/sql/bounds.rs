//! Finds whether a statement is limited to one batch of rows: `key BETWEEN $1 AND $2`.
//!
//! Reads tokens, not the grammar: what surrounds the limit is not understood, so a statement can
//! still touch more rows than its batch has. Must not know any file or database.

use super::tokens::{Kind, Token, Tokens};

/// What is wrong with the limits of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WrongBounds {
    /// `$1` or `$2` stands nowhere.
    Missing,
    /// The parameter at this byte stands in another place than the limits, or is a third one.
    Elsewhere(usize),
    /// The statement sets the key at this byte.
    SetsKey(usize),
    /// The `LIMIT`, `OFFSET` or `FETCH` at this byte leaves rows of a batch out.
    LeavesOut(usize),
}

/// Checks that `$1` and `$2` are the inclusive limits of the key: `key BETWEEN $1 AND $2`, or
/// `key >= $1` and `key <= $2`.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check_bounds(statement: &str, key: &str) -> Result<(), WrongBounds> {
    let tokens: Vec<Token> = Tokens::new(statement, 0, false).collect();
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let is_key = |at: usize| tokens.get(at).is_some_and(|token| is_name(token, key));
    let (mut has_first, mut has_last) = (false, false);
    let (mut sets, mut depth) = (false, 0);
    for (at, token) in tokens.iter().enumerate() {
        let before = |count: usize| at.wrapping_sub(count);
        let is_between = |first: usize| is(first.wrapping_sub(1), "between");
        sets |= token.is("set");
        match token.text {
            "$1" if is_between(at) && is_key(before(2)) => has_first = true,
            "$1" if text(before(1)) == "=" && text(before(2)) == ">" && is_key(before(3)) => {
                has_first = true;
            }
            "$2" if is(before(1), "and") && text(before(2)) == "$1" && is_between(before(2)) => {
                has_last = true;
            }
            "$2" if text(before(1)) == "=" && text(before(2)) == "<" && is_key(before(3)) => {
                has_last = true;
            }
            other if token.kind == Kind::Number && other.starts_with('$') => {
                return Err(WrongBounds::Elsewhere(token.start));
            }
            "(" => depth += 1,
            ")" => depth -= 1,
            _ if sets && is_name(token, key) && is_target(&tokens, at) => {
                return Err(WrongBounds::SetsKey(token.start));
            }
            _ if depth == 0
                && ["limit", "offset", "fetch"]
                    .iter()
                    .any(|word| token.is(word)) =>
            {
                return Err(WrongBounds::LeavesOut(token.start));
            }
            _ => {}
        }
    }
    match has_first && has_last {
        true => Ok(()),
        false => Err(WrongBounds::Missing),
    }
}

/// Returns whether the name at this index is what a `SET` sets: `SET a = 1, name = 2`, or
/// `SET (a, name) = (1, 2)`.
fn is_target(tokens: &[Token], at: usize) -> bool {
    let is_listed = |token: &&Token| token.text == "," || token.kind != Kind::Symbol(b'(');
    let begins = |at: usize| {
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        before.is_some_and(|token| token.is("set") || token.text == ",")
    };
    let is_equal = |at: usize| tokens.get(at).is_some_and(|token| token.text == "=");
    if begins(at) && is_equal(at + 1) {
        return true;
    }
    let names = tokens[..at].iter().rev().take_while(is_listed).count();
    let close = tokens[at..].iter().position(|token| token.text == ")");
    let opens = at.checked_sub(names + 1);
    opens.is_some_and(begins) && close.is_some_and(|close| is_equal(at + close + 1))
}

/// Returns whether a statement is an `UPDATE` or a `DELETE` of this table, written as it is here.
pub(crate) fn changes_table(statement: &str, table: &str) -> bool {
    let mut tokens = Tokens::new(statement, 0, false).peekable();
    let keyword = tokens.next();
    let is = |word| keyword.is_some_and(|token| token.is(word));
    let is_optional = |token: &Token| token.is("only") || (is("delete") && token.is("from"));
    while tokens.next_if(is_optional).is_some() {}
    let named: Vec<String> = Tokens::new(table, 0, false).map(|one| name(&one)).collect();
    let found = tokens.take(named.len()).map(|one| name(&one));
    (is("update") || is("delete")) && found.eq(named)
}

/// Returns a name as Postgres compares it: without quotes, or in lower case.
pub(crate) fn folded(text: &str) -> String {
    Tokens::new(text, 0, false)
        .next()
        .map_or(String::new(), |token| name(&token))
}

fn is_name(token: &Token, key: &str) -> bool {
    matches!(token.kind, Kind::Word | Kind::Name) && name(token) == key
}

fn name(token: &Token) -> String {
    match token.kind {
        Kind::Name => token.text.trim_matches('"').replace("\"\"", "\""),
        _ => token.text.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_inclusive_ones_of_the_key() {
        for statement in [
            "update t set a = 1 where id between $1 and $2",
            "update t set a = 1 where t.ID BETWEEN $1 AND $2 and a is null",
            "delete from t where id >= $1 and b and id<=$2",
            "update t set (a, b) = (id, 1), c = (select x from u limit 1) where id between $1 and $2",
            "update t set a = f(b, id), b = (c = 1) where id between $1 and $2",
            "insert into u select * from t x where x.\"id\" >= $1::bigint and x.id <= $2",
        ] {
            assert_eq!(check_bounds(statement, "id"), Ok(()), "{statement}");
        }
    }

    #[test]
    fn a_statement_that_would_miss_or_repeat_rows_is_found() {
        use WrongBounds::{Elsewhere, LeavesOut, Missing, SetsKey};
        for (statement, wrong) in [
            ("update t set a = 1", Missing),
            ("update t set a = 1 where id >= $1", Missing),
            ("update t set a = '$1' where id <= $2", Missing),
            ("delete from t where id > $1 and id <= $2", Elsewhere(25)),
            ("delete from t where id >= $1 and id < $2", Elsewhere(38)),
            ("delete from t where no between $1 and $2", Elsewhere(31)),
            ("delete from t where id between $2 and $1", Elsewhere(31)),
            (
                "update t set a = $3 where id between $1 and $2",
                Elsewhere(17),
            ),
            (
                "update t set a = 1, id = 2 where id between $1 and $2",
                SetsKey(20),
            ),
            (
                "update t set (a, id) = (1, 2) where id between $1 and $2",
                SetsKey(17),
            ),
            (
                "with x as (select 1) update t set id = 1 where id between $1 and $2",
                SetsKey(34),
            ),
            (
                "insert into u select id from t where id between $1 and $2 limit 5",
                LeavesOut(58),
            ),
        ] {
            assert_eq!(check_bounds(statement, "id"), Err(wrong), "{statement}");
        }
    }

    #[test]
    fn the_table_that_a_statement_changes_is_compared_as_it_is_written() {
        assert!(changes_table("update only A.t set x = 1", "a.\"t\""));
        assert!(changes_table("delete from t where true", "t"));
        assert!(!changes_table("delete from t2 where true", "t"));
        assert!(!changes_table("insert into t select 1", "t"));
    }
}
