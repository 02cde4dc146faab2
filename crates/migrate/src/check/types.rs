//! Reads the type of a column: its name as `pg_type` has it, and its modifiers.
//!
//! Must not know any database, or what a change of a type does.

use super::words::{Words, is_in};
use crate::sql::TokenKind;

/// Types that are no domains, so that the catalog need not be asked.
const PLAIN: &str = "bool bpchar bytea cidr date float4 float8 inet int2 int4 int8 interval json jsonb \
    money numeric point text time timestamp timestamptz timetz uuid varbit varchar xml";

/// Returns whether a type is known to have no constraints.
pub(super) fn is_plain(name: &str) -> bool {
    name.starts_with('_') || is_in(PLAIN, name)
}

/// Takes a type, and returns its name and its modifiers: `numeric` and 8, 2 of `decimal(8, 2)`.
pub(super) fn take(words: &mut Words) -> (String, Vec<i32>) {
    let Some(name) = words.name() else {
        return (String::new(), Vec::new());
    };
    let mut name = match name.name.as_str() {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "real" => "float4",
        "float" => "float8",
        "double" if words.eat("precision") => "float8",
        "decimal" | "dec" => "numeric",
        "boolean" => "bool",
        "character" | "char" if words.eat("varying") => "varchar",
        "character" | "char" => "bpchar",
        "bit" if words.eat("varying") => "varbit",
        other => other,
    }
    .to_string();
    let numbers = words.group().0.iter();
    let numbers = numbers.filter(|token| token.kind == TokenKind::Number);
    let mut modifiers: Vec<i32> = numbers
        .filter_map(|token| token.text.parse().ok())
        .collect();
    if modifiers.is_empty() && matches!(name.as_str(), "bpchar" | "bit") {
        modifiers.push(1);
    }
    if matches!(name.as_str(), "timestamp" | "time") {
        if words.eat("with time zone") {
            name.push_str("tz");
        }
        words.eat("without time zone");
    }
    while words.eat("array") || words.eat_symbol(b'[') {
        while words
            .0
            .first()
            .is_some_and(|token| token.kind == TokenKind::Number)
        {
            words.skip_one();
        }
        words.eat_symbol(b']');
        if !name.starts_with('_') {
            name.insert(0, '_');
        }
    }
    (name, modifiers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Token, Tokens};

    #[test]
    fn a_type_is_named_as_the_catalog_names_it() {
        for (text, name, modifiers) in [
            ("integer", "int4", &[][..]),
            ("double precision", "float8", &[]),
            ("decimal(8, 2)", "numeric", &[8, 2]),
            ("character varying(20)", "varchar", &[20]),
            ("char", "bpchar", &[1]),
            ("timestamp(3) with time zone", "timestamptz", &[3]),
            ("time without time zone", "time", &[]),
            ("pg_catalog.int[][3]", "_int4", &[]),
            ("text array[2]", "_text", &[]),
            ("\"Own\"", "Own", &[]),
        ] {
            let tokens: Vec<Token> = Tokens::new(text, 0, false).collect();
            let mut words = Words(&tokens);
            assert_eq!(
                take(&mut words),
                (name.to_string(), modifiers.to_vec()),
                "{text}"
            );
            assert!(words.0.is_empty(), "{text}");
        }
    }
}
