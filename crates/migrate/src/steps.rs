//! Decides how a script runs: as one transaction, or as steps, where a killed run resumes at the
//! next step.
//!
//! A script is one transaction if it has none of its own, or exactly one plain `BEGIN … COMMIT`
//! around everything. In any other, each transaction of the script's own is a step, and so is every
//! statement between them. Must not know any database: it only reads the statements.

use super::files::{Mark, Script, hexadecimal, update};
use super::sql::{Control, Modes, SessionEffect, Statement};
use handler::Failure;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// The statements of a script, and how they run.
pub(crate) struct Steps {
    /// All statements.
    pub statements: Vec<Statement>,
    /// Whether all statements run in one transaction.
    pub single_transaction: bool,
    /// Whether the script changes what later sessions begin with: `ALTER DATABASE` or `ALTER ROLE`.
    pub changes_defaults: bool,
    /// Whether several statements can be sent in one message: not if one changes how the server
    /// reads the text of those after it.
    pub joins: bool,
    /// The mark of a script that runs in batches.
    pub batched: Option<Mark>,
    /// Where the script is resumed, if a run has begun it.
    pub resume: Option<Resume>,
    /// The steps of the script, in order, if it does not run in one transaction.
    steps: Vec<Step>,
}

/// Where a script is resumed.
pub(crate) struct Resume {
    /// The index of the next statement.
    pub statement: usize,
    /// What the next statement found before it, if a killed run has begun it outside of a
    /// transaction, so that it may be done.
    pub begun: Option<String>,
}

/// The statements that run between two writes to the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A statement in a transaction of its own, with its entry in the history.
    Plain(usize),
    /// A transaction of the script's own.
    Frame(Frame),
    /// A statement that Postgres refuses to run in a transaction.
    Alone(usize),
}

/// A transaction of the script's own: from a `BEGIN`, or from behind a `COMMIT AND CHAIN`, up to the
/// statement that commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The statements, with the one that commits, and the `BEGIN` unless the frame is chained.
    pub range: Range<usize>,
    /// The `BEGIN` whose modes the transaction has; before the range if the frame is chained.
    pub begin: usize,
    /// Whether the transaction is read only, so that it cannot hold its entry in the history.
    pub read_only: bool,
}

impl Step {
    /// Returns the statements of the step.
    pub(crate) fn range(&self) -> Range<usize> {
        match self {
            Step::Plain(at) | Step::Alone(at) => *at..at + 1,
            Step::Frame(frame) => frame.range.clone(),
        }
    }
}

impl Steps {
    /// Reads the statements of a script.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` with the place of a statement that must not run.
    pub(crate) fn of(script: &Script) -> Result<Steps, Failure> {
        let statements = script.statements()?;
        let error_at =
            |at: usize, reason: &str| Err(script.error_at(statements[at].span.start, reason));
        let mut steps = Vec::new();
        // The frame that is open, with the statement after its last one not known yet.
        let mut open: Option<Frame> = None;
        for (at, statement) in statements.iter().enumerate() {
            if statement.session_effect(&script.text) == SessionEffect::ReleasesLocks {
                return error_at(at, RELEASES_LOCKS);
            }
            if let Some(frame) = &mut open {
                frame.range.end = at + 1;
                frame.read_only |= statement.modes() == Some(Modes::ReadOnly);
            }
            match (statement.control(), open.take()) {
                (Some(Control::Begin), None) => {
                    open = Some(Frame {
                        range: at..at + 1,
                        begin: at,
                        read_only: statement.modes() == Some(Modes::ReadOnly),
                    });
                }
                (Some(Control::Commit), Some(frame)) => steps.push(Step::Frame(frame)),
                (Some(Control::CommitAndChain), Some(frame)) => {
                    open = Some(Frame {
                        range: at + 1..at + 1,
                        ..frame
                    });
                    steps.push(Step::Frame(frame));
                }
                (Some(Control::CommitAndChain), None) => {
                    return error_at(at, "there is no transaction to commit; remove it");
                }
                (Some(Control::Rollback | Control::RollbackAndChain | Control::Prepare), _) => {
                    return error_at(at, UNDOES);
                }
                (_, Some(frame)) => open = Some(frame),
                (_, None) if statement.refuses_transaction() => steps.push(Step::Alone(at)),
                (_, None) => steps.push(Step::Plain(at)),
            }
        }
        // psql would roll back the open transaction here, without a message.
        if let Some(frame) = open {
            let reason = "it begins a transaction that the file does not end; add COMMIT";
            return error_at(frame.begin, reason);
        }
        // A COMMIT without a BEGIN does nothing in psql; in a transaction it would end that.
        let is_plain = |step: &Step| match step {
            Step::Plain(at) => statements[*at].control() != Some(Control::Commit),
            Step::Frame(_) | Step::Alone(_) => false,
        };
        let batched = script.mark(&statements)?;
        let single_transaction = batched.is_none()
            && script.transaction
            && (steps.iter().all(is_plain) || is_one_plain_frame(&statements, &steps));
        let text = script.text[script.section.clone()].to_lowercase();
        let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
        let steps = Steps {
            // Strings count too: a DO block has to build the statement, as it takes no expression for
            // the database's name.
            changes_defaults: has(&["alter database", "alter role", "alter user"]),
            joins: !has(&[
                "conforming_strings",
                "backslash_quote",
                "client_encoding",
                "set names",
            ]),
            batched,
            resume: None,
            statements,
            single_transaction,
            steps,
        };
        match single_transaction {
            true => Ok(steps),
            false => steps.check_session(script).map(|()| steps),
        }
    }

    /// Refuses a script that runs step by step, and makes something for its session in one step that
    /// another step uses: a run that resumes the script has another session.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` with the place of the statement that makes it.
    pub(crate) fn check_session(&self, script: &Script) -> Result<(), Failure> {
        for (number, step) in self.steps.iter().enumerate() {
            let range = step.range();
            for at in range.clone() {
                let statement = &self.statements[at];
                let effect = statement.session_effect(&script.text);
                let (kind, name) = match effect {
                    SessionEffect::Object { kind, name } => (kind, name),
                    SessionEffect::SettingAmongOthers => (SETTING, String::new()),
                    SessionEffect::SetsDefaults => (DEFAULT, String::new()),
                    _ => continue,
                };
                let mentions =
                    |one: &&Statement| name.is_empty() || one.mentions(&script.text, &name);
                let mut rest = self.statements[at + 1..range.end].iter();
                let ends = |one: &Statement| {
                    let word = one.keyword();
                    !name.is_empty()
                        && matches!(word, "drop" | "deallocate" | "close")
                        && mentions(&one)
                };
                if rest.any(ends) {
                    continue;
                }
                let later = self.steps[number + 1..]
                    .first()
                    .map(|step| step.range().start);
                let mut later = self.statements[later.unwrap_or(self.statements.len())..].iter();
                let Some(user) = later.find(mentions) else {
                    continue;
                };
                let called = match name.is_empty() {
                    true => kind.to_string(),
                    false => format!("{kind} `{name}`"),
                };
                let line = super::sql::Place::of(&script.text, user.span.start).line;
                let advice = match (kind, name.is_empty()) {
                    (SETTING, _) => {
                        "set it by a statement of its own: SET, or SELECT set_config(…) of constants"
                    }
                    (DEFAULT, _) => "put it into a file of its own",
                    (_, true) => "remove it, as the run itself keeps other runs out",
                    (_, false) => {
                        "use it only in the transaction that makes it, or make it a permanent \
                         one and drop it at the end"
                    }
                };
                let (makes, has) = match kind == DEFAULT {
                    true => ("sets the", "would have it already"),
                    false => ("makes the", "would not have it"),
                };
                let reason = format!(
                    "it {makes} {called}, and the file does not run in one transaction: a run \
                     that resumes at line {line} {has}; {advice}"
                );
                return Err(script.error_at(statement.span.start, &reason));
            }
        }
        Ok(())
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
        Prefix::of(script).sha256_until(script, self, count)
    }

    /// Returns the statements to send if all run in one transaction, with their indexes.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (usize, &Statement)> {
        let range = self.inner();
        self.statements[range.clone()]
            .iter()
            .enumerate()
            .map(move |(index, statement)| (range.start + index, statement))
    }

    /// Returns the statements to send if all run in one transaction, by their indexes: all but the
    /// script's own `BEGIN` and `COMMIT` around them.
    pub(crate) fn inner(&self) -> Range<usize> {
        match is_one_frame(&self.steps) {
            true => 1..self.statements.len() - 1,
            false => 0..self.statements.len(),
        }
    }

    /// Returns whether the script begins with the engine's BEGIN.
    pub(crate) fn begins_at_once(&self) -> bool {
        self.single_transaction && self.resume.is_none()
    }

    /// Returns whether the script is one transaction of its own.
    pub(crate) fn is_one_frame(&self) -> bool {
        is_one_frame(&self.steps)
    }

    /// Returns the steps from the one that begins at this statement; `None` if none begins there.
    pub(crate) fn from(&self, statement: usize) -> Option<&[Step]> {
        if statement == self.statements.len() {
            return Some(&[]);
        }
        let found = self
            .steps
            .binary_search_by_key(&statement, |step| step.range().start);
        found.ok().map(|number| &self.steps[number..])
    }
}

/// What a statement makes that a resumed run could not make again.
const SETTING: &str = "setting";

/// What a statement makes that only a resumed run would have.
const DEFAULT: &str = "default of later sessions";

const RELEASES_LOCKS: &str =
    "it would release the lock of the migration run; unlock by key, or discard what you mean";

const UNDOES: &str =
    "it undoes or sets aside what the file did, which would be recorded as applied; remove it";

/// The checksum of a growing beginning of a script, which reads each byte once.
#[derive(Clone)]
pub(crate) struct Prefix {
    digest: Sha256,
    /// The byte of the text up to which the digest has come.
    end: usize,
}

impl Prefix {
    /// Begins at the first byte of the script.
    pub(crate) fn of(script: &Script) -> Prefix {
        Prefix {
            digest: Sha256::new(),
            end: script.section.start,
        }
    }

    /// Returns the checksum up to the end of the first `count` statements; `count` must not be less
    /// than at the last call.
    pub(crate) fn sha256_until(&mut self, script: &Script, steps: &Steps, count: usize) -> String {
        if let Some(last) = steps.statements[..count].last() {
            let end = last.data.as_ref().map_or(last.span.end, |data| data.end);
            // A statement ends with no half of a CRLF, so its parts can be read one by one.
            update(&mut self.digest, &script.text[self.end..end.max(self.end)]);
            self.end = end.max(self.end);
        }
        hexadecimal(self.digest.clone())
    }
}

fn is_one_frame(steps: &[Step]) -> bool {
    matches!(steps, [Step::Frame(_)])
}

fn is_one_plain_frame(statements: &[Statement], steps: &[Step]) -> bool {
    let [Step::Frame(frame)] = steps else {
        return false;
    };
    statements[frame.begin].modes() == Some(Modes::Default) && !frame.read_only
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
        assert_eq!(steps.steps, expected, "{text}");
    }

    fn frame(range: Range<usize>) -> Step {
        let begin = range.start;
        Step::Frame(Frame {
            range,
            begin,
            read_only: false,
        })
    }

    #[test]
    fn a_files_own_transactions_are_steps_and_every_other_statement_is_one() {
        use Step::{Alone, Plain};
        check("a; b", true, &[Plain(0), Plain(1)]);
        check("begin; a; b; commit", true, &[frame(0..4)]);
        check("begin; a; commit; b", false, &[frame(0..3), Plain(3)]);
        check("a; commit; b", false, &[Plain(0), Plain(1), Plain(2)]);
        check("set x = 1; begin; a; end", false, &[Plain(0), frame(1..4)]);
        check(
            "begin; a; commit; vacuum; b; begin; c; end",
            false,
            &[frame(0..3), Alone(3), Plain(4), frame(5..8)],
        );
        check("", true, &[]);
    }

    #[test]
    fn a_frame_with_modes_is_a_step_and_one_that_is_read_only_is_known() {
        let read_only = Step::Frame(Frame {
            range: 0..3,
            begin: 0,
            read_only: true,
        });
        check(
            "begin isolation level serializable; a; commit",
            false,
            &[frame(0..3)],
        );
        check(
            "begin read only; a; commit",
            false,
            std::slice::from_ref(&read_only),
        );
        check(
            "begin; set transaction read only; commit",
            false,
            &[read_only],
        );
    }

    #[test]
    fn a_chained_transaction_has_the_modes_of_the_one_before() {
        let chained = Step::Frame(Frame {
            range: 3..5,
            begin: 0,
            read_only: false,
        });
        check(
            "begin; a; commit and chain; b; commit",
            false,
            &[frame(0..3), chained],
        );
    }

    #[test]
    fn the_scripts_own_begin_and_commit_are_not_sent() {
        let steps = Steps::of(&script("begin; a; b; commit")).expect("it can be run");
        let sent: Vec<usize> = steps.sent().map(|(at, _)| at).collect();
        assert_eq!(sent, [1, 2]);
    }

    #[track_caller]
    fn check_refused(text: &str, says: &str) {
        let refused = Steps::of(&script(text)).err().expect("it is refused");
        assert!(refused.to_string().contains(says), "{refused}");
    }

    #[test]
    fn a_transaction_that_does_not_commit_and_an_unlock_of_all_are_refused_with_their_place() {
        check_refused("begin;\na;\nrollback", "1_a.sql:3:1");
        check_refused("a;\nbegin; b", "1_a.sql:2:1");
        check_refused("begin; a; commit and chain", "1_a.sql:1:1");
        check_refused("a; commit and chain", "1_a.sql:1:4");
        check_refused("begin; prepare transaction 'x'", "1_a.sql:1:8");
        check_refused("a; SELECT pg_advisory_unlock_all()", "1_a.sql:1:4");
        check_refused(
            "a; with x as (select pg_advisory_unlock_all()) table x",
            "1_a.sql:1:4",
        );
        check_refused("a; discard all", "1_a.sql:1:4");
    }

    #[test]
    fn what_only_the_session_has_is_refused_where_another_step_needs_it() {
        check_refused(
            "create temp table t (); vacuum; insert into t select",
            "temporary table `t`",
        );
        check_refused(
            "vacuum; prepare p as a; execute p",
            "prepared statement `p`",
        );
        check_refused("select pg_advisory_lock(1); vacuum", "advisory lock");
        for text in [
            "create temp table t (); insert into t select",
            "begin; create temp table t (); insert into t select; commit",
            "vacuum; begin; create temp table t (); drop table t; commit; begin; create temp table t (); commit",
            "vacuum; begin; create temp table t () on commit drop; commit; insert into t select",
            "create temp table t (); vacuum; insert into other select",
        ] {
            Steps::of(&script(text)).expect("it can be run");
        }
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

    #[test]
    fn the_checksum_of_a_growing_beginning_is_that_of_its_text() {
        let script = script("a\r\n;\r\nb;\r\ncopy t from stdin;\r\n1\r\n\\.\r\nc;");
        let steps = Steps::of(&script).expect("it can be run");
        let mut prefix = Prefix::of(&script);
        for count in 0..=steps.statements.len() {
            let growing = prefix.sha256_until(&script, &steps, count);
            assert_eq!(growing, steps.sha256_until(&script, count), "{count}");
        }
        assert_eq!(prefix.sha256_until(&script, &steps, 4), script.sha256());
    }
}
