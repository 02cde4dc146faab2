//! Makes the history agree with the files, after a person has looked at both.

use super::files::{self, Version};
use super::history::{self, Entry};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::{App, Failure, Invocation};
use serde_json::{Value, json};
use std::time::Duration;

/// Takes the checksums of edited files, and forgets what has no file any more; answers
/// `{"edited":[versions],"missing":[versions]}`. Runs no file.
///
/// # Errors
/// `Function.InvalidMigrations`, `Function.HistoryUnavailable`, those of the lock.
pub fn repair(app: &App, invocation: &Invocation) -> Result<Value, Failure> {
    let files = files::migrations(&app.settings.migrations_dir)?;
    let mut session = Session::open(app, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?);
    let (mut edited, mut missing) = (Vec::new(), Vec::new());
    session.step().map_err(history::unavailable)?;
    for row in &status.applied {
        let file = Version::read(&row.version).and_then(|version| status.files.get(&version));
        match file {
            None => {
                let removal = history::remove(&row.version);
                session
                    .batch_execute(&removal)
                    .map_err(history::unavailable)?;
                missing.push(&row.version);
            }
            Some(file) if file.up.sha256() != row.sha256 => {
                let entry = Entry {
                    migration: file,
                    sha256: file.up.sha256(),
                    took: Duration::ZERO,
                    statements: Steps::of(&file.up)?.statements.len(),
                    begun: false,
                    run: &row.run,
                    finished: true,
                };
                let written = history::put(&entry);
                session
                    .batch_execute(&written)
                    .map_err(history::unavailable)?;
                edited.push(&row.version);
            }
            Some(_) => {}
        }
    }
    session.commit().map_err(history::unavailable)?;
    Ok(json!({"edited": edited, "missing": missing}))
}
