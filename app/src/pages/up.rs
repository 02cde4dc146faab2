//! `/up`: the process answers. `/up?db`: the database does too, and has the schema that the files
//! of `migrations/` make.

use crate::database::Purpose;
use crate::http::{Request, Response};
use crate::migrate::status;
use crate::{App, Failure, Invocation};

/// 200 when all is well, else 503 with the reason.
pub fn show(app: &App, invocation: &Invocation, request: &Request) -> Response {
    if !request.asks_for("db") {
        return say(200, "up");
    }
    match database(app, invocation) {
        Ok(0) => say(200, "up"),
        Ok(pending) => say(503, &format!("{pending} migrations are pending")),
        Err(failure) => {
            log::error!("failed to find the database well: {failure}");
            say(503, "the database does not answer as it should")
        }
    }
}

/// How many migrations are pending.
fn database(app: &App, invocation: &Invocation) -> Result<usize, Failure> {
    let mut client = app.database.connection(invocation, Purpose::Pages)?;
    Ok(status::compare(app, &mut client)?.pending.len())
}

fn say(status: u16, text: &str) -> Response {
    Response::of(status, "text/plain; charset=utf-8", format!("{text}\n"))
        .with("cache-control", "no-store")
}
