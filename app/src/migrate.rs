//! The `migrate` handler: event → action → reply.
//!
//! Knows which module does what. `migrate/files` and `migrate/sql` know what is on disk,
//! `migrate/history` what the database remembers, `migrate/session` keeps runs apart, and
//! `migrate/apply` runs a file.

mod action;
mod apply;
mod baseline;
mod clock;
mod doctor;
mod dry_run;
mod error;
mod files;
mod history;
mod index;
mod repair;
mod run;
mod seed;
mod session;
mod sql;
pub mod status;
mod steps;
mod undo;
mod user;
mod watch;
mod whole;

use crate::{App, Failure, Invocation, Reply};
use action::Action;

/// Does what the event's `action` names.
///
/// # Errors
/// `Function.InvalidEvent`, `Function.UnknownAction`, and those of the action.
pub fn handle(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    let reply = match Action::read(&invocation.json()?)? {
        Action::Migrate { confirm, .. } if app.settings.reset_database => {
            whole::reset(app, invocation, confirm.as_deref())?
        }
        Action::Migrate {
            to,
            dry_run,
            allow,
            confirm: _,
        } => {
            let wanted = run::Wanted { to, allow };
            match dry_run {
                true => dry_run::dry_run(app, invocation, &wanted)?,
                false => run::migrate(app, invocation, &wanted)?,
            }
        }
        Action::Status => status::status(app, invocation)?.to_json(),
        Action::Pending => status::pending(app, invocation)?,
        Action::Rollback { steps, to } => undo::rollback(app, invocation, steps, to.as_deref())?,
        Action::Redo { steps } => undo::redo(app, invocation, steps.unwrap_or(1))?,
        Action::Baseline { to, from } => {
            baseline::baseline(app, invocation, to.as_deref(), from.as_deref())?
        }
        Action::Doctor => doctor::doctor(app, invocation)?,
        Action::Repair => repair::repair(app, invocation)?,
        Action::Seed => seed::seed(app, invocation)?,
        Action::Create => whole::create(app, invocation)?,
        Action::Drop { confirm } => whole::drop(app, invocation, confirm.as_deref())?,
        Action::Reset { confirm } => whole::reset(app, invocation, confirm.as_deref())?,
        Action::User { email, role } => user::user(app, invocation, &email, role.as_deref())?,
    };
    Ok(reply.into())
}
