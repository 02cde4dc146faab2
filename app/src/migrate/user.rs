//! A person for the admin tool, from outside of it: the first admin, and whoever has forgotten a
//! password.

use crate::database::{Access, Purpose, Transaction, failed};
use crate::people::{self, Person, Role, link};
use crate::{App, Failure, Invocation};
use serde_json::{Value, json};

/// Adds a person, or gives one who is there a role, and makes a one-time link to choose a password
/// by; answers `{"email","role","created","link","expires_at"}`, or `"path"` for `"link"` where
/// LAMBDA_FUNCTION_URL is not set.
///
/// # Errors
/// `Function.InvalidEvent` for what is no address or no role; `Function.MigrationsPending`.
pub fn user(
    app: &App,
    invocation: &Invocation,
    email: &str,
    role: Option<&str>,
) -> Result<Value, Failure> {
    let role = role.map(known).transpose()?;
    if !people::is_email(email) {
        let message = "failed to read `email`: it is no address, such as ada@example.com";
        return Err(Failure::new("Function.InvalidEvent", message));
    }
    let mut connection = app.database.connection(invocation, Purpose::Pages)?;
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    let (person, created) = put(&mut transaction, email, role)?;
    let link = link::make(&mut transaction, &person).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    let mut answer = json!({
        "email": person.email,
        "role": person.role.name(),
        "created": created,
        "expires_at": link.expires_at,
    });
    match app.settings.origin() {
        Some(origin) => answer["link"] = format!("{origin}{}", link.path).into(),
        None => answer["path"] = link.path.into(),
    }
    Ok(answer)
}

/// The person, and whether that is somebody new.
fn put(
    transaction: &mut Transaction,
    email: &str,
    role: Option<Role>,
) -> Result<(Person, bool), Failure> {
    let known = people::find_by_email(transaction, email).map_err(failed)?;
    match (known, role) {
        (Some(person), None) => Ok((person, false)),
        (Some(person), Some(role)) => {
            if !people::set_role(transaction, &person, role).map_err(failed)? {
                let message = "failed to change the role: this is the only admin";
                return Err(Failure::new("Function.LastAdmin", message));
            }
            Ok((Person { role, ..person }, false))
        }
        (None, role) => {
            let role = role.ok_or_else(|| {
                let message =
                    "failed to add a person without a `role`: give one of viewer, editor, admin";
                Failure::new("Function.InvalidEvent", message)
            })?;
            let added = people::add(transaction, email, role).map_err(failed)?;
            let person = added.ok_or_else(|| {
                let message = "failed to add a person: somebody else did at the same time";
                Failure::new("Function.QueryFailed", message)
            })?;
            Ok((person, true))
        }
    }
}

fn known(role: &str) -> Result<Role, Failure> {
    Role::named(role).ok_or_else(|| {
        let message = "failed to read `role`: set it to one of: viewer, editor, admin";
        Failure::new("Function.InvalidEvent", message)
    })
}
