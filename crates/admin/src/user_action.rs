//! The `user` action: adds a user from outside of the admin tool, or makes a one-time link for one.
//! The first admin needs it, and an admin who forgot the password. Knows no page.

use crate::audit::{self, By, Deed};
use crate::schema::failed;
use crate::shared::Shared;
use crate::users::{self, Role, User, email, link};
use database::{Access, Purpose, Transaction};
use handler::{Failure, Invocation, Kind};
use migrate::Fields;
use serde_json::{Value, json};

/// Adds a user, or gives an existing one a role, and makes a one-time link with which the user
/// chooses a password. Returns `{"email","role","created","link","expires_at"}`, with `"path"` in
/// place of `"link"` where LAMBDA_FUNCTION_URL is not set.
///
/// # Errors
/// `Function.InvalidEvent` when the address or the role cannot be one, or a new user has no role;
/// `Function.LastAdmin`; `Function.MigrationsPending`; those of the database.
pub(crate) fn user(
    shared: &Shared,
    invocation: &Invocation,
    fields: &mut Fields,
) -> Result<Value, Failure> {
    let text = fields.text("email")?.unwrap_or_default();
    let role = fields.text("role")?;
    fields.end()?;
    let role = role.as_deref().map(read_role).transpose()?;
    let email = email::normalize(&text).map_err(|why| {
        let message = "failed to read `email`: it is no address, such as ada@example.com";
        Failure::new(Kind::InvalidEvent, message).with_source(why.to_string())
    })?;
    let request_id = &invocation.request_id;
    let mut connection = shared.database.connection(invocation, Purpose::Pages)?;
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    let before = users::find_by_email(&mut transaction, &email).map_err(failed)?;
    let created = before.is_none();
    let user = add_or_change(&mut transaction, &email, before.as_ref(), role)?;
    let mut record = |deed| audit::record(&mut transaction, By::Action, request_id, &deed);
    match &before {
        None => record(Deed::Added(&user))?,
        Some(before) if before.role != user.role => record(Deed::Role(before, user.role))?,
        Some(_) => {}
    }
    record(Deed::Link(&user))?;
    let link = link::make(&mut transaction, &user).map_err(failed)?;
    transaction.commit()?;
    let mut answer = json!({
        "email": user.email,
        "role": user.role.name(),
        "created": created,
        "expires_at": link.expires_at,
    });
    match shared.hosts.origin() {
        Some(origin) => answer["link"] = format!("{origin}{}", link.path).into(),
        None => answer["path"] = link.path.into(),
    }
    Ok(answer)
}

/// Returns the user of an address, with the role that is given: `known`, or a new one.
fn add_or_change(
    transaction: &mut Transaction,
    email: &str,
    known: Option<&User>,
    role: Option<Role>,
) -> Result<User, Failure> {
    match (known, role) {
        (Some(user), None) => Ok(user.clone()),
        (Some(user), Some(role)) => {
            if !users::set_role(transaction, user, role).map_err(failed)? {
                let message = "failed to change the role: this is the only admin";
                return Err(Failure::new(Kind::LastAdmin, message));
            }
            let user = user.clone();
            Ok(User { role, ..user })
        }
        (None, role) => {
            let role = role.ok_or_else(|| {
                let message =
                    "failed to add a user without a `role`: give one of viewer, editor, admin";
                Failure::new(Kind::InvalidEvent, message)
            })?;
            let added = users::add(transaction, email, role).map_err(failed)?;
            added.ok_or_else(|| {
                let message = "failed to add a user: somebody else did at the same time";
                Failure::new(Kind::QueryFailed, message)
            })
        }
    }
}

fn read_role(role: &str) -> Result<Role, Failure> {
    Role::named(role).ok_or_else(|| {
        let message = "failed to read `role`: set it to one of: viewer, editor, admin";
        Failure::new(Kind::InvalidEvent, message)
    })
}
