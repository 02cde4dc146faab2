//! Why a script stopped, with its place in the file: line and column, and the line itself.
//!
//! Postgres counts in what it was sent: a statement, or the body of a DO block or a function. Knows
//! where these stand in the file.

use super::files::Script;
use super::sql::{Place, Statement};
use crate::Failure;
use crate::database::describe;
use postgres::error::{DbError, ErrorPosition};
use std::path::Path;

/// Why no more of a run is done.
pub enum Stop {
    /// It failed, and the invocation with it.
    Failed(Failure),
    /// The invocation's time is over. What was begun is rolled back. Perhaps others were in the way.
    OutOfTime(Option<String>),
    /// The server refused a statement, or something between them, or is gone. Not yet a failure:
    /// some of these pass.
    Refused(Option<usize>, postgres::Error),
}

impl From<postgres::Error> for Stop {
    fn from(error: postgres::Error) -> Stop {
        Stop::Refused(None, error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

/// The longest part of a line that is shown, in characters.
const SHOWN: usize = 100;

/// The failure of a statement, or of the whole script; `outcome` says what became of it.
pub fn failed(
    script: &Script,
    statements: &[Statement],
    at: Option<usize>,
    error: &postgres::Error,
    outcome: &str,
) -> Failure {
    let path = script.path.display();
    let Some(statement) = at.and_then(|at| statements.get(at)) else {
        let message = format!("failed to apply `{path}`, {outcome}");
        return Failure::new("Function.MigrationFailed", message).because(describe(error));
    };
    let offset = offset(script, statements, statement, error);
    let place = Place::of(&script.text, offset);
    let message = format!("failed to apply `{path}:{place}`, {outcome}");
    let cause = format!("{}{}", describe(error), excerpt(&script.text, offset));
    Failure::new("Function.MigrationFailed", message).because(cause)
}

/// The answer to COMMIT did not arrive.
pub fn lost(path: &Path, error: &postgres::Error) -> Failure {
    let path = path.display();
    let message = format!(
        "failed to learn whether `{path}` was committed, which {{\"action\":\"status\"}} tells"
    );
    Failure::new("Function.MigrationFailed", message).because(describe(error))
}

/// The byte of the text that the error is about.
fn offset(
    script: &Script,
    statements: &[Statement],
    statement: &Statement,
    error: &postgres::Error,
) -> usize {
    let Some(error) = error.as_db_error() else {
        return statement.span.start;
    };
    if let Some(ErrorPosition::Original(character)) = error.position() {
        let sent = &script.text[statement.span.clone()];
        return statement.span.start + nth_character(sent, (*character as usize).saturating_sub(1));
    }
    in_copied_data(script, statement, error)
        .or_else(|| in_a_body(script, statements, statement, error))
        .unwrap_or(statement.span.start)
}

/// `COPY t, line 3, column x: "…"`: a line of the data.
fn in_copied_data(script: &Script, statement: &Statement, error: &DbError) -> Option<usize> {
    let data = statement.data.clone()?;
    let (_, rest) = error.where_()?.split_once(", line ")?;
    let line = number(rest)?;
    Some(data.start + start_of_line(&script.text[data], line))
}

/// `PL/pgSQL function f(integer) line 4 at RAISE`: the innermost that this file has written.
fn in_a_body(
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
        let written = match name {
            "inline_code_block" => statement,
            _ => creates(script, statements, statement, name.split('(').next()?)?,
        };
        let sent = &script.text[written.span.clone()];
        let body = body(sent)?;
        let start = body + start_of_line(&sent[body..], line);
        let indent = sent[start..].len() - sent[start..].trim_start().len();
        Some(written.span.start + start + indent)
    })
}

/// The last statement before this one that writes a function of that name.
fn creates<'a>(
    script: &Script,
    statements: &'a [Statement],
    before: &Statement,
    name: &str,
) -> Option<&'a Statement> {
    let bare = name.rsplit('.').next()?.trim_matches('"');
    let earlier = statements
        .iter()
        .take_while(|one| one.span.start <= before.span.start);
    earlier
        .filter(|one| one.keyword() == "create")
        .filter(|one| {
            let sent = &script.text[one.span.clone()];
            let head = body(sent).map_or("", |body| &sent[..body]).to_lowercase();
            let named = |rest: &str| {
                let rest = rest.trim_start().split('(').next().unwrap_or_default();
                rest.rsplit('.')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .trim_matches('"')
                    == bare.to_lowercase()
            };
            ["function", "procedure"]
                .iter()
                .any(|kind| head.split_once(kind).is_some_and(|(_, rest)| named(rest)))
        })
        .last()
}

/// Where a dollar-quoted body begins in a statement, behind its opening quote.
fn body(sent: &str) -> Option<usize> {
    let open = sent.find('$')?;
    let close = sent[open + 1..].find('$')?;
    Some(open + close + 2)
}

/// Where a line begins, counted from 1.
fn start_of_line(text: &str, line: usize) -> usize {
    let before = text.match_indices('\n').nth(line.wrapping_sub(2));
    before.map_or(0, |(newline, _)| newline + 1)
}

fn number(text: &str) -> Option<usize> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn nth_character(text: &str, nth: usize) -> usize {
    text.char_indices()
        .nth(nth)
        .map_or(text.len(), |(offset, _)| offset)
}

/// The line with a caret under the place, as psql shows it; nothing where a password may stand.
fn excerpt(text: &str, offset: usize) -> String {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if line.trim().is_empty() || line.to_lowercase().contains("password") {
        return String::new();
    }
    let column = text[start..offset].chars().count();
    let cut = column.saturating_sub(SHOWN / 2);
    let shown: String = line.chars().skip(cut).take(SHOWN).collect();
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
    fn a_long_line_is_shown_around_its_place() {
        let text = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let excerpt = excerpt(&text, 500);
        let lines: Vec<&str> = excerpt.lines().collect();
        assert_eq!(lines[1].len(), 4 + SHOWN);
        assert_eq!(lines[1].find('!'), lines[2].find('^'));
    }

    #[test]
    fn a_line_of_a_body_is_counted_from_its_quote() {
        let sent = "do $x$\nbegin\n  perform 1;\nend $x$";
        let body = body(sent).expect("it has one");
        assert_eq!(
            &sent[body + start_of_line(&sent[body..], 3)..][..9],
            "  perform"
        );
        assert_eq!(start_of_line(&sent[body..], 1), 0);
    }
}
