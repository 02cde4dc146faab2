//! What is applied and what is pending.

use super::files::{self, Migration};
use super::history::{self, Applied};
use crate::{App, Failure, Invocation};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The migrations of a database and a directory.
pub struct Status {
    /// In the database's history, by version.
    pub applied: Vec<Applied>,
    /// On disk and not in the history, in the order in which they will be applied.
    pub pending: Vec<Migration>,
}

/// The status action: connects and compares.
///
/// # Errors
/// `Function.InvalidMigrations`, and those of connecting and reading.
pub fn status(app: &App, invocation: &Invocation) -> Result<Status, Failure> {
    compare(app, &mut *app.database.connection(invocation)?)
}

/// Compares the app's files with the history, on a connection at hand.
///
/// # Errors
/// As `status`.
pub fn compare(app: &App, client: &mut Client) -> Result<Status, Failure> {
    let files = files::migrations(&app.settings.migrations_dir)?;
    let applied = history::applied(client)?;
    let pending = pending(files, &applied);
    Ok(Status { applied, pending })
}

/// The files that the history does not have; versions are compared as numbers.
pub fn pending(files: Vec<Migration>, applied: &[Applied]) -> Vec<Migration> {
    let done: HashSet<&str> = applied
        .iter()
        .map(|applied| number(&applied.version))
        .collect();
    files
        .into_iter()
        .filter(|file| !done.contains(number(&file.version)))
        .collect()
}

fn number(version: &str) -> &str {
    version.trim_start_matches('0')
}

impl Status {
    /// `{"applied":[{"version","name","ms","at"}…],"pending":[{"version","name"}…]}`
    pub fn to_json(&self) -> Value {
        let applied: Vec<Value> = self
            .applied
            .iter()
            .map(
                |row| json!({"version": row.version, "name": row.name, "ms": row.ms, "at": row.at}),
            )
            .collect();
        let pending: Vec<Value> = self
            .pending
            .iter()
            .map(|file| json!({"version": file.version, "name": file.name}))
            .collect();
        json!({"applied": applied, "pending": pending})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_applied_however_many_zeros_lead_it() {
        let file = |version: &str| Migration {
            version: version.to_string(),
            name: "x".to_string(),
            path: "x".into(),
        };
        let applied = |version: &str| Applied {
            version: version.to_string(),
            name: "x".to_string(),
            ms: 0,
            at: String::new(),
        };
        let left = pending(
            vec![file("0001"), file("2"), file("10")],
            &[applied("1"), applied("2")],
        );
        assert_eq!(left, [file("10")]);
    }
}
