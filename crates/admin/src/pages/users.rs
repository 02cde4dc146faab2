//! `/users`: the users of the tool, and the forms that add and change them; for admins.

use super::confirm;
use crate::audit::Deed;
use crate::error_pages;
use crate::users::{self, Role, User, email, link, sessions};
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, Transaction};
use web::{Response, field};

#[derive(Template)]
#[template(path = "users.html")]
struct Users<'a> {
    users: Vec<User>,
    own_id: i64,
    link: Option<Link<'a>>,
    wrong: Option<&'a str>,
    email: &'a str,
}

/// A one-time link, as it is shown.
struct Link<'a> {
    email: &'a str,
    /// The address of the pages; `None` when no setting has it.
    origin: Option<String>,
    path: &'a str,
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
    let fields = request.http.form()?;
    if let Some(form) = confirm::password_first(request, connection, &fields)? {
        return Ok(form);
    }
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let text = field(&fields, "email");
    let Some(role) = Role::named(field(&fields, "role")) else {
        let wrong = Some("Choose a role.");
        return list(request, &mut transaction, 422, None, wrong, text);
    };
    let email = match email::normalize(text) {
        Ok(email) => email,
        Err(wrong) => return list(request, &mut transaction, 422, None, Some(wrong), text),
    };
    let Some(user) = users::add(&mut transaction, &email, role)? else {
        let wrong = Some("A user with this address exists already.");
        return list(request, &mut transaction, 422, None, wrong, text);
    };
    request.record(&mut transaction, &Deed::Added(&user))?;
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
    if let Some(form) = confirm::password_first(request, connection, &fields)? {
        return Ok(form);
    }
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let user = users::find(&mut transaction, request.capture("id")?)?.ok_or(PageError::NotFound)?;
    let action = field(&fields, "action");
    let (done, deed, notice) = match (action, Role::named(field(&fields, "role"))) {
        ("role", Some(role)) => (
            users::set_role(&mut transaction, &user, role)?,
            Deed::Role(&user, role),
            format!("{} is {} now.", user.email, role.name()),
        ),
        ("remove", _) => (
            users::remove(&mut transaction, &user)?,
            Deed::Removed(&user),
            format!("{} is removed.", user.email),
        ),
        ("sign-out", _) => {
            sessions::end_all(&mut transaction, &user)?;
            let notice = format!("Every session of {} is over.", user.email);
            (true, Deed::SignOutEverywhere(&user), notice)
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
    let is_same = matches!(deed, Deed::Role(user, role) if user.role == role);
    if !is_same {
        request.record(&mut transaction, &deed)?;
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
    request.record(&mut transaction, &Deed::Link(user))?;
    let made = link::make(&mut transaction, user)?;
    let hosts = &request.shared.hosts;
    let host = request.http.header("host").unwrap_or_default();
    let link = Link {
        email: &user.email,
        // Where any host is served, the request's own may be another's, and is not believed.
        origin: match (hosts.origin(), hosts.is_open()) {
            (Some(origin), _) => Some(origin),
            (None, false) => Some(format!("https://{host}")),
            (None, true) => None,
        },
        path: &made.path,
    };
    let response = list(request, &mut transaction, 200, Some(link), None, "")?;
    transaction.commit()?;
    Ok(response.with("cache-control", "no-store"))
}

fn list(
    request: &SignedInRequest,
    transaction: &mut Transaction,
    status: u16,
    link: Option<Link>,
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
