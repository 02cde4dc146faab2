//! Turns a Postgres error into a failure that names the file, the line, the column and the line's
//! text.
//!
//! Postgres counts positions in the text that it was sent: a statement, or the body of a DO block or
//! a function. This file maps such a position to one in the file. Must not decide whether a run
//! goes on after an error.

use super::files::Script;
use super::sql::{Place, Statement};
use database::describe;
use handler::{Failure, Kind};
use postgres::error::{DbError, ErrorPosition, Severity, SqlState};
use std::path::Path;

/// Why a run stopped.
pub(crate) enum RunError {
    /// The run failed, and the invocation fails with this.
    Failed(Failure),
    /// The invocation's time is over, and the open transaction is rolled back. Holds the sessions
    /// that blocked the run, if there were any.
    OutOfTime(Option<String>),
    /// Postgres returned an error, or the connection broke: at a statement, or between two
    /// statements. Not a failure yet: `apply` tries some of these again.
    Refused(Option<Sent>, postgres::Error),
}

/// A statement that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// The index of the statement.
    pub at: usize,
    /// The first byte of the script's text in the message: Postgres counts positions from there.
    pub start: usize,
}

impl From<postgres::Error> for RunError {
    fn from(error: postgres::Error) -> RunError {
        RunError::Refused(None, error)
    }
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> RunError {
        RunError::Failed(failure)
    }
}

/// The length of an excerpt from a line, in characters.
const EXCERPT_LENGTH: usize = 100;

/// Returns the failure of a statement, or of the whole script where there is none.
/// `outcome` says what happened to the statements before the error.
pub(crate) fn failed(
    script: &Script,
    statements: &[Statement],
    sent: Option<Sent>,
    error: &postgres::Error,
    outcome: &str,
) -> Failure {
    let path = script.path.display();
    let Some((statement, start)) = sent.map(|sent| (&statements[sent.at], sent.start)) else {
        let message = format!("failed to apply `{path}`, {outcome}");
        return Failure::new(Kind::MigrationFailed, message).with_source(describe(error));
    };
    let offset = offset(script, statements, statement, start, error);
    let place = Place::of(&script.text, offset);
    let message = format!("failed to apply `{path}:{place}`, {outcome}");
    let begin = match Place::of(&script.text, statement.span.start) {
        begin if begin.line == place.line => String::new(),
        begin => format!("; the statement begins at `{path}:{begin}`"),
    };
    let hint = match is_semicolon_missing(&script.text, statement, offset, error) {
        true => "; is a `;` missing before the place?".to_string(),
        false => former_tool(error),
    };
    let excerpt = excerpt(&script.text, offset);
    let cause = format!("{}{begin}{hint}{excerpt}", describe(error));
    Failure::new(Kind::MigrationFailed, message).with_source(cause)
}

/// The tables in which other tools keep their histories. Here they do not exist.
const TOOLS_TABLES: [&str; 9] = [
    "_prisma_migrations",
    "_sqlx_migrations",
    "__diesel_schema_migrations",
    "flyway_schema_history",
    "gorp_migrations",
    "goose_db_version",
    "pgmigrations",
    "schema_migrations",
    "schema_version",
];

/// Returns what to do about an error that the table of the file's former tool is missing; nothing
/// for any other error.
fn former_tool(error: &postgres::Error) -> String {
    let is_missing = error.code() == Some(&SqlState::UNDEFINED_TABLE);
    let message = error.as_db_error().map_or("", DbError::message);
    let table = TOOLS_TABLES.iter().find(|table| message.contains(**table));
    match table.filter(|_| is_missing) {
        Some(table) => format!(
            "; `{table}` is the history of the file's former tool, and plain_lambda.migrations is the \
             one here: remove the statement"
        ),
        None => String::new(),
    }
}

/// Returns whether a syntax error is at the first word of a line after the statement's first, and the
/// word is one that many statements begin with.
fn is_semicolon_missing(
    text: &str,
    statement: &Statement,
    offset: usize,
    error: &postgres::Error,
) -> bool {
    const WORDS: [&str; 12] = [
        "alter", "comment", "copy", "create", "delete", "do", "drop", "grant", "insert", "select",
        "truncate", "update",
    ];
    let before = &text[statement.span.start.min(offset)..offset];
    let line = before.rsplit_once('\n').map(|(_, indent)| indent);
    let word = text[offset..]
        .split(|letter: char| !letter.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    error.code() == Some(&SqlState::SYNTAX_ERROR)
        && line.is_some_and(|indent| indent.trim().is_empty())
        && WORDS.contains(&word.to_lowercase().as_str())
}

/// Returns the error of a message with a COMMIT: Postgres's own if it refused the message, so that
/// nothing is committed; else the failure of a COMMIT whose answer did not arrive.
pub(crate) fn of_commit(path: &Path, error: postgres::Error) -> RunError {
    let server = error.as_db_error();
    if server.is_some_and(|error| error.parsed_severity() == Some(Severity::Error)) {
        return RunError::Refused(None, error);
    }
    let path = path.display();
    let message = format!(
        "failed to learn whether `{path}` was committed; the next run finds out and goes on: invoke \
         again"
    );
    RunError::Failed(Failure::new(Kind::CommitInDoubt, message).with_source(describe(&error)))
}

/// Returns the byte of the script's text that the error is about; the first byte of the statement
/// where Postgres names no position.
fn offset(
    script: &Script,
    statements: &[Statement],
    statement: &Statement,
    start: usize,
    error: &postgres::Error,
) -> usize {
    if let Some(offset) = position(script, start, error) {
        return offset.min(statement.span.end);
    }
    let Some(error) = error.as_db_error() else {
        return statement.span.start;
    };
    offset_in_copied_data(script, statement, error)
        .or_else(|| offset_in_body(script, statements, statement, error))
        .unwrap_or(statement.span.start)
}

/// Returns the byte of the script's text at the position that Postgres names. `start` is the first byte
/// of the text in the message that was sent.
pub(crate) fn position(script: &Script, start: usize, error: &postgres::Error) -> Option<usize> {
    match error.as_db_error()?.position()? {
        ErrorPosition::Original(character) => {
            let nth = (*character as usize).saturating_sub(1);
            Some(start + nth_character(&script.text[start..], nth))
        }
        ErrorPosition::Internal { .. } => None,
    }
}

/// Finds the line of COPY's data that the error's context names: `COPY t, line 3, column x: "…"`.
fn offset_in_copied_data(script: &Script, statement: &Statement, error: &DbError) -> Option<usize> {
    let data = statement.data.clone()?;
    let (_, rest) = error.where_()?.split_once(", line ")?;
    let line = number(rest)?;
    Some(data.start + start_of_line(&script.text[data], line))
}

/// Finds the line of a PL/pgSQL body that the error's context names, such as
/// `PL/pgSQL function f(integer) line 4 at RAISE`. Takes the innermost function that this file
/// creates.
fn offset_in_body(
    script: &Script,
    statements: &[Statement],
    statement: &Statement,
    error: &DbError,
) -> Option<usize> {
    error.where_()?.lines().find_map(|frame| {
        let (name, rest) = frame
            .strip_prefix("PL/pgSQL function ")?
            .split_once(" line ")?;
        let line = number(rest)?;
        let source = match name {
            "inline_code_block" => statement,
            _ => creating_statement(script, statements, statement, name)?,
        };
        let sent = &script.text[source.span.clone()];
        let body = source.routine(&script.text)?.body;
        let start = body + start_of_line(&sent[body..], line);
        let indent = sent[start..].len() - sent[start..].trim_start().len();
        Some(source.span.start + start + indent)
    })
}

/// Finds the last statement up to `failed` that creates the function or procedure which Postgres
/// calls `name`: `f(integer)`, or `"F"()`, or `s.f()`.
fn creating_statement<'a>(
    script: &Script,
    statements: &'a [Statement],
    failed: &Statement,
    name: &str,
) -> Option<&'a Statement> {
    let end = match name.strip_prefix('"') {
        Some(rest) => rest.rfind("\"(").map_or(name.len(), |end| end + 2),
        None => name.find('(').unwrap_or(name.len()),
    };
    let bare = name[..end]
        .rsplit('.')
        .next()?
        .trim_matches('"')
        .replace("\"\"", "\"");
    let earlier = statements
        .iter()
        .take_while(|one| one.span.start <= failed.span.start);
    earlier
        .filter(|one| one.keyword() == "create")
        .filter(|one| {
            let routine = one.routine(&script.text);
            routine.and_then(|routine| routine.name).as_ref() == Some(&bare)
        })
        .last()
}

/// Returns the first byte of a line; lines are counted from 1.
fn start_of_line(text: &str, line: usize) -> usize {
    let before = text.match_indices('\n').nth(line.wrapping_sub(2));
    before.map_or(0, |(newline, _)| newline + 1)
}

/// Reads the number that the text begins with.
fn number(text: &str) -> Option<usize> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Returns the byte at which the nth character begins, counted from 0; the text's length if the
/// text is shorter.
fn nth_character(text: &str, nth: usize) -> usize {
    text.char_indices()
        .nth(nth)
        .map_or(text.len(), |(offset, _)| offset)
}

/// Returns the line with a caret under the place, as psql shows it; nothing if the line may hold a
/// password.
fn excerpt(text: &str, offset: usize) -> String {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if line.trim().is_empty() || line.to_lowercase().contains("password") {
        return String::new();
    }
    let column = text[start..offset].chars().count();
    let cut = column.saturating_sub(EXCERPT_LENGTH / 2);
    let shown: String = line.chars().skip(cut).take(EXCERPT_LENGTH).collect();
    let shown = shown.replace('\t', " ");
    let number = text[..offset].matches('\n').count() + 1;
    let label = format!("{number} | ");
    let indent = " ".repeat(label.len() + column - cut);
    format!("\n{label}{shown}\n{indent}^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_points_at_the_character_and_never_shows_a_password() {
        let text = "a;\n\tb öx;\n";
        let offset = text.find('x').expect("it is there");
        assert_eq!(excerpt(text, offset), "\n2 |  b öx;\n        ^");
        assert_eq!(excerpt("create role r PASSWORD 'x'", 0), "");
    }

    #[test]
    fn an_excerpt_of_a_long_line_is_the_part_around_the_place() {
        let text = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let excerpt = excerpt(&text, 500);
        let lines: Vec<&str> = excerpt.lines().collect();
        assert_eq!(lines[1].len(), 4 + EXCERPT_LENGTH);
        assert_eq!(lines[1].find('!'), lines[2].find('^'));
    }

    #[test]
    fn lines_are_counted_from_one() {
        let text = "\nbegin\n  perform 1;\nend ";
        assert_eq!(&text[start_of_line(text, 3)..][..9], "  perform");
        assert_eq!(start_of_line(text, 1), 0);
    }
}
