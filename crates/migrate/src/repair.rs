//! The action `repair`: makes the history agree with the files, after a person has compared both.
//!
//! Must never run a file.

use super::files::{self, Version};
use super::history::{self, Entry};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::Migrator;
use handler::{Failure, Invocation};
use serde_json::{Value, json};
use std::time::Duration;

/// Records the checksums of edited files, and deletes the rows of missing files; answers
/// `{"edited":[version…],"missing":[version…]}`.
///
/// # Errors
/// `Function.InvalidMigrations`; `Function.HistoryUnavailable`; those of [`Session::open`].
pub(crate) fn repair(migrator: &Migrator, invocation: &Invocation) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    let (mut edited, mut missing) = (Vec::new(), Vec::new());
    session.begin_step().map_err(history::unavailable)?;
    for row in &status.applied {
        let file = Version::read(&row.version).and_then(|version| status.files.get(&version));
        match file {
            None => {
                let statement = history::remove(&row.version);
                session
                    .batch_execute(&statement)
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
                let statement = history::put(&entry);
                session
                    .batch_execute(&statement)
                    .map_err(history::unavailable)?;
                edited.push(&row.version);
            }
            Some(_) => {}
        }
    }
    session.commit().map_err(history::unavailable)?;
    Ok(json!({"edited": edited, "missing": missing}))
}
