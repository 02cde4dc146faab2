//! Decides where a half-applied file is resumed, and refuses one that cannot be.
//!
//! Must not run a statement.

use super::alone::Care;
use super::files::Migration;
use super::history::Applied;
use super::sql::Place;
use super::steps::{Resume, Steps};
use handler::{Failure, Kind};

/// Reads from the history's row where a file is resumed. `allow` answers what only a person can
/// know: `edited:VERSION`, and `again:VERSION` or `done:VERSION` of a statement that may be done.
///
/// # Errors
/// `Function.MigrationsDiffer` when the statements that have run were edited, because the next
/// statement is found by their number; or when it is not known whether the next one is done.
pub(crate) fn resume(
    migration: &Migration,
    steps: &Steps,
    row: &Applied,
    allow: &[String],
) -> Result<Resume, Failure> {
    let path = migration.up.path.display();
    let is_allowed = |what: &str| allow.contains(&format!("{what}:{}", row.version));
    let is_there = steps.from(row.statements).is_some();
    let is_same = || steps.sha256_until(&migration.up, row.statements) == row.sha256;
    if !is_there || !(is_same() || is_allowed("edited")) {
        let edited = match row.progress {
            None => format!("in its first {} statements", row.statements),
            Some(_) => "after some of its batches".to_string(),
        };
        let message = format!(
            "failed to resume `{path}`: it was edited {edited}, which have already run; put \
                 them back, or send \"allow\":[\"edited:{}\"]",
            row.version
        );
        return Err(Failure::new(Kind::MigrationsDiffer, message));
    }
    let mut resume = Resume {
        statement: row.statements,
        begun: row.begun.then(|| row.remembered.clone()),
    };
    let Some(next) = steps.statements.get(row.statements) else {
        return Ok(resume);
    };
    if !row.begun || !matches!(Care::of(next), Care::Ask) {
        return Ok(resume);
    }
    match (is_allowed("again"), is_allowed("done")) {
        (true, false) => resume.begun = None,
        (false, true) => (resume.statement, resume.begun) = (row.statements + 1, None),
        _ => {
            let place = Place::of(&migration.up.text, next.span.start);
            let version = &row.version;
            let message = format!(
                "failed to resume `{path}:{place}`: a run ended in this statement, which commits \
                     in its middle, so it may have done all, some or nothing of its work; look at \
                     what it did, and send \"allow\":[\"again:{version}\"] to run it again, or \
                     \"allow\":[\"done:{version}\"] to go on behind it"
            );
            return Err(Failure::new(Kind::MigrationsDiffer, message));
        }
    }
    Ok(resume)
}
