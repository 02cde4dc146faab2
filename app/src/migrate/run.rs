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
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Whatever a file has set for the session ends with it.
const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

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
    let mut pending = Vec::new();
    for migration in status::pending(files, &history::applied(&mut client)?) {
        let file = SqlFile::read(migration.path.clone())?;
        pending.push((migration, file));
    }
    let mut applied = Vec::new();
    for (migration, file) in &pending {
        log::info!("applying {}", file.path.display());
        let took = apply(&mut client, migration, file)?;
        let ms = took.as_millis() as u64;
        log::info!("applied {} in {ms} ms", file.path.display());
        applied.push(json!({"version": migration.version, "name": migration.name, "ms": ms}));
    }
    Ok(json!({"applied": applied, "pending": []}))
}

fn apply(client: &mut Client, migration: &Migration, file: &SqlFile) -> Result<Duration, Failure> {
    let sha256 = sha256_of_lines(&file.text);
    file.run(client, |transaction, took| {
        history::record(transaction, migration, &sha256, took)
    })
}

/// A file whose statements are known and may run in one transaction.
pub struct SqlFile {
    path: PathBuf,
    text: String,
    statements: Vec<Statement>,
}

impl SqlFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` when it cannot be read, or holds a statement that cannot be
    /// run: one that would end its transaction, or that wants data to follow.
    pub fn read(path: PathBuf) -> Result<SqlFile, Failure> {
        let text = files::text(&path)?;
        let statements = sql::statements(&text);
        let file = SqlFile {
            path,
            text,
            statements,
        };
        for statement in &file.statements {
            // A file that commits for itself would be half applied when a later statement fails,
            // and its history row would stand alone.
            if statement.ends_or_begins_a_transaction() {
                let keyword = statement.keyword().to_uppercase();
                let reason =
                    format!("it runs in a transaction of its own, so remove its {keyword}");
                return Err(file.refused(statement, &reason));
            }
            if statement.reads_standard_input() {
                return Err(file.refused(statement, "COPY FROM STDIN is not supported, use INSERT"));
            }
        }
        Ok(file)
    }

    /// Runs the statements and then `finish` in one transaction; returns how long the statements
    /// took. BEGIN, each statement and COMMIT travel as messages of their own: were they one, the
    /// server would go on and commit after we are killed.
    ///
    /// # Errors
    /// `Function.MigrationFailed`; the transaction is rolled back, unless the message says that
    /// this is not known.
    pub fn run(
        &self,
        client: &mut Client,
        finish: impl FnOnce(&mut Transaction, Duration) -> Result<(), postgres::Error>,
    ) -> Result<Duration, Failure> {
        let whole = |error| failed(&error, self.path.display().to_string());
        client.batch_execute(RESET).map_err(whole)?;
        let mut transaction = client.transaction().map_err(whole)?;
        let started = Instant::now();
        for statement in &self.statements {
            let sent = &self.text[statement.span.clone()];
            transaction.batch_execute(sent).map_err(|error| {
                let place = place(&error, &self.text, statement);
                failed(&error, format!("{}:{place}", self.path.display()))
            })?;
        }
        let took = started.elapsed();
        transaction.batch_execute(RESET).map_err(whole)?;
        finish(&mut transaction, took).map_err(whole)?;
        transaction
            .commit()
            .map_err(|error| match error.as_db_error() {
                Some(_) => failed(&error, self.path.display().to_string()),
                None => lost(&error, &self.path),
            })?;
        Ok(took)
    }

    fn refused(&self, statement: &Statement, reason: &str) -> Failure {
        let place = Place::of(&self.text, statement.span.start);
        let message = format!("failed to read `{}:{place}`: {reason}", self.path.display());
        Failure::new("Function.InvalidMigrations", message)
    }
}

fn failed(error: &postgres::Error, place: String) -> Failure {
    let message = format!("failed to apply `{place}`, and rolled it back");
    Failure::new("Function.MigrationFailed", message).because(describe(error))
}

/// The answer to COMMIT did not arrive.
fn lost(error: &postgres::Error, path: &Path) -> Failure {
    let path = path.display();
    let message = format!(
        "failed to learn whether `{path}` was committed, which {{\"action\":\"status\"}} tells"
    );
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
