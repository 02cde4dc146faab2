//! Who may use the admin tool, and as what: the table `plain_lambda.users`.
//!
//! Knows no page, and of a session whose it is. `people/link` has one-time links, `people/password`
//! what is kept of a password, `people/sign_in` whether somebody is who they say.

pub mod link;
pub mod password;
pub mod sign_in;

use crate::database::{Connection, Row, Transaction, failed};
use crate::session::Session;
use crate::{Failure, Invocation};
use postgres::SimpleQueryMessage;

/// What a person may do; each may do what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Change rows.
    Editor,
    /// Say who else may do what.
    Admin,
}

/// A person.
#[derive(Debug, Clone)]
pub struct Person {
    /// Identifies the person.
    pub id: i64,
    /// Where to reach the person, who signs in with it.
    pub email: String,
    /// What the person may do.
    pub role: Role,
    /// Sessions of another generation are over.
    pub generation: i64,
    /// Whether a password is set.
    pub has_password: bool,
    /// When the person signed in last, in UTC; `None` when never.
    pub last_sign_in_at: Option<String>,
}

const COLUMNS: &str = "id::text, email, role, generation::text, (password_hash IS NOT NULL)::text, \
    to_char(last_sign_in_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Editor, Role::Admin];

    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
            Role::Admin => "admin",
        }
    }

    /// The role of a name.
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The person of a session, if that is still welcome.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`.
pub fn of_session(
    connection: &mut Connection,
    invocation: &Invocation,
    session: &Session,
) -> Result<Option<Person>, Failure> {
    let (id, generation) = (session.person, session.generation);
    let statement = format!(
        "SELECT {COLUMNS} FROM plain_lambda.users WHERE id = {id} AND generation = {generation}"
    );
    let messages = connection.ask(invocation, &statement).map_err(failed)?;
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|at| row.get(at).map(str::to_string))
                .collect(),
        ),
        _ => None,
    });
    Ok(row.and_then(person))
}

/// The person of an id.
///
/// # Errors
/// Postgres's own.
pub fn find(transaction: &mut Transaction, id: &str) -> Result<Option<Person>, postgres::Error> {
    one(transaction, "id::text = $1", id)
}

/// The person of an address, in upper or lower case.
///
/// # Errors
/// Postgres's own.
pub fn find_by_email(
    transaction: &mut Transaction,
    email: &str,
) -> Result<Option<Person>, postgres::Error> {
    one(transaction, "lower(email) = lower($1)", email)
}

/// Everybody, by address.
///
/// # Errors
/// Postgres's own.
pub fn list(transaction: &mut Transaction) -> Result<Vec<Person>, postgres::Error> {
    let statement = format!("SELECT {COLUMNS} FROM plain_lambda.users ORDER BY lower(email)");
    let rows = transaction.rows(&statement, &[])?;
    Ok(rows.into_iter().filter_map(person).collect())
}

/// Adds a person; `None` when somebody has the address.
///
/// # Errors
/// Postgres's own.
pub fn add(
    transaction: &mut Transaction,
    email: &str,
    role: Role,
) -> Result<Option<Person>, postgres::Error> {
    let statement = format!(
        "INSERT INTO plain_lambda.users (email, role) VALUES ($1, $2)
         ON CONFLICT (lower(email)) DO NOTHING RETURNING {COLUMNS}"
    );
    let rows = transaction.rows(&statement, &[Some(email), Some(role.name())])?;
    Ok(rows.into_iter().find_map(person))
}

/// Gives a person another role, unless that would leave nobody to give roles.
///
/// # Errors
/// Postgres's own.
pub fn set_role(
    transaction: &mut Transaction,
    person: &Person,
    role: Role,
) -> Result<bool, postgres::Error> {
    if !others_can_give_roles(transaction, person, role == Role::Admin)? {
        return Ok(false);
    }
    let id = person.id.to_string();
    let statement = "UPDATE plain_lambda.users SET role = $1 WHERE id::text = $2";
    transaction.rows(statement, &[Some(role.name()), Some(&id)])?;
    Ok(true)
}

/// Removes a person, under the same condition.
///
/// # Errors
/// Postgres's own.
pub fn remove(transaction: &mut Transaction, person: &Person) -> Result<bool, postgres::Error> {
    if !others_can_give_roles(transaction, person, false)? {
        return Ok(false);
    }
    let id = person.id.to_string();
    transaction.rows(
        "DELETE FROM plain_lambda.users WHERE id::text = $1",
        &[Some(&id)],
    )?;
    Ok(true)
}

/// Ends all of a person's sessions; gives the generation that new ones have.
///
/// # Errors
/// Postgres's own.
pub fn end_sessions(
    transaction: &mut Transaction,
    person: &Person,
) -> Result<i64, postgres::Error> {
    let statement = "UPDATE plain_lambda.users SET generation = generation + 1
                     WHERE id::text = $1 RETURNING generation::text";
    let rows = transaction.rows(statement, &[Some(&person.id.to_string())])?;
    let generation = rows.first().and_then(|row| row[0].as_deref()?.parse().ok());
    Ok(generation.unwrap_or(person.generation))
}

/// Whether an address looks like one: no more can be known before something is sent there.
pub fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let is_plain = |part: &str| !part.is_empty() && !part.contains(['@', ' ', ',', ';', '<', '>']);
    text.len() <= 254
        && !text.contains(char::is_control)
        && parts.is_some_and(|(name, host)| is_plain(name) && is_plain(host))
}

fn one(
    transaction: &mut Transaction,
    condition: &str,
    value: &str,
) -> Result<Option<Person>, postgres::Error> {
    let statement = format!("SELECT {COLUMNS} FROM plain_lambda.users WHERE {condition}");
    let rows = transaction.rows(&statement, &[Some(value)])?;
    Ok(rows.into_iter().find_map(person))
}

/// The lock has two requests decide one after the other.
fn others_can_give_roles(
    transaction: &mut Transaction,
    person: &Person,
    stays_admin: bool,
) -> Result<bool, postgres::Error> {
    transaction.execute("LOCK TABLE plain_lambda.users IN SHARE ROW EXCLUSIVE MODE")?;
    // The role, too, as it is under the lock.
    let statement = "SELECT id::text FROM plain_lambda.users WHERE role = 'admin'";
    let admins = transaction.rows(statement, &[])?;
    let id = person.id.to_string();
    let (own, others): (Vec<_>, Vec<_>) =
        { admins.iter() }.partition(|row| row[0].as_deref() == Some(&id));
    Ok(!others.is_empty() || stays_admin || own.is_empty())
}

fn person(row: Row) -> Option<Person> {
    let mut row = row.into_iter();
    let mut next = || row.next().flatten();
    Some(Person {
        id: next()?.parse().ok()?,
        email: next()?,
        role: Role::named(&next()?)?,
        generation: next()?.parse().ok()?,
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

    #[test]
    fn an_address_has_one_at_sign_and_no_space() {
        for email in [
            "a@b",
            "ada.byrne@northmill.example",
            "o'neill+x@a-b.example",
            "ü@ü.example",
        ] {
            assert!(is_email(email), "{email}");
        }
        for email in [
            "", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b, c@d", "a@b\n", "<a@b>",
        ] {
            assert!(!is_email(email), "{email}");
        }
    }
}
