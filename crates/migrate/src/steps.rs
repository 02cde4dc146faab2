//! Decides how a script runs: as one transaction, or as steps, where a killed run resumes at the
//! next step.
//!
//! Must not know any database: it only reads the statements.

use super::files::{Mark, Script, sha256_of_lines};
use super::sql::{Control, Statement};
use handler::Failure;
use std::ops::Range;

/// The statements of a script, and how they run.
pub(crate) struct Steps {
    /// All statements, including the script's own BEGIN and COMMIT, which are not sent.
    pub statements: Vec<Statement>,
    /// Whether all statements run in one transaction.
    pub single_transaction: bool,
    /// The mark of a script that runs in batches.
    pub batched: Option<Mark>,
}

/// The statements that run between two writes to the history, by their indexes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Statements that run in one transaction with their entry in the history.
    Together(Range<usize>),
    /// A statement that Postgres refuses to run in a transaction.
    Alone(usize),
}

impl Steps {
    /// Reads the statements of a script.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` with the place of a statement that must not run.
    pub(crate) fn of(script: &Script) -> Result<Steps, Failure> {
        let statements = script.statements()?;
        // The statement that began the transaction which is open.
        let mut open = None;
        for (at, statement) in statements.iter().enumerate() {
            let sent = &script.text[statement.span.clone()];
            let calls = matches!(statement.keyword(), "select" | "do" | "call");
            if calls && sent.to_lowercase().contains("pg_advisory_unlock_all") {
                let reason = "it would release the lock of the migration run; unlock by key";
                return Err(script.error_at(statement.span.start, reason));
            }
            match statement.control() {
                Some(Control::Begin) => open = open.or(Some(at)),
                Some(Control::Commit) => open = None,
                Some(Control::CommitAndChain) => open = Some(at),
                Some(Control::Rollback | Control::RollbackAndChain | Control::Prepare) => {
                    let reason = "it undoes or sets aside what the file did, which would be \
                                  recorded as applied; remove it";
                    return Err(script.error_at(statement.span.start, reason));
                }
                Some(Control::CommitPrepared | Control::RollbackPrepared) | None => {}
            }
        }
        // psql would roll back the open transaction here, without a message.
        if let Some(begin) = open {
            let reason = "it begins a transaction that the file does not end; add COMMIT";
            return Err(script.error_at(statements[begin].span.start, reason));
        }
        let batched = script.mark(&statements)?;
        let single_transaction = batched.is_none()
            && script.transaction
            && !statements.iter().any(Statement::refuses_transaction);
        Ok(Steps {
            statements,
            single_transaction,
            batched,
        })
    }

    /// Reads the statements of a script that takes back a migration, or fills a database. The history
    /// has no row of how far such a script has come, so it cannot run in batches.
    ///
    /// # Errors
    /// `Function.InvalidMigrations`, as [`Steps::of`].
    pub(crate) fn without_batches(script: &Script) -> Result<Steps, Failure> {
        let steps = Steps::of(script)?;
        match steps.batched {
            None => Ok(steps),
            Some(_) => {
                let reason = "only a file that migrates runs in batches, as the history records how \
                              far it came; write a migration";
                Err(script.error_at(script.section.start, reason))
            }
        }
    }

    /// Returns the checksum of the script's text up to the end of the first `count` statements, or of
    /// the whole script if it runs in batches. That text must not change once the statements, or some
    /// batches, have run.
    pub(crate) fn sha256_until(&self, script: &Script, count: usize) -> String {
        if self.batched.is_some() {
            return script.sha256();
        }
        let end = self.statements[..count]
            .last()
            .map_or(script.section.start, |last| {
                last.data.as_ref().map_or(last.span.end, |data| data.end)
            });
        sha256_of_lines(&script.text[script.section.start..end])
    }

    /// Returns the statements to send if all run in one transaction, with their indexes.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (usize, &Statement)> {
        let numbered = self.statements.iter().enumerate();
        numbered.filter(|(_, statement)| !is_transaction_control(statement))
    }

    /// Returns the step that begins at this statement; `None` after the last statement.
    ///
    /// The script's own BEGIN, its COMMIT and all between them are one step; every other statement is
    /// a step of its own.
    pub(crate) fn step(&self, from: usize) -> Option<Step> {
        let first = self.statements.get(from)?;
        if first.control() != Some(Control::Begin) {
            return Some(match first.refuses_transaction() {
                true => Step::Alone(from),
                false => Step::Together(from..from + 1),
            });
        }
        let mut rest = self.statements[from + 1..].iter();
        let length = rest.position(|statement| statement.control() == Some(Control::Commit));
        let end = length.map_or(self.statements.len(), |length| from + length + 2);
        Some(Step::Together(from..end))
    }
}

/// Returns whether a statement is the script's own BEGIN or COMMIT. The engine sends its own instead.
pub(crate) fn is_transaction_control(statement: &Statement) -> bool {
    matches!(
        statement.control(),
        Some(Control::Begin | Control::Commit | Control::CommitAndChain)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script {
            path: "1_a.sql".into(),
            section: 0..text.len(),
            text: text.to_string(),
            transaction: true,
        }
    }

    #[track_caller]
    fn check(text: &str, single_transaction: bool, expected: &[Step]) {
        let steps = Steps::of(&script(text)).expect("it can be run");
        assert_eq!(steps.single_transaction, single_transaction, "{text}");
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(step) = steps.step(from) {
            from = match &step {
                Step::Together(range) => range.end,
                Step::Alone(at) => at + 1,
            };
            found.push(step);
        }
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_files_own_transactions_are_steps_and_every_other_statement_is_one() {
        use Step::{Alone, Together};
        check("a; b", true, &[Together(0..1), Together(1..2)]);
        check("begin; a; b; commit", true, &[Together(0..4)]);
        check(
            "begin; a; commit; vacuum; b; begin; c; end",
            false,
            &[Together(0..3), Alone(3), Together(4..5), Together(5..8)],
        );
        check(
            "begin; a; commit and chain; b; commit",
            true,
            &[Together(0..5)],
        );
        check("", true, &[]);
    }

    #[test]
    fn the_scripts_own_begin_and_commit_are_not_sent() {
        let steps = Steps::of(&script("begin; a; commit; b")).expect("it can be run");
        let sent: Vec<usize> = steps.sent().map(|(at, _)| at).collect();
        assert_eq!(sent, [1, 3]);
    }

    #[test]
    fn a_transaction_that_does_not_commit_and_an_unlock_of_all_are_refused_with_their_place() {
        let check = |text: &str, says: &str| {
            let refused = Steps::of(&script(text)).err().expect("it is refused");
            assert!(refused.to_string().contains(says), "{refused}");
        };
        check("begin;\na;\nrollback", "1_a.sql:3:1");
        check("a;\nbegin; b", "1_a.sql:2:1");
        check("begin; prepare transaction 'x'", "1_a.sql:1:8");
        check("a; SELECT pg_advisory_unlock_all()", "1_a.sql:1:4");
    }

    #[test]
    fn the_checksum_of_the_first_statements_does_not_depend_on_later_ones() {
        let until = |text: &str| {
            let script = script(text);
            let steps = Steps::of(&script).expect("it can be run");
            steps.sha256_until(&script, 1)
        };
        assert_eq!(until("a; b"), until("a; c; d"));
        assert_ne!(until("a; b"), until("x; b"));
    }
}
