//! `/password`: a person's own. It ends every other session.

use super::errors::Stop;
use super::gate::Visit;
use crate::database::{Access, Connection};
use crate::http::{Response, field};
use crate::people::password::weakness;
use crate::people::sign_in::{Attempt, attempt, set_password};
use crate::session::Session;
use askama::Template;

#[derive(Template)]
#[template(path = "password.html")]
struct Password<'a> {
    email: &'a str,
    role: &'a str,
    wrong_now: Option<String>,
    wrong_new: Option<&'a str>,
}

/// Asks for the old password and a new one.
pub fn show(visit: &Visit, connection: &mut Connection, _: &[&str]) -> Result<Response, Stop> {
    if visit.request.method != "POST" {
        return Ok(page(visit, 200, None, None));
    }
    let fields = visit.request.form()?;
    let (now, new) = (field(&fields, "now"), field(&fields, "new"));
    let person = &visit.person;
    if let Some(weakness) = weakness(new, &person.email) {
        return Ok(page(visit, 422, None, Some(weakness)));
    }
    let address = &visit.request.source_ip;
    match attempt(connection, visit.invocation, &person.email, now, address)? {
        Attempt::Person(_) => {}
        Attempt::Wrong => {
            let wrong = "This is not your password.".to_string();
            return Ok(page(visit, 422, Some(wrong), None));
        }
        Attempt::TooMany(seconds) => {
            let wrong = format!("There were too many attempts. Try again in {seconds} seconds.");
            return Ok(page(visit, 429, Some(wrong), None));
        }
    }
    let mut transaction = connection.transaction(visit.invocation, Access::ReadWrite)?;
    let generation = set_password(&mut transaction, person, new)?;
    transaction.commit()?;
    let done = "Your password is changed, and every other session is over.".to_string();
    let session = Session::begin(person.id, generation).saying(Some(done));
    let mut response = Response::redirect("/password");
    response.cookies.push(session.cookie(&visit.app.settings));
    Ok(response)
}

fn page(
    visit: &Visit,
    status: u16,
    wrong_now: Option<String>,
    wrong_new: Option<&str>,
) -> Response {
    let page = Password {
        email: &visit.person.email,
        role: visit.person.role.name(),
        wrong_now,
        wrong_new,
    };
    visit.page_with(status, "/password", "Your account", &page)
}
