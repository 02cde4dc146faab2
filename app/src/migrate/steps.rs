//! How a script is run: as one transaction, or as steps of which a killed run resumes the next.
//! Pure; knows nothing of a database.

use super::files::{Script, sha256_of_lines};
use super::sql::{Control, Statement};
use crate::Failure;
use std::ops::Range;

/// A script's statements and how they may be run.
pub struct Steps {
    /// All of them, also its own BEGIN and COMMIT, which nobody sends.
    pub statements: Vec<Statement>,
    /// Whether one transaction holds them all.
    pub whole: bool,
}

/// What is done between two entries in the history.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// In one transaction with its entry.
    Together(Range<usize>),
    /// Outside of any transaction, as Postgres wants it.
    Alone(usize),
}

impl Steps {
    /// Reads a script's statements.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` with the place of a statement that cannot be run.
    pub fn of(script: &Script) -> Result<Steps, Failure> {
        let statements = script.statements()?;
        let mut open = None;
        for (at, statement) in statements.iter().enumerate() {
            let sent = &script.text[statement.span.clone()];
            let calls = matches!(statement.keyword(), "select" | "do" | "call");
            if calls && sent.to_lowercase().contains("pg_advisory_unlock_all") {
                let reason = "it would release the lock of the migration run; unlock by key";
                return Err(script.refused(statement.span.start, reason));
            }
            match statement.control() {
                Some(Control::Begin) => open = open.or(Some(at)),
                Some(Control::Commit) => open = None,
                Some(Control::CommitAndChain) => open = Some(at),
                Some(Control::Rollback | Control::RollbackAndChain | Control::Prepare) => {
                    let reason = "it undoes or sets aside what the file did, which would be \
                                  recorded as applied; remove it";
                    return Err(script.refused(statement.span.start, reason));
                }
                Some(Control::CommitPrepared | Control::RollbackPrepared) | None => {}
            }
        }
        // psql would roll back here, and say nothing.
        if let Some(begin) = open {
            let reason = "it begins a transaction that the file does not end; add COMMIT";
            return Err(script.refused(statements[begin].span.start, reason));
        }
        let whole = script.transaction && !statements.iter().any(Statement::refuses_transaction);
        Ok(Steps { statements, whole })
    }

    /// The checksum of what the first statements say, which must not change once they have run.
    pub fn sha256_until(&self, script: &Script, count: usize) -> String {
        let end = self.statements[..count]
            .last()
            .map_or(script.section.start, |last| {
                last.data.as_ref().map_or(last.span.end, |data| data.end)
            });
        sha256_of_lines(&script.text[script.section.start..end])
    }

    /// The statements to send when one transaction holds them all.
    pub fn sent(&self) -> impl Iterator<Item = (usize, &Statement)> {
        let numbered = self.statements.iter().enumerate();
        numbered.filter(|(_, statement)| !is_frame(statement))
    }

    /// The step that begins with a statement; `None` after the last.
    ///
    /// What stands between the file's own BEGIN and COMMIT is one, every other statement another.
    pub fn step(&self, from: usize) -> Option<Step> {
        let first = self.statements.get(from)?;
        if first.control() != Some(Control::Begin) {
            return Some(match first.refuses_transaction() {
                true => Step::Alone(from),
                false => Step::Together(from..from + 1),
            });
        }
        let rest = self.statements[from + 1..].iter();
        let length = { rest }.position(|statement| statement.control() == Some(Control::Commit));
        let end = length.map_or(self.statements.len(), |length| from + length + 2);
        Some(Step::Together(from..end))
    }
}

/// The file's own BEGIN or COMMIT, which ours stand for.
pub fn is_frame(statement: &Statement) -> bool {
    let frames = [Control::Begin, Control::Commit, Control::CommitAndChain];
    statement
        .control()
        .is_some_and(|control| frames.contains(&control))
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
    fn check(text: &str, whole: bool, expected: &[Step]) {
        let steps = Steps::of(&script(text)).expect("it can be run");
        assert_eq!(steps.whole, whole, "{text}");
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
    fn what_is_sent_holds_no_begin_and_no_commit() {
        let steps = Steps::of(&script("begin; a; commit; b")).expect("it can be run");
        let sent: Vec<usize> = steps.sent().map(|(at, _)| at).collect();
        assert_eq!(sent, [1, 3]);
    }

    #[test]
    fn a_transaction_that_ends_otherwise_is_refused_with_its_place() {
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
    fn the_checksum_of_what_has_run_does_not_depend_on_what_follows() {
        let until = |text: &str| {
            let script = script(text);
            let steps = Steps::of(&script).expect("it can be run");
            steps.sha256_until(&script, 1)
        };
        assert_eq!(until("a; b"), until("a; c; d"));
        assert_ne!(until("a; b"), until("x; b"));
    }
}
