//! The users of the admin tool and their roles: the table `plain_lambda.users`.
//!
//! `users/link` makes one-time links, `users/email` says what an address is, `users/password` hashes
//! passwords, `users/sign_in` checks them, `users/sessions` keeps the sessions. Independent of pages
//! and cookies; of a session it needs only the token.

pub(crate) mod email;
pub(crate) mod link;
pub(crate) mod password;
pub(crate) mod sessions;
pub(crate) mod sign_in;

use crate::schema::failed;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use database::{Connection, Row, Transaction};
use handler::{Failure, Invocation};
use postgres::SimpleQueryMessage;
use sha2::{Digest, Sha256};

/// What a user may do. Each role may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Change rows.
    Editor,
    /// Say who else may do what.
    Admin,
}

/// A user of the admin tool.
#[derive(Debug, Clone)]
pub struct User {
    /// Identifies the user.
    pub id: i64,
    /// The address that the user signs in with.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user has chosen a password.
    pub(crate) has_password: bool,
    /// The time of the last sign-in, `YYYY-MM-DDTHH:MM:SSZ`; `None` before the first.
    pub(crate) last_sign_in_at: Option<String>,
}

const COLUMNS: &str = "id::text, email, role, (password_hash IS NOT NULL)::text, \
    to_char(last_sign_in_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

impl Role {
    /// Every role, the lowest first.
    pub(crate) const ALL: [Role; 3] = [Role::Viewer, Role::Editor, Role::Admin];

    /// Returns the role's name: `viewer`, `editor` or `admin`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
            Role::Admin => "admin",
        }
    }

    /// Returns the role with a name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Returns the user of the session with a token, and whether the user has lately given the
/// password; `None` when the session has ended.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`.
pub(crate) fn find_by_session(
    connection: &mut Connection,
    invocation: &Invocation,
    token: &str,
) -> Result<Option<(User, bool)>, Failure> {
    // A digest has no character that SQL would read as anything but text.
    let statement = format!(
        "SELECT ({})::text, {COLUMNS} \
         FROM plain_lambda.users JOIN plain_lambda.sessions ON user_id = id \
         WHERE token_sha256 = '{}' AND {}",
        sessions::IS_CONFIRMED,
        digest(token),
        sessions::is_current()
    );
    let messages = connection.ask(invocation, &statement).map_err(failed)?;
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let values = (1..row.len()).map(|at| row.get(at).map(str::to_string));
            Some((user(values.collect())?, row.get(0) == Some("true")))
        }
        _ => None,
    });
    Ok(row)
}

/// Returns the user with an id.
///
/// # Errors
/// Postgres's own.
pub(crate) fn find(
    transaction: &mut Transaction,
    id: i64,
) -> Result<Option<User>, postgres::Error> {
    find_where(transaction, "id = $1::bigint", &id.to_string())
}

/// Returns the user with an address, compared without regard to case.
///
/// # Errors
/// Postgres's own.
pub(crate) fn find_by_email(
    transaction: &mut Transaction,
    email: &str,
) -> Result<Option<User>, postgres::Error> {
    find_where(transaction, "lower(email) = lower($1)", email)
}

/// Returns all users in the order of their addresses.
///
/// # Errors
/// Postgres's own.
pub(crate) fn list(transaction: &mut Transaction) -> Result<Vec<User>, postgres::Error> {
    let statement = format!("SELECT {COLUMNS} FROM plain_lambda.users ORDER BY lower(email)");
    let rows = transaction.rows(&statement, &[])?;
    Ok(rows.into_iter().filter_map(user).collect())
}

/// Adds a user; `None` when another user has the address.
///
/// # Errors
/// Postgres's own.
pub(crate) fn add(
    transaction: &mut Transaction,
    email: &str,
    role: Role,
) -> Result<Option<User>, postgres::Error> {
    let statement = format!(
        "INSERT INTO plain_lambda.users (email, role) VALUES ($1, $2)
         ON CONFLICT (lower(email)) DO NOTHING RETURNING {COLUMNS}"
    );
    let rows = transaction.rows(&statement, &[Some(email), Some(role.name())])?;
    Ok(rows.into_iter().find_map(user))
}

/// Gives a user another role. Returns `false`, and changes nothing, when no admin would be left.
///
/// # Errors
/// Postgres's own.
pub(crate) fn set_role(
    transaction: &mut Transaction,
    user: &User,
    role: Role,
) -> Result<bool, postgres::Error> {
    if !an_admin_remains(transaction, user, role == Role::Admin)? {
        return Ok(false);
    }
    let id = user.id.to_string();
    let statement = "UPDATE plain_lambda.users SET role = $1 WHERE id::text = $2";
    transaction.rows(statement, &[Some(role.name()), Some(&id)])?;
    Ok(true)
}

/// Removes a user. Returns `false`, and changes nothing, when no admin would be left.
///
/// # Errors
/// Postgres's own.
pub(crate) fn remove(transaction: &mut Transaction, user: &User) -> Result<bool, postgres::Error> {
    if !an_admin_remains(transaction, user, false)? {
        return Ok(false);
    }
    let id = user.id.to_string();
    transaction.rows(
        "DELETE FROM plain_lambda.users WHERE id::text = $1",
        &[Some(&id)],
    )?;
    Ok(true)
}

/// Returns the user that a condition on `$1` selects.
fn find_where(
    transaction: &mut Transaction,
    condition: &str,
    value: &str,
) -> Result<Option<User>, postgres::Error> {
    let statement = format!("SELECT {COLUMNS} FROM plain_lambda.users WHERE {condition}");
    let rows = transaction.rows(&statement, &[Some(value)])?;
    Ok(rows.into_iter().find_map(user))
}

/// Returns whether an admin remains after a change of `user`; `is_admin_then` says whether `user`
/// is one after the change. Locks the table, so that a second change waits for the first.
fn an_admin_remains(
    transaction: &mut Transaction,
    user: &User,
    is_admin_then: bool,
) -> Result<bool, postgres::Error> {
    transaction.execute("LOCK TABLE plain_lambda.users IN SHARE ROW EXCLUSIVE MODE")?;
    // Read under the lock: the role in `user` may be out of date.
    let statement = "SELECT id::text FROM plain_lambda.users WHERE role = 'admin'";
    let admins = transaction.rows(statement, &[])?;
    let id = user.id.to_string();
    let (own, others): (Vec<_>, Vec<_>) = admins
        .iter()
        .partition(|row| row[0].as_deref() == Some(&id));
    Ok(!others.is_empty() || is_admin_then || own.is_empty())
}

/// Returns what the database has of a secret token: reading it there is not enough to use it.
fn digest(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// Reads a row of `COLUMNS`.
fn user(row: Row) -> Option<User> {
    let mut row = row.into_iter();
    let mut next = || row.next().flatten();
    Some(User {
        id: next()?.parse().ok()?,
        email: next()?,
        role: Role::named(&next()?)?,
        has_password: next()? == "true",
        last_sign_in_at: next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_the_one_before_it_may() {
        assert!(Role::Viewer < Role::Editor && Role::Editor < Role::Admin);
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("root"), None);
    }
}
