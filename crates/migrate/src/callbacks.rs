//! Runs Flyway's callbacks that are SQL: `beforeMigrate`, `beforeEachMigrate`, `afterEachMigrate` and
//! `afterMigrate`.
//!
//! Each is a transaction of its own, and leaves no row in the history: a run that is killed may have
//! left one out, and the next run begins and ends with its own. A migration starts with the
//! connection's own settings, so a callback that sets some is refused. Must not know of migrations.

use crate::apply::{self, HistoryEffect};
use crate::error::RunError;
use crate::files::{Callbacks, Script};
use crate::session::Session;
use crate::steps::Steps;
use handler::Failure;
use std::path::Path;

/// The callbacks of a run, with their statements.
#[derive(Default)]
pub(crate) struct Around<'a> {
    before: Scripts<'a>,
    before_each: Scripts<'a>,
    after_each: Scripts<'a>,
    after: Scripts<'a>,
}

type Scripts<'a> = Vec<(&'a Script, Steps)>;

/// Why a callback failed, and its path.
type Outcome<'a> = Result<(), (RunError, &'a Path)>;

impl<'a> Around<'a> {
    /// Reads the callbacks' statements.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` with the place of a statement that must not run.
    pub(crate) fn of(callbacks: &'a Callbacks) -> Result<Around<'a>, Failure> {
        Ok(Around {
            before: read(&callbacks.before)?,
            before_each: read(&callbacks.before_each)?,
            after_each: read(&callbacks.after_each)?,
            after: read(&callbacks.after)?,
        })
    }

    /// Runs the callbacks before the first migration.
    ///
    /// # Errors
    /// That of a migration, with the callback's path.
    pub(crate) fn before(&self, session: &mut Session) -> Outcome<'a> {
        run_all(&self.before, session)
    }

    /// Runs the callbacks before a migration.
    ///
    /// # Errors
    /// As [`Around::before`].
    pub(crate) fn before_each(&self, session: &mut Session) -> Outcome<'a> {
        run_all(&self.before_each, session)
    }

    /// Runs the callbacks after a migration.
    ///
    /// # Errors
    /// As [`Around::before`].
    pub(crate) fn after_each(&self, session: &mut Session) -> Outcome<'a> {
        run_all(&self.after_each, session)
    }

    /// Runs the callbacks after the last migration.
    ///
    /// # Errors
    /// As [`Around::before`].
    pub(crate) fn after(&self, session: &mut Session) -> Outcome<'a> {
        run_all(&self.after, session)
    }
}

fn read(scripts: &[Script]) -> Result<Scripts<'_>, Failure> {
    let mut found = Vec::new();
    for script in scripts {
        let steps = Steps::of(script)?;
        for statement in &steps.statements {
            let sent = script.text[statement.span.clone()].to_lowercase();
            let second = sent.split_ascii_whitespace().nth(1).unwrap_or_default();
            let sets = match statement.keyword() {
                "set" => !matches!(second, "local" | "constraints" | "transaction"),
                "reset" | "prepare" | "listen" | "discard" => true,
                _ => sent.contains("set_config"),
            };
            if sets {
                let reason = "a migration starts with the connection's own settings, not with a \
                              callback's: write ALTER ROLE … SET, or set it in the migration";
                return Err(script.error_at(statement.span.start, reason));
            }
        }
        found.push((script, steps));
    }
    Ok(found)
}

fn run_all<'a>(scripts: &Scripts<'a>, session: &mut Session) -> Outcome<'a> {
    for (script, steps) in scripts {
        log::info!("running {}", script.path.display());
        apply::apply(session, script, steps, HistoryEffect::None, false)
            .map_err(|error| (error, script.path.as_path()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_that_sets_what_a_migration_would_not_see_is_refused() {
        let read = |text: &str| {
            read(&[Script {
                path: "beforeMigrate.sql".into(),
                section: 0..text.len(),
                text: text.to_string(),
                transaction: true,
            }])
            .map(|scripts| scripts.len())
            .map_err(|failure| failure.to_string())
        };
        for text in ["a;\nset role x", "a;\nselect set_config('a', 'b', false)"] {
            let failure = read(text).expect_err("it is refused");
            assert!(failure.contains("beforeMigrate.sql:2:1"), "{failure}");
        }
        assert_eq!(read("set local role x; grant a to b"), Ok(1));
    }
}
