//! Sends the statements of a script, one by one or several in a message.
//!
//! Postgres runs the statements of one message in order, as if each had come alone, and gives an
//! error's position in the whole message. Must not know any transaction, or the history.

use super::Run;
use super::step_by_step::Progress;
use crate::error::{self, RunError, Sent};
use crate::sql::Statement;
use database::notice;
use postgres::Client;
use std::io::{self, Write};
use std::ops::Range;

/// The length of a message to which another statement is added, in bytes.
const LONG_MESSAGE: usize = 64 * 1024;

impl Run<'_> {
    /// Sends statements: several in a message, unless the place of an error is looked for.
    ///
    /// # Errors
    /// `RunError::Refused`, with no statement if it may be any of a message.
    pub(super) fn send_all(
        &mut self,
        range: Range<usize>,
        progress: &Progress,
    ) -> Result<(), RunError> {
        let mut at = range.start;
        while at < range.end {
            let end = match progress.is_placed {
                true => at + 1,
                false => self.message_end(at, range.end),
            };
            match end == at + 1 {
                true => self.send(at)?,
                false => self.send_message(at..end)?,
            }
            at = end;
        }
        Ok(())
    }

    /// Sends the statement of this index.
    ///
    /// # Errors
    /// `RunError::Refused`.
    pub(crate) fn send(&mut self, at: usize) -> Result<(), RunError> {
        let statement = &self.steps.statements[at];
        let sent = &self.script.text[statement.span.clone()];
        self.announce(at, at + 1);
        let outcome = match &statement.data {
            None if statement.copies_out => drain(self.session, sent),
            None => self.session.batch_execute(sent),
            Some(data) => copy(
                self.session,
                sent,
                &self.script.text.as_bytes()[data.clone()],
            ),
        };
        let start = statement.span.start;
        outcome.map_err(|error| RunError::Refused(Some(Sent { at, start }), error))
    }

    fn send_message(&mut self, range: Range<usize>) -> Result<(), RunError> {
        let statements = &self.steps.statements[range.clone()];
        let span = |one: Option<&Statement>| one.map_or(0..0, |one| one.span.clone());
        let start = span(statements.first()).start;
        let sent = &self.script.text[start..span(statements.last()).end];
        self.announce(range.start, range.end);
        let Err(error) = self.session.batch_execute(sent) else {
            return Ok(());
        };
        let place = error::position(self.script, start, &error);
        let index = place.and_then(|place| statements.iter().position(|one| place <= one.span.end));
        match index {
            Some(index) => {
                let at = range.start + index;
                Err(RunError::Refused(Some(Sent { at, start }), error))
            }
            None => Err(RunError::Refused(None, error)),
        }
    }

    /// Returns the end of the message that begins with this statement.
    fn message_end(&self, from: usize, limit: usize) -> usize {
        let statements = &self.steps.statements;
        let text = &self.script.text;
        let start = statements[from].span.start;
        let mut end = from + 1;
        while end < limit
            && self.joins(end - 1)
            && self.joins(end)
            && statements[end - 1].span.end - start < LONG_MESSAGE
            // A command of psql that is passed over.
            && !text[statements[end - 1].span.end..statements[end].span.start].contains('\\')
        {
            end += 1;
        }
        end
    }

    /// Returns whether a statement can be in one message with others.
    pub(super) fn joins(&self, at: usize) -> bool {
        let statement = &self.steps.statements[at];
        self.steps.joins && statement.data.is_none() && !statement.copies_out
    }

    /// Names the statements that are about to be sent, for the log of the server's notices and for the
    /// progress line on a terminal.
    pub(super) fn announce(&mut self, at: usize, end: usize) {
        let span = &self.steps.statements[at].span;
        let (from, line) = match self.line {
            (from, line) if from <= span.start => (from, line),
            _ => (0, 1),
        };
        let line = line + self.script.text[from..span.start].matches('\n').count();
        self.line = (span.start, line);
        let path = self.script.path.display();
        let count = self.steps.statements.len();
        if end > at + 1 {
            notice::place(path.to_string());
            let statement = format!("{path}:{line}: statements {} to {end} of {count}", at + 1);
            return self.session.watchdog.set_statement(statement);
        }
        notice::place(format!("{path}:{line}"));
        let first_line = self.script.text[span.clone()].lines().next();
        let excerpt: String = first_line.unwrap_or_default().chars().take(60).collect();
        self.session.watchdog.set_statement(format!(
            "{path}:{line}: statement {} of {count}: {excerpt}",
            at + 1
        ));
    }
}

/// Runs a `COPY … FROM STDIN` with its data.
fn copy(client: &mut Client, statement: &str, data: &[u8]) -> Result<(), postgres::Error> {
    let mut writer = client.copy_in(statement)?;
    // `finish` returns the server's error, if `write_all` fails because of one.
    let _ = writer.write_all(data);
    writer.finish().map(|_rows| ())
}

/// Runs a `COPY … TO STDOUT` and discards its rows, which psql would print.
fn drain(client: &mut Client, statement: &str) -> Result<(), postgres::Error> {
    let mut reader = client.copy_out(statement)?;
    match io::copy(&mut reader, &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => match error.downcast::<postgres::Error>() {
            Ok(error) => Err(error),
            // The driver returns no other error; the next statement would find the session lost.
            Err(_) => Ok(()),
        },
    }
}
