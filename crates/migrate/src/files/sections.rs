//! Splits a file at the marks that other tools write into comments: the section that goes up, the
//! one that goes down, and whether each runs in a transaction.
//!
//! goose, sql-migrate, micrate, dbmate, tern, node-pg-migrate, MyBatis, sqlx, graphile-migrate and
//! atlas look for marks line by line, even inside a string or a function's body, and so does this
//! file. Must not know the statements of a file.

use std::ops::Range;

/// The sections of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sections {
    /// The section that applies the migration; the whole file if it has no marks.
    pub up: Section,
    /// The section that rolls the migration back.
    pub down: Option<Section>,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// The bytes of the section.
    pub span: Range<usize>,
    /// Whether the section may run in a transaction.
    pub transaction: bool,
}

/// A mark in a comment.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    /// The section that goes up begins.
    Up { transaction: bool },
    /// The section that goes down begins.
    Down { transaction: bool },
    /// The whole file runs without a transaction.
    NoTransaction,
    /// The section that holds the mark runs without a transaction.
    NoTransactionHere,
    /// The whole file runs without a transaction, if only comments are before the mark.
    NoTransactionAtTop,
    /// The mark changes how the file runs in a way that is not supported. Holds the reason.
    Refused(&'static str),
}

/// Splits a file into its sections.
///
/// # Errors
/// The byte at which a mark is refused, and the reason.
pub(super) fn read(text: &str) -> Result<Sections, (usize, &'static str)> {
    let mut up: Option<Section> = None;
    let mut down: Option<Section> = None;
    let mut whole = Section {
        span: 0..text.len(),
        transaction: true,
    };
    let mut at = 0;
    let mut is_top = true;
    for line in text.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        let line = line.trim();
        let Some(comment) = line.strip_prefix("--") else {
            is_top &= line.is_empty();
            continue;
        };
        match mark(comment) {
            None => {}
            Some(Mark::Refused(reason)) => return Err((begin, reason)),
            Some(Mark::Up { .. }) if down.is_some() => {
                return Err((begin, "the part that goes up must come first"));
            }
            Some(Mark::Up { .. }) if up.is_some() => return Err((begin, "a second part goes up")),
            Some(Mark::Up { transaction }) if is_top => {
                let span = at..text.len();
                up = Some(Section { span, transaction });
            }
            Some(Mark::Up { .. }) => {
                return Err((
                    begin,
                    "statements before it belong to no part: move them after it",
                ));
            }
            Some(Mark::Down { .. }) if down.is_some() => {
                return Err((begin, "a second part goes down"));
            }
            Some(Mark::Down { transaction }) => {
                up.get_or_insert_with(|| whole.clone()).span.end = begin;
                let span = at..text.len();
                down = Some(Section { span, transaction });
            }
            Some(Mark::NoTransactionAtTop) if !is_top => {}
            Some(Mark::NoTransaction | Mark::NoTransactionAtTop) => whole.transaction = false,
            Some(Mark::NoTransactionHere) => {
                let section = down.as_mut().or(up.as_mut()).unwrap_or(&mut whole);
                section.transaction = false;
            }
        }
    }
    // A mark for the whole file may come after the sections' marks.
    let with_mark_of_file = |section: Section| Section {
        transaction: section.transaction && whole.transaction,
        ..section
    };
    Ok(Sections {
        up: up.map_or(whole.clone(), with_mark_of_file),
        down: down.map(with_mark_of_file),
    })
}

/// Reads the mark in a comment, if there is one; `comment` begins after the first two dashes.
fn mark(comment: &str) -> Option<Mark> {
    let comment = comment.trim_matches([' ', '\t', '-', '!']);
    // A longer comment is prose.
    if comment.len() > 100 {
        return None;
    }
    let comment = comment.to_ascii_lowercase();
    let mut words = comment.split_ascii_whitespace();
    let first = words.next()?;
    let second = words.next().unwrap_or("");
    match (first, second) {
        ("+goose" | "+migrate" | "+micrate", "up") => Some(Mark::Up {
            transaction: !words.any(|word| word == "notransaction"),
        }),
        ("+goose" | "+migrate" | "+micrate", "down") => Some(Mark::Down {
            transaction: !words.any(|word| word == "notransaction"),
        }),
        ("+goose", "no") => Some(Mark::NoTransaction),
        ("+goose", "envsub") if words.next() == Some("on") => Some(Mark::Refused(
            "variables of the environment are not put into SQL: write their values",
        )),
        ("migrate:up", _) => Some(Mark::Up {
            transaction: !comment.contains("transaction:false"),
        }),
        ("migrate:down", _) => Some(Mark::Down {
            transaction: !comment.contains("transaction:false"),
        }),
        ("up", "migration") if words.next().is_none() => Some(Mark::Up { transaction: true }),
        ("down", "migration") if words.next().is_none() => Some(Mark::Down { transaction: true }),
        ("create", "above") if comment == "create above / drop below" => {
            Some(Mark::Down { transaction: true })
        }
        ("//@undo" | "@undo", "") => Some(Mark::Down { transaction: true }),
        ("tern:", "disable-tx") => Some(Mark::NoTransactionHere),
        ("no-transaction", _) => Some(Mark::NoTransactionAtTop),
        ("atlas:txmode", "none") => Some(Mark::NoTransaction),
        // A delimiter that is a comment does not change how the statements are split.
        ("atlas:delimiter", delimiter) if !delimiter.is_empty() && !delimiter.starts_with("--") => {
            Some(Mark::Refused(
                "delimiters of atlas are not read: end each statement with a semicolon",
            ))
        }
        ("atlas:checkpoint", _) => Some(Mark::Refused(
            "a checkpoint of atlas repeats the migrations before it: remove one or the other",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the text of each section, with `!` before it if it has no transaction.
    #[track_caller]
    fn check(text: &str, up: &str, down: Option<&str>) {
        let show = |section: &Section| {
            let mark = if section.transaction { "" } else { "!" };
            format!("{mark}{}", text[section.span.clone()].trim())
        };
        let sections = read(text).expect("nothing is wrong");
        assert_eq!(show(&sections.up), up, "{text}");
        assert_eq!(sections.down.as_ref().map(show).as_deref(), down, "{text}");
    }

    #[test]
    fn a_file_without_marks_goes_up() {
        check(
            "select 1;\n-- +goosey up\n-- migrate\n",
            "select 1;\n-- +goosey up\n-- migrate",
            None,
        );
        check("", "", None);
    }

    #[test]
    fn marks_of_goose_and_sql_migrate_are_read() {
        check("-- +goose Up\na;\n-- +goose Down\nb;\n", "a;", Some("b;"));
        check(
            "\r\n-- so\r\n--+goose up\r\na;\r\n--  +goose DOWN\r\n",
            "a;",
            Some(""),
        );
        check(
            "-- +goose NO TRANSACTION\n-- +goose Up\na;\n-- +goose Down\nb;",
            "!a;",
            Some("!b;"),
        );
        check(
            "-- +goose Up\na;\n-- +goose NO TRANSACTION\nb;",
            "!a;\n-- +goose NO TRANSACTION\nb;",
            None,
        );
        check(
            "-- +goose Up\n-- +goose StatementBegin\na;\n-- +goose StatementEnd\n",
            "-- +goose StatementBegin\na;\n-- +goose StatementEnd",
            None,
        );
        check(
            "-- +migrate Up notransaction\na;\n-- +migrate Down\nb;",
            "!a;",
            Some("b;"),
        );
    }

    #[test]
    fn marks_of_dbmate_are_read() {
        check("-- migrate:up\na;\n-- migrate:down\nb;", "a;", Some("b;"));
        check(
            "-- migrate:up transaction:false\na;\n\n--migrate:down  transaction:false",
            "!a;",
            Some("!"),
        );
    }

    #[test]
    fn marks_of_tern_node_pg_migrate_and_mybatis_are_read() {
        check(
            "a;\n---- create above / drop below ----\nb;",
            "a;",
            Some("b;"),
        );
        check(
            "---- tern: disable-tx ----\na;\n---- create above / drop below ----\nb;",
            "!---- tern: disable-tx ----\na;",
            Some("!b;"),
        );
        check(
            "a;\n---- create above / drop below ----\n---- tern: disable-tx ----\nb;",
            "a;",
            Some("!---- tern: disable-tx ----\nb;"),
        );
        check(
            "-- Up Migration\na;\n-- Down Migration\nb;",
            "a;",
            Some("b;"),
        );
        check("-- // x\na;\n-- //@UNDO\nb;", "-- // x\na;", Some("b;"));
    }

    #[test]
    fn marks_for_the_whole_file_are_read() {
        for text in [
            "-- no-transaction\na;",
            "-- about\n\n--no-transaction so\na;",
            "--! no-transaction\na;",
            "-- atlas:txmode none\na;",
        ] {
            assert!(
                !read(text).expect("nothing is wrong").up.transaction,
                "{text}"
            );
        }
        for text in [
            "a;\n-- no-transaction\n",
            "-- atlas:txmode file\na;",
            "-- no transaction",
        ] {
            assert!(
                read(text).expect("nothing is wrong").up.transaction,
                "{text}"
            );
        }
        assert!(read("-- atlas:delimiter -- end\na;\n-- end").is_ok());
    }

    #[test]
    fn a_mark_in_the_wrong_place_or_without_support_is_refused() {
        for (text, at, says) in [
            ("a;\n-- +goose Up\nb;", 3, "before it"),
            ("-- +goose Up\n-- +goose Up\n", 13, "second"),
            ("-- +goose Down\n-- +goose Down\n", 15, "second"),
            ("-- +goose Down\n-- +goose Up\n", 15, "first"),
            ("-- +goose ENVSUB ON\n", 0, "environment"),
            ("-- atlas:delimiter \\n\\n\n", 0, "semicolon"),
            ("-- atlas:checkpoint\n", 0, "checkpoint"),
        ] {
            let (found, reason) = read(text).expect_err("it is refused");
            assert_eq!(found, at, "{text}");
            assert!(reason.contains(says), "{reason}");
        }
    }
}
