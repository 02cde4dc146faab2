//! Reads the mark of a file that runs in batches, and checks the file's statement.
//!
//! The mark is a comment before the statement: `-- batched: orders by id`, optionally followed by
//! `, 1000 rows`. Must not know any database.

use super::Script;
use crate::sql::{Statement, WrongBounds, changes_table, check_bounds, folded};
use handler::Failure;

/// What a file's mark says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The table that is passed through, as it is written.
    pub table: String,
    /// The column by which the table is passed through, as Postgres compares names.
    pub key: String,
    /// The most rows of a batch, if the mark limits them.
    pub most: Option<u64>,
    /// Whether the statement changes or deletes rows of that very table.
    pub changes_table: bool,
}

const FORM: &str = "write `-- batched: <table> by <column>`, and after it `, <number> rows` if a \
    batch may have no more";

/// Reads the mark of a script; `None` if the script has none.
///
/// # Errors
/// `Function.InvalidMigrations` with the place of a mark or a statement that cannot be understood.
pub(super) fn read(script: &Script, statements: &[Statement]) -> Result<Option<Mark>, Failure> {
    let first = statements
        .first()
        .map_or(script.section.end, |one| one.span.start);
    let head = &script.text[script.section.start..first];
    let found = head.lines().find_map(|line| {
        let comment = line.trim_start().strip_prefix("--")?.trim_start();
        let mark = comment.strip_prefix("batched:")?;
        Some((
            line.as_ptr().addr() - script.text.as_ptr().addr(),
            mark.trim(),
        ))
    });
    let Some((at, text)) = found else {
        return Ok(None);
    };
    let mut mark = parse(text).ok_or_else(|| script.error_at(at, FORM))?;
    let [statement] = statements else {
        let reason = "a file that runs in batches has exactly one statement; move the others into \
                      files of their own";
        return Err(script.error_at(at, reason));
    };
    let start = statement.span.start;
    if !matches!(statement.keyword(), "update" | "delete" | "insert" | "with") {
        let reason = "only UPDATE, DELETE and INSERT … SELECT run in batches";
        return Err(script.error_at(start, reason));
    }
    let sent = &script.text[statement.span.clone()];
    let key = &mark.key;
    check_bounds(sent, key).map_err(|wrong| match wrong {
        WrongBounds::Missing => {
            let reason = format!("it does not say which rows a batch has: add `WHERE {key} BETWEEN $1 AND $2`");
            script.error_at(start, &reason)
        }
        WrongBounds::Elsewhere(at) => {
            let reason = format!(
                "$1 and $2 are the first and the last `{key}` of a batch, both included: write \
                 `{key} BETWEEN $1 AND $2`"
            );
            script.error_at(start + at, &reason)
        }
        WrongBounds::LeavesOut(at) => {
            let reason = "it leaves rows of a batch out, and no later batch has them; remove it";
            script.error_at(start + at, reason)
        }
        WrongBounds::SetsKey(at) => {
            let reason = format!("it changes `{key}`, by which the table is passed through, so a row could be met twice");
            script.error_at(start + at, &reason)
        }
    })?;
    mark.changes_table = changes_table(sent, &mark.table);
    Ok(Some(mark))
}

fn parse(text: &str) -> Option<Mark> {
    let by = text.to_ascii_lowercase().rfind(" by ")?;
    let (table, rest) = (text[..by].trim(), text[by + 4..].trim());
    let (key, most) = match rest.split_once(',') {
        None => (rest, None),
        Some((key, most)) => {
            let rows = most.trim().strip_suffix("rows")?.trim_end();
            let most: u64 = rows.parse().ok()?;
            (key.trim(), Some(most).filter(|most| *most > 0)?.into())
        }
    };
    let is_one_name = !key.is_empty() && (key.starts_with('"') || !key.contains(['.', ' ', '(']));
    (is_one_name && !table.is_empty()).then(|| Mark {
        table: table.to_string(),
        key: folded(key),
        most,
        changes_table: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Option<Mark>, String> {
        let script = Script {
            path: "1_a.sql".into(),
            section: 0..text.len(),
            text: text.to_string(),
            transaction: true,
        };
        let statements = script.statements().expect("it is SQL");
        read(&script, &statements).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_mark_names_the_table_the_key_and_the_most_rows() {
        let statement = "update app.t set a = 1 where \"Id\" between $1 and $2";
        let check = |mark: &str, most| {
            let found = read_text(&format!("-- about\n{mark}\n{statement}"));
            let expected = Mark {
                table: "app.t".to_string(),
                key: "Id".to_string(),
                most,
                changes_table: true,
            };
            assert_eq!(found, Ok(Some(expected)), "{mark}");
        };
        check("-- batched: app.t by \"Id\"", None);
        check("  --batched: app.t BY \"Id\", 50 rows", Some(50));
        assert_eq!(read_text(&format!("-- by batched:\n{statement}")), Ok(None));
        assert_eq!(read_text(&format!("{statement};\n-- batched: x")), Ok(None));
    }

    #[test]
    fn a_mark_or_a_statement_that_is_not_understood_is_refused_with_its_place() {
        let good = "delete from t where id between $1 and $2";
        for (text, place, says) in [
            (format!("-- batched: t\n{good}"), "1:1", "by <column>"),
            (
                format!("-- batched: t by a, b\n{good}"),
                "1:1",
                "by <column>",
            ),
            (
                format!("-- batched: t by id, 0 rows\n{good}"),
                "1:1",
                "rows",
            ),
            (
                format!("-- batched: t by t.id\n{good}"),
                "1:1",
                "by <column>",
            ),
            (
                format!("-- batched: t by id\n{good}; {good}"),
                "1:1",
                "one statement",
            ),
            ("-- batched: t by id\n".to_string(), "1:1", "one statement"),
            (
                "-- batched: t by id\nvacuum t".to_string(),
                "2:1",
                "only UPDATE",
            ),
            (
                "-- batched: t by id\ndelete from t".to_string(),
                "2:1",
                "BETWEEN",
            ),
            (format!("-- batched: t by no\n{good}"), "2:32", "`no`"),
            (
                "-- batched: t by id\nupdate t set id = 1 where id between $1 and $2".to_string(),
                "2:14",
                "twice",
            ),
        ] {
            let failure = read_text(&text).expect_err("it is refused");
            assert!(failure.contains(&format!("1_a.sql:{place}`")), "{failure}");
            assert!(failure.contains(says), "{failure}");
        }
    }
}
