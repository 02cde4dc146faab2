//! The kinds of failures, and the text of each, which logs, metrics and callers compare.
//!
//! Knows no message: a kind says what a caller can tell apart, a failure says what happened.

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Another tool's history cannot be taken over.
    BaselineFailed,
    /// A migration cannot be rolled back, or not before another one.
    CannotRollBack,
    /// The connection to Postgres was lost before it was known whether a transaction was committed.
    CommitInDoubt,
    /// The connection to Postgres was lost, and the transaction is not committed.
    ConnectionLost,
    /// The database could not be created.
    CreateFailed,
    /// Postgres has no room left on its disk.
    DatabaseFull,
    /// The database takes no changes.
    DatabaseReadOnly,
    /// Postgres cannot be reached, or refuses the connection.
    DatabaseUnavailable,
    /// The database could not be dropped.
    DropFailed,
    /// The table of applied migrations cannot be read or written.
    HistoryUnavailable,
    /// Whoever waited for the reply gave up, and what ran was ended in order.
    Interrupted,
    /// The event has another form than its handler accepts.
    InvalidEvent,
    /// The files of `migrations/` cannot be used.
    InvalidMigrations,
    /// A setting cannot be used.
    InvalidSettings,
    /// The change would leave the admin tool without an admin.
    LastAdmin,
    /// Somebody else holds a lock.
    Locked,
    /// A statement of a migration failed.
    MigrationFailed,
    /// Another migration run holds the lock.
    MigrationLocked,
    /// The files and the history differ.
    MigrationsDiffer,
    /// Migrations have to run first.
    MigrationsPending,
    /// The invocation's time is over.
    OutOfTime,
    /// The handler panicked.
    Panic,
    /// A pooler is between the migration and the server, and the migration needs the server itself.
    PoolerInTheWay,
    /// A query failed.
    QueryFailed,
    /// The reply is larger than Lambda accepts.
    ResponseTooLarge,
    /// The database could not be seeded.
    SeedFailed,
    /// The action removes data and was not confirmed.
    Unconfirmed,
    /// The event's action does not exist.
    UnknownAction,
    /// The event comes from a sender whose events the handler does not accept.
    UnknownEvent,
    /// The configured handler does not exist.
    UnknownHandler,
    /// The event cannot be read from standard input.
    UnreadableEvent,
    /// A pending migration would stop others for long.
    UnsafeMigration,
    /// Postgres cannot work with a value.
    WrongValue,
    /// A kind of your own: `Function.` or `Runtime.`, and a name of two ASCII letters or more that
    /// begins with a capital. The platform replaces any other text, so [`Kind::text`] does it
    /// first.
    Own(&'static str),
}

impl Kind {
    /// Returns the text for the platform, which keeps texts that match
    /// `(Function|Runtime)\.[A-Z][a-zA-Z]+` ("Using the Lambda runtime API", AWS Lambda Developer
    /// Guide; the pattern is that of AWS's own emulator, `fatalerror.go`).
    ///
    /// ```
    /// use handler::Kind;
    ///
    /// assert_eq!(Kind::InvalidEvent.text(), "Function.InvalidEvent");
    /// assert_eq!(Kind::Own("Function.OutOfStock").text(), "Function.OutOfStock");
    /// assert_eq!(Kind::Own("out of stock").text(), "Function.Unknown");
    /// ```
    pub fn text(self) -> &'static str {
        match self {
            Kind::BaselineFailed => "Function.BaselineFailed",
            Kind::CannotRollBack => "Function.CannotRollBack",
            Kind::CommitInDoubt => "Function.CommitInDoubt",
            Kind::ConnectionLost => "Function.ConnectionLost",
            Kind::CreateFailed => "Function.CreateFailed",
            Kind::DatabaseFull => "Function.DatabaseFull",
            Kind::DatabaseReadOnly => "Function.DatabaseReadOnly",
            Kind::DatabaseUnavailable => "Function.DatabaseUnavailable",
            Kind::DropFailed => "Function.DropFailed",
            Kind::HistoryUnavailable => "Function.HistoryUnavailable",
            Kind::Interrupted => "Function.Interrupted",
            Kind::InvalidEvent => "Function.InvalidEvent",
            Kind::InvalidMigrations => "Function.InvalidMigrations",
            Kind::InvalidSettings => "Function.InvalidSettings",
            Kind::LastAdmin => "Function.LastAdmin",
            Kind::Locked => "Function.Locked",
            Kind::MigrationFailed => "Function.MigrationFailed",
            Kind::MigrationLocked => "Function.MigrationLocked",
            Kind::MigrationsDiffer => "Function.MigrationsDiffer",
            Kind::MigrationsPending => "Function.MigrationsPending",
            Kind::OutOfTime => "Function.OutOfTime",
            Kind::Panic => "Function.Panic",
            Kind::PoolerInTheWay => "Function.PoolerInTheWay",
            Kind::QueryFailed => "Function.QueryFailed",
            Kind::ResponseTooLarge => "Function.ResponseSizeTooLarge",
            Kind::SeedFailed => "Function.SeedFailed",
            Kind::Unconfirmed => "Function.Unconfirmed",
            Kind::UnknownAction => "Function.UnknownAction",
            Kind::UnknownEvent => "Function.UnknownEvent",
            Kind::UnknownHandler => "Runtime.UnknownHandler",
            Kind::UnreadableEvent => "Runtime.UnreadableEvent",
            Kind::UnsafeMigration => "Function.UnsafeMigration",
            Kind::WrongValue => "Function.WrongValue",
            Kind::Own(text) if is_valid(text) => text,
            Kind::Own(_) => "Function.Unknown",
        }
    }
}

/// Returns `true` if the platform keeps the text.
fn is_valid(text: &str) -> bool {
    let name = text
        .strip_prefix("Function.")
        .or(text.strip_prefix("Runtime."));
    name.is_some_and(|name| {
        name.len() > 1
            && name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_the_platform_would_replace_becomes_unknown() {
        for valid in ["Function.OutOfStock", "Runtime.Broken"] {
            assert_eq!(Kind::Own(valid).text(), valid);
        }
        for invalid in [
            "",
            "Unhandled",
            "Function.",
            "Function.X",
            "Function.lower",
            "Function.With Space",
            "Function.Ünicode",
            "Runtime.A1",
            "alloc::boxed::Box<dyn Error>",
        ] {
            assert_eq!(Kind::Own(invalid).text(), "Function.Unknown", "{invalid}");
        }
    }
}
