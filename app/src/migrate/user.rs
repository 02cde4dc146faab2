//! A person for the admin tool, from outside of it: the first admin, and whoever has forgotten a
//! password.

use crate::database::{Access, Purpose, failed};
use crate::people::{self, Role, link};
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
    let there = transaction.rows("SELECT to_regclass('plain_lambda.users')::text", &[]);
    if there.map_err(failed)?.iter().all(|row| row[0].is_none()) {
        let message =
            "failed to find the table plain_lambda.users: run {\"action\":\"migrate\"} first";
        return Err(Failure::new("Function.MigrationsPending", message));
    }
    let known = people::find_by_email(&mut transaction, email).map_err(failed)?;
    let created = known.is_none();
    let person = match (known, role) {
        (Some(person), None) => Some(person),
        (Some(person), Some(role)) => {
            if !people::set_role(&mut transaction, &person, role).map_err(failed)? {
                let message = "failed to change the role: this is the only admin";
                return Err(Failure::new("Function.LastAdmin", message));
            }
            Some(people::Person { role, ..person })
        }
        (None, Some(role)) => people::add(&mut transaction, email, role).map_err(failed)?,
        (None, None) => None,
    };
    let Some(person) = person else {
        let message = "failed to add a person without a `role`: give one of viewer, editor, admin";
        return Err(Failure::new("Function.InvalidEvent", message));
    };
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

fn known(role: &str) -> Result<Role, Failure> {
    Role::named(role).ok_or_else(|| {
        let message = "failed to read `role`: set it to one of: viewer, editor, admin";
        Failure::new("Function.InvalidEvent", message)
    })
}
