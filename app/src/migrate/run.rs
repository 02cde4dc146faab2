//! Applies the pending files: each in one transaction with its history row, under one lock.

use super::files::{self, Migration};
use super::lock::Locked;
use super::sql::{self, Place, Statement};
use super::{history, status};
use crate::database::describe;
use crate::{App, Failure, Invocation};
use postgres::error::ErrorPosition;
use postgres::{Client, Transaction};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::{Duration, Instant};

/// Applies every pending file in order; answers which.
///
/// # Errors
/// `Function.InvalidMigrations` before anything runs; `Function.MigrationFailed` with the place
/// and Postgres's own words, nothing of the failed file being applied; those of the lock.
pub fn migrate(app: &App, invocation: &Invocation) -> Result<Value, Failure> {
    let files = files::migrations(&app.settings.migrations_dir)?;
    let connection = app.database.connection(invocation)?;
    let mut client = Locked::acquire(connection, invocation)?;
    history::prepare(&mut client)?;
    let mut applied = Vec::new();
    for migration in status::pending(files, &history::applied(&mut client)?) {
        log::info!("applying {}", migration.path.display());
        let took = apply(&mut client, &migration)?;
        let ms = took.as_millis() as u64;
        log::info!("applied {} in {ms} ms", migration.path.display());
        applied.push(json!({"version": migration.version, "name": migration.name, "ms": ms}));
    }
    Ok(json!({"applied": applied, "pending": []}))
}

fn apply(client: &mut Client, migration: &Migration) -> Result<Duration, Failure> {
    let text = files::text(&migration.path)?;
    let sha256 = sha256_of_lines(&text);
    run_file(client, &migration.path, &text, |transaction, took| {
        history::record(transaction, migration, &sha256, took)
    })
}

/// Runs a file's statements and then `finish` in one transaction; returns how long the statements
/// took. BEGIN, each statement and COMMIT travel as messages of their own: were they one, the
/// server would go on and commit after we are killed.
///
/// # Errors
/// `Function.MigrationFailed`; the transaction is rolled back.
pub fn run_file(
    client: &mut Client,
    path: &Path,
    text: &str,
    finish: impl FnOnce(&mut Transaction, Duration) -> Result<(), postgres::Error>,
) -> Result<Duration, Failure> {
    let statements = sql::statements(text);
    refuse_own_transactions(path, text, &statements)?;
    let whole = |error| failed(&error, path.display().to_string());
    // Whatever the file before it has set for the session ends here.
    client.batch_execute("RESET ALL").map_err(whole)?;
    let mut transaction = client.transaction().map_err(whole)?;
    let started = Instant::now();
    for statement in &statements {
        transaction
            .batch_execute(&text[statement.span.clone()])
            .map_err(|error| {
                failed(
                    &error,
                    format!("{}:{}", path.display(), place(&error, text, statement)),
                )
            })?;
    }
    let took = started.elapsed();
    finish(&mut transaction, took).map_err(whole)?;
    transaction.commit().map_err(whole)?;
    Ok(took)
}

/// A file that commits for itself would be half applied when a later statement fails, and its
/// history row would stand alone.
fn refuse_own_transactions(
    path: &Path,
    text: &str,
    statements: &[Statement],
) -> Result<(), Failure> {
    let Some(own) = statements
        .iter()
        .find(|statement| statement.ends_or_begins_a_transaction())
    else {
        return Ok(());
    };
    let place = Place::of(text, own.span.start);
    let message = format!(
        "failed to apply `{}:{place}`: a file runs in a transaction of its own, so remove its {}",
        path.display(),
        own.keyword.to_uppercase()
    );
    Err(Failure::new("Function.MigrationFailed", message))
}

fn failed(error: &postgres::Error, place: String) -> Failure {
    let message = format!("failed to apply `{place}`, and rolled it back");
    Failure::new("Function.MigrationFailed", message).because(describe(error))
}

/// Where the server says the error is, else where the statement begins.
fn place(error: &postgres::Error, text: &str, statement: &Statement) -> Place {
    let position = error.as_db_error().and_then(|error| error.position());
    let Some(ErrorPosition::Original(character)) = position else {
        return Place::of(text, statement.span.start);
    };
    let before = (*character as usize).saturating_sub(1);
    let sent = &text[statement.span.clone()];
    let offset = sent
        .char_indices()
        .nth(before)
        .map_or(sent.len(), |(offset, _)| offset);
    Place::of(text, statement.span.start + offset)
}

/// The same for the same lines, whether a checkout ends them with LF or CRLF.
fn sha256_of_lines(text: &str) -> String {
    let digest = Sha256::digest(text.replace("\r\n", "\n").as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_endings_do_not_change_the_checksum() {
        assert_eq!(sha256_of_lines("a;\r\nb;\r\n"), sha256_of_lines("a;\nb;\n"));
        assert_ne!(sha256_of_lines("a;"), sha256_of_lines("b;"));
        // `printf 'abc' | sha256sum`
        assert!(sha256_of_lines("abc").starts_with("ba7816bf8f01cfea"));
    }
}
