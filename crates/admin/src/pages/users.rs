//! `/users`: the users of the tool, and the forms that add and change them; for admins.

use crate::error_pages;
use crate::users::{self, Role, User, link};
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, Transaction};
use web::{Response, field};

#[derive(Template)]
#[template(path = "users.html")]
struct Users<'a> {
    users: Vec<User>,
    own_id: i64,
    link: Option<String>,
    wrong: Option<&'a str>,
    email: &'a str,
}

impl Users<'_> {
    fn roles(&self) -> [Role; 3] {
        Role::ALL
    }
}

/// Shows all users.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadOnly)?;
    list(request, &mut transaction, 200, None, None, "")
}

/// Adds a user, and shows a one-time link.
pub(super) fn add(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let fields = request.http.form()?;
    let email = field(&fields, "email").trim();
    let Some(role) = Role::named(field(&fields, "role")) else {
        let wrong = Some("Choose a role.");
        return list(request, &mut transaction, 422, None, wrong, email);
    };
    if !users::is_email(email) {
        let wrong = Some("This is not an email address.");
        return list(request, &mut transaction, 422, None, wrong, email);
    }
    let Some(user) = users::add(&mut transaction, email, role)? else {
        let wrong = Some("A user with this address exists already.");
        return list(request, &mut transaction, 422, None, wrong, email);
    };
    log::info!(
        "user {} added user {} as {}",
        request.user.id,
        user.id,
        role.name()
    );
    show_link(request, transaction, &user)
}

/// Gives a user another role or a new one-time link, ends the user's sessions, or removes the user.
pub(super) fn change(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let fields = request.http.form()?;
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let user = users::find(&mut transaction, request.capture("id")?)?.ok_or(PageError::NotFound)?;
    let action = field(&fields, "action");
    let (done, notice) = match (action, Role::named(field(&fields, "role"))) {
        ("role", Some(role)) => (
            users::set_role(&mut transaction, &user, role)?,
            format!("{} is {} now.", user.email, role.name()),
        ),
        ("remove", _) => (
            users::remove(&mut transaction, &user)?,
            format!("{} is removed.", user.email),
        ),
        ("sign-out", _) => {
            users::end_sessions(&mut transaction, &user)?;
            (true, format!("Every session of {} is over.", user.email))
        }
        ("link", _) => return show_link(request, transaction, &user),
        _ => {
            let text = "There is no such change.";
            return Ok(error_pages::notice(
                request.http,
                400,
                "Not known",
                text,
                "",
            ));
        }
    };
    if !done {
        let wrong = Some("This is the only admin: make another user an admin first.");
        return list(request, &mut transaction, 422, None, wrong, "");
    }
    transaction.commit()?;
    log::info!(
        "user {} changed user {}: `{action}`",
        request.user.id,
        user.id
    );
    Ok(request.redirect("/users".to_string(), &notice))
}

/// Makes a one-time link, and shows it. No other page shows the link.
fn show_link(
    request: &SignedInRequest,
    mut transaction: Transaction,
    user: &User,
) -> Result<Response, PageError> {
    let link = link::make(&mut transaction, user)?;
    let origin = request.shared.hosts.origin().unwrap_or_else(|| {
        let host = request.http.header("host").unwrap_or_default();
        format!("https://{host}")
    });
    let link = format!("{}: {origin}{}", user.email, link.path);
    let response = list(request, &mut transaction, 200, Some(link), None, "")?;
    transaction.commit()?;
    Ok(response.with("cache-control", "no-store"))
}

fn list(
    request: &SignedInRequest,
    transaction: &mut Transaction,
    status: u16,
    link: Option<String>,
    wrong: Option<&str>,
    email: &str,
) -> Result<Response, PageError> {
    let page = Users {
        users: users::list(transaction)?,
        own_id: request.user.id,
        link,
        wrong,
        email,
    };
    Ok(request.page_with(status, "Users", &page))
}
