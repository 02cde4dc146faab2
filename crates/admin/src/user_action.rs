//! The `user` action: adds a user from outside of the admin tool, or makes a one-time link for one.
//! The first admin needs it, and an admin who forgot the password. Knows no page.

use crate::schema::failed;
use crate::shared::Shared;
use crate::users::{self, Role, User, link};
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
    let email = fields.text("email")?.unwrap_or_default();
    let role = fields.text("role")?;
    fields.end()?;
    let role = role.as_deref().map(read_role).transpose()?;
    if !users::is_email(&email) {
        let message = "failed to read `email`: it is no address, such as ada@example.com";
        return Err(Failure::new(Kind::InvalidEvent, message));
    }
    let mut connection = shared.database.connection(invocation, Purpose::Pages)?;
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    let (user, created) = add_or_change(&mut transaction, &email, role)?;
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

/// Returns the user of an address, with the role that is given, and whether the user is new.
fn add_or_change(
    transaction: &mut Transaction,
    email: &str,
    role: Option<Role>,
) -> Result<(User, bool), Failure> {
    let known = users::find_by_email(transaction, email).map_err(failed)?;
    match (known, role) {
        (Some(user), None) => Ok((user, false)),
        (Some(user), Some(role)) => {
            if !users::set_role(transaction, &user, role).map_err(failed)? {
                let message = "failed to change the role: this is the only admin";
                return Err(Failure::new(Kind::LastAdmin, message));
            }
            Ok((User { role, ..user }, false))
        }
        (None, role) => {
            let role = role.ok_or_else(|| {
                let message =
                    "failed to add a user without a `role`: give one of viewer, editor, admin";
                Failure::new(Kind::InvalidEvent, message)
            })?;
            let added = users::add(transaction, email, role).map_err(failed)?;
            let user = added.ok_or_else(|| {
                let message = "failed to add a user: somebody else did at the same time";
                Failure::new(Kind::QueryFailed, message)
            })?;
            Ok((user, true))
        }
    }
}

fn read_role(role: &str) -> Result<Role, Failure> {
    Role::named(role).ok_or_else(|| {
        let message = "failed to read `role`: set it to one of: viewer, editor, admin";
        Failure::new(Kind::InvalidEvent, message)
    })
}
