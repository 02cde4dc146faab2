//! The form that asks for the user's password again before the users are changed, and that carries
//! what was typed. Knows no change.

use super::sign_in::{client, too_many};
use crate::users::sessions;
use crate::users::sign_in::{Attempt, attempt, forget_attempts};
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection};
use web::{Response, field};

/// The fields of a change.
const CARRIED: [&str; 3] = ["action", "role", "email"];

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'a> {
    what: String,
    path: &'a str,
    user: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    wrong: Option<String>,
}

/// Returns the form when the user has not given the password for a quarter of an hour, and the
/// field `confirm` does not have it; `None` when the change may go on.
pub(super) fn password_first(
    request: &SignedInRequest,
    connection: &mut Connection,
    fields: &[(String, String)],
) -> Result<Option<Response>, PageError> {
    if request.is_confirmed {
        return Ok(None);
    }
    let password = field(fields, "confirm");
    if password.is_empty() {
        return Ok(Some(form(request, fields, 401, None)));
    }
    let client = client(request.shared, request.http, &request.user.email);
    let email = &request.user.email;
    let (status, wrong) = match attempt(connection, request.invocation, email, password, &client)? {
        Attempt::User(..) => {
            let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
            forget_attempts(&mut transaction, &request.user, &client)?;
            sessions::confirm(&mut transaction, &request.session.token)?;
            transaction.commit()?;
            return Ok(None);
        }
        Attempt::Wrong => (422, "This is not your password.".to_string()),
        Attempt::TooMany(seconds) => (429, too_many(seconds)),
    };
    Ok(Some(form(request, fields, status, Some(wrong))))
}

fn form(
    request: &SignedInRequest,
    fields: &[(String, String)],
    status: u16,
    wrong: Option<String>,
) -> Response {
    let carried = CARRIED.map(|name| (name, field(fields, name)));
    let page = Confirm {
        what: match field(fields, "email") {
            "" => "You are about to change a user.".to_string(),
            email => format!("You are about to add {email}."),
        },
        path: &request.http.path,
        user: &request.user.email,
        fields: carried
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        wrong,
    };
    let response = request.page_with(status, "Your password again", &page);
    response.with("cache-control", "no-store")
}
