//! `/password`: changes the password of the user who is signed in.

use crate::session::Session;
use crate::users::password::weakness;
use crate::users::sign_in::{Attempt, attempt, set_password};
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection};
use web::{Response, field};

#[derive(Template)]
#[template(path = "password.html")]
struct Password<'a> {
    email: &'a str,
    role: &'a str,
    wrong_now: Option<String>,
    wrong_new: Option<&'a str>,
}

/// Asks for the current password and a new one.
pub(super) fn show(request: &SignedInRequest, _: &mut Connection) -> Result<Response, PageError> {
    Ok(page(request, 200, None, None))
}

/// Changes the password and ends every session of the user; this browser gets a new one.
pub(super) fn change(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let fields = request.http.form()?;
    let (now, new) = (field(&fields, "now"), field(&fields, "new"));
    let user = &request.user;
    if let Some(weakness) = weakness(new, &user.email) {
        return Ok(page(request, 422, None, Some(weakness)));
    }
    let address = &request.http.source_ip;
    match attempt(connection, request.invocation, &user.email, now, address)? {
        Attempt::User(_) => {}
        Attempt::Wrong => {
            let wrong = "This is not your password.".to_string();
            return Ok(page(request, 422, Some(wrong), None));
        }
        Attempt::TooMany(seconds) => {
            let wrong = format!("There were too many attempts. Try again in {seconds} seconds.");
            return Ok(page(request, 429, Some(wrong), None));
        }
    }
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let generation = set_password(&mut transaction, user, new)?;
    transaction.commit()?;
    let done = "Your password is changed, and every other session is over.".to_string();
    let session = Session::begin(user.id, generation).with_notice(Some(done));
    let mut response = Response::redirect("/password");
    response
        .cookies
        .push(session.cookie(&request.shared.secrets));
    Ok(response)
}

fn page(
    request: &SignedInRequest,
    status: u16,
    wrong_now: Option<String>,
    wrong_new: Option<&str>,
) -> Response {
    let page = Password {
        email: &request.user.email,
        role: request.user.role.name(),
        wrong_now,
        wrong_new,
    };
    request.page_with(status, "Your account", &page)
}
