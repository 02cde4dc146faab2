//! `/password`: changes the password of the user who is signed in.

use super::sign_in::{client, too_many};
use crate::audit::Deed;
use crate::session::Session;
use crate::users::password::weakness;
use crate::users::sessions;
use crate::users::sign_in::{Attempt, attempt, forget_attempts, set_password};
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
    let client = client(request.shared, request.http, &user.email);
    match attempt(connection, request.invocation, &user.email, now, &client)? {
        Attempt::User(..) => {}
        Attempt::Wrong => {
            let wrong = "This is not your password.".to_string();
            return Ok(page(request, 422, Some(wrong), None));
        }
        Attempt::TooMany(seconds) => {
            return Ok(page(request, 429, Some(too_many(seconds)), None));
        }
    }
    let session = Session::begin();
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    set_password(&mut transaction, user, new)?;
    forget_attempts(&mut transaction, user, &client)?;
    sessions::begin(&mut transaction, user, &session.token)?;
    request.record(&mut transaction, &Deed::Password { by_link: false })?;
    transaction.commit()?;
    let done = "Your password is changed, and every other session is over.".to_string();
    let session = session.with_notice(Some(done));
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
