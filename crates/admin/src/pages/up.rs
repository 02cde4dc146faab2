//! `/up`: checks that the process answers. `/up?db`: checks that the database answers, too, and
//! that no migration is pending. Needs no session, and tells no detail: the log has it.

use crate::{PageError, PublicRequest};
use handler::{Failure, Kind};
use web::Response;

/// Answers 200, or 503 with the reason.
pub(super) fn show(request: &PublicRequest) -> Result<Response, PageError> {
    if !request.http.asks_for("db") {
        return Ok(text(200, "up\n"));
    }
    Ok(match pending_count(request) {
        Ok(0) => text(200, "up\n"),
        Ok(1) => text(503, "1 migration is pending\n"),
        Ok(pending) => text(503, &format!("{pending} migrations are pending\n")),
        Err(failure) => {
            log::error!("failed to check the database: {failure}");
            text(503, "the database check failed; the log has the cause\n")
        }
    })
}

fn pending_count(request: &PublicRequest) -> Result<usize, Failure> {
    let count = || -> Result<usize, Failure> {
        let mut connection = request.connection()?;
        let status = migrate::compare(&request.shared.migrator(), &mut connection)?;
        Ok(status.pending_count())
    };
    match count() {
        Err(failure) if failure.kind() == Kind::ConnectionLost => count(),
        counted => counted,
    }
}

fn text(status: u16, line: &str) -> Response {
    Response::of(status, "text/plain; charset=utf-8", line).with("cache-control", "no-store")
}
