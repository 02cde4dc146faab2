//! The migration engine: an event names an action, and the action works on files and a database.
//!
//! A program calls [`handle`]. `files` reads the directory, `sql` splits a file into statements,
//! `history` is the table of applied migrations, `session` holds the lock of a run, `apply` runs one
//! file. A program can compile its own migrations in ([`BuiltIn`]) and add actions
//! ([`FurtherAction`]). Must not know any page, or any table but the history's own.

mod action;
mod alone;
mod apply;
mod baseline;
mod batched;
mod built_in;
mod callbacks;
mod check;
mod deadline;
mod dry_run;
mod error;
mod files;
mod help;
mod history;
mod lifecycle;
mod listing;
mod repair;
mod request;
mod resume;
mod run;
mod seed;
mod session;
mod settings;
pub mod sql;
mod status;
mod steps;
mod undo;
mod watchdog;

pub use action::Fields;
pub use built_in::{BuiltIn, Embedded, Former};
pub use help::help;
pub use settings::Settings;
pub use status::{Status, compare};

use action::Action;
use database::Database;
use deadline::Deadline;
use handler::{Failure, Invocation, Kind, Reply};
use request::Request;
use serde_json::Value;
use std::time::Duration;
use undo::Target;

/// The database and the migrations that the engine works on.
pub struct Migrator<'a> {
    /// The database to migrate.
    pub database: &'a Database,
    /// The directory of the files, and whether `migrate` resets the database.
    pub settings: &'a Settings,
    /// The migrations that are compiled into the program; [`BuiltIn::NONE`] if there are none.
    pub built_in: &'a BuiltIn,
}

/// An action that the program adds to the engine's own.
///
/// ```
/// use migrate::{Fields, FurtherAction};
///
/// let greet = FurtherAction {
///     name: "greet",
///     run: &|fields: &mut Fields| {
///         let whom = fields.text("whom")?.unwrap_or("world".to_string());
///         fields.end()?;
///         Ok(serde_json::json!({"greeting": format!("hello, {whom}")}))
///     },
/// };
/// # let _ = greet;
/// ```
pub struct FurtherAction<'a> {
    /// The value of the event's `action`.
    pub name: &'static str,
    /// Runs the action. Takes the fields that the action has, then calls [`Fields::end`], so that a
    /// misspelt field is refused before the action changes anything.
    pub run: &'a dyn Fn(&mut Fields) -> Result<Value, Failure>,
}

/// Runs the action that the event names: one of `further`, or one of the engine's own.
///
/// # Errors
/// `Function.InvalidEvent`, `Function.UnknownAction`, and the errors of the action.
///
/// ```no_run
/// use database::Database;
/// use handler::{AppEnv, Invocation, Variables};
/// use migrate::{BuiltIn, Migrator, Settings};
///
/// let variables = Variables::of_process();
/// let app_env = AppEnv::read(&variables)?;
/// let database = Database::new(database::Settings::read(&variables, app_env)?, 1);
/// let settings = Settings::read(&variables)?;
/// let migrator = Migrator { database: &database, settings: &settings, built_in: &BuiltIn::NONE };
/// let event = br#"{"action":"status"}"#.to_vec();
/// let reply = migrate::handle(&migrator, &Invocation { event, ..Default::default() }, &[])?;
/// println!("{}", String::from_utf8_lossy(&reply.body));
/// # Ok::<(), handler::Failure>(())
/// ```
pub fn handle(
    migrator: &Migrator,
    invocation: &Invocation,
    further: &[FurtherAction],
) -> Result<Reply, Failure> {
    let event = invocation.json()?;
    let names: Vec<&str> = further.iter().map(|action| action.name).collect();
    let mut fields = Fields::of(&event, &names)?;
    let reply = match further.iter().find(|action| action.name == fields.action()) {
        Some(action) => (action.run)(&mut fields)?,
        None => {
            let action = Action::read(&mut fields)?;
            let request = Request::of(&event, fields.id(), invocation);
            run_through(migrator, invocation, action, &request)
                .map_err(|failure| interrupted(invocation, failure))?
        }
    };
    Ok(reply.into())
}

/// The number of lost connections after which an action is not run again.
const LOST_CONNECTIONS: usize = 3;

/// Runs an action, and runs it again if the connection was lost at a COMMIT. The second run waits for
/// the lock, so for the end of the lost session; then the history and the request's row say what was
/// committed.
fn run_through(
    migrator: &Migrator,
    invocation: &Invocation,
    mut action: Action,
    request: &Request,
) -> Result<Value, Failure> {
    let mut in_doubt: Option<Failure> = None;
    let mut lost = 0;
    loop {
        let failure = match run(migrator, invocation, action.clone(), request.clone()) {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        match (failure.kind(), in_doubt.take()) {
            (Kind::CommitInDoubt, _) => {}
            // The second run could not look.
            (
                Kind::DatabaseUnavailable | Kind::ConnectionLost | Kind::MigrationLocked,
                Some(first),
            ) => return Err(first.append(&format!("; {failure}"))),
            _ => return Err(failure),
        }
        let is_over = Deadline::of(invocation).is_short_of(Duration::from_millis(1));
        lost += 1;
        if lost > LOST_CONNECTIONS || is_over || !request.is_remembered() {
            return Err(failure);
        }
        log::warn!("looking at what was committed, over a new connection: {failure}");
        action.forget_answers();
        in_doubt = Some(failure);
    }
}

/// Returns the failure of a run whose time was over because somebody interrupted it.
fn interrupted(invocation: &Invocation, failure: Failure) -> Failure {
    match failure.kind() {
        Kind::OutOfTime if invocation.is_interrupted() => Failure::new(
            Kind::Interrupted,
            "failed to end the run: it was interrupted; its statement was cancelled, its open \
             transaction rolled back and its lock released; the next run goes on from there",
        ),
        _ => failure,
    }
}

fn run(
    migrator: &Migrator,
    invocation: &Invocation,
    action: Action,
    mut request: Request,
) -> Result<Value, Failure> {
    match action {
        Action::Migrate {
            to,
            dry_run,
            allow,
            confirm,
        } => {
            let options = run::Options { to, allow };
            match (dry_run, migrator.settings.reset_database) {
                (true, _) => dry_run::dry_run(migrator, invocation, &options),
                (false, true) => {
                    lifecycle::reset(migrator, invocation, request, confirm.as_deref(), &options)
                }
                (false, false) => run::migrate(migrator, invocation, &options),
            }
        }
        Action::Check => check::check(migrator, invocation),
        Action::Status => Ok(status::status(migrator, invocation)?.to_json()),
        Action::Pending => status::pending(migrator, invocation),
        Action::Rollback { steps, to } => {
            let target = match (steps, to) {
                (Some(_), Some(_)) => {
                    let message = "failed to read action `rollback`: give steps or to, not both";
                    return Err(Failure::new(Kind::InvalidEvent, message));
                }
                (steps, None) => Target::Steps(steps.unwrap_or(1)),
                (None, Some(to)) => Target::Above(to),
            };
            undo::undo(migrator, invocation, request, &target, None)
        }
        Action::Redo { steps, allow } => {
            let target = Target::Steps(steps.unwrap_or(1));
            undo::undo(migrator, invocation, request, &target, Some(&allow))
        }
        Action::Baseline { to, from } => baseline::baseline(
            migrator,
            invocation,
            request,
            to.as_deref(),
            from.as_deref(),
        ),
        Action::Repair => repair::repair(migrator, invocation, request),
        Action::Seed { allow } => seed::seed(migrator, invocation, request, &allow),
        Action::Create => lifecycle::create(migrator),
        Action::Drop { confirm } => {
            lifecycle::drop(migrator, invocation, &mut request, confirm.as_deref())
        }
        Action::Reset { confirm } => {
            let options = run::Options::default();
            lifecycle::reset(migrator, invocation, request, confirm.as_deref(), &options)
        }
    }
}
