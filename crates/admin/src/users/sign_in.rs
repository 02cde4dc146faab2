//! Checks an address and a password, and makes a client that guesses wait longer each time.
//!
//! An attempt is recorded before the password is checked, so that attempts at the same time all
//! count. Knows no page and no session.

use super::{User, find_by_email, password};
use crate::schema::failed;
use database::{Access, Connection, Transaction};
use handler::{Failure, Invocation};

/// Attempts in a quarter of an hour without a wait: for one email address, and from one IP address.
const FREE_ATTEMPTS: (u32, u32) = (5, 20);

/// Seconds to wait after the last of these attempts; doubles with each further attempt.
const FIRST_WAIT: u64 = 5;

/// Seconds to wait at most, so that a user can sign in soon after somebody else has guessed.
const LONGEST_WAIT: u64 = 60;

/// The result of an attempt to sign in.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The address and the password are this user's.
    User(Box<User>),
    /// The address or the password is wrong. Which of them is not told.
    Wrong,
    /// There were too many attempts. The next one is possible after so many seconds.
    TooMany(u64),
}

/// Checks an email address and a password; `address` is the client's IP address.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`.
pub(crate) fn attempt(
    connection: &mut Connection,
    invocation: &Invocation,
    email: &str,
    password: &str,
    address: &str,
) -> Result<Attempt, Failure> {
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    let wait = seconds_to_wait(&mut transaction, email, address).map_err(failed)?;
    if wait > 0 {
        log::warn!("refused a sign-in from {address}: too many attempts");
        return Ok(Attempt::TooMany(wait));
    }
    record_attempt(&mut transaction, email, address).map_err(failed)?;
    let user = find_by_email(&mut transaction, email).map_err(failed)?;
    let hash = password_hash(&mut transaction, user.as_ref()).map_err(failed)?;
    transaction.commit()?;
    let is_right = password::verify(password, hash.as_deref());
    let Some(user) = user.filter(|_| is_right) else {
        log::warn!("refused a sign-in from {address}: wrong address or password");
        return Ok(Attempt::Wrong);
    };
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    record_sign_in(&mut transaction, &user).map_err(failed)?;
    transaction.commit()?;
    log::info!("user {} signed in from {address}", user.id);
    Ok(Attempt::User(Box::new(user)))
}

/// Sets the password of a user, ends the user's sessions and deletes the user's links. Returns the
/// generation of new sessions.
///
/// # Errors
/// Postgres's own.
pub(crate) fn set_password(
    transaction: &mut Transaction,
    user: &User,
    password: &str,
) -> Result<i64, postgres::Error> {
    let (id, hash) = (user.id.to_string(), password::hash(password));
    let statement = "UPDATE plain_lambda.users SET password_hash = $1 WHERE id::text = $2";
    transaction.rows(statement, &[Some(&hash), Some(&id)])?;
    super::link::void(transaction, user)?;
    super::end_sessions(transaction, user)
}

/// Records a successful sign-in: sets its time, and forgets the attempts for the address.
///
/// # Errors
/// Postgres's own.
pub(crate) fn record_sign_in(
    transaction: &mut Transaction,
    user: &User,
) -> Result<(), postgres::Error> {
    let (id, email) = (user.id.to_string(), &user.email);
    let forget = "DELETE FROM plain_lambda.sign_in_failures WHERE email = lower($1)";
    transaction.rows(forget, &[Some(email)])?;
    let statement = "UPDATE plain_lambda.users SET last_sign_in_at = now() WHERE id::text = $1";
    transaction.rows(statement, &[Some(&id)])?;
    Ok(())
}

/// Returns the seconds until another attempt is possible; 0 when it is at once.
fn seconds_to_wait(
    transaction: &mut Transaction,
    email: &str,
    address: &str,
) -> Result<u64, postgres::Error> {
    // The locks make attempts at the same time one after the other: otherwise none would see the
    // others. All take the lock of the IP address first, so that two do not wait for one another.
    let lock =
        "SELECT pg_advisory_xact_lock(hashtext('plain_lambda sign-in'), hashtext(lower($1)))::text";
    transaction.rows(lock, &[Some(address)])?;
    transaction.rows(lock, &[Some(email)])?;
    let statement = "
        SELECT count(*)::text, coalesce(extract(epoch FROM now() - max(at)), 0)::int::text
        FROM plain_lambda.sign_in_failures
        WHERE at > now() - interval '15 minutes' AND email = lower($1)
        UNION ALL
        SELECT count(*)::text, coalesce(extract(epoch FROM now() - max(at)), 0)::int::text
        FROM plain_lambda.sign_in_failures
        WHERE at > now() - interval '15 minutes' AND address = $2";
    let rows = transaction.rows(statement, &[Some(email), Some(address)])?;
    let number = |row: usize, column: usize| -> u64 {
        let value = rows.get(row).and_then(|row| row[column].as_deref());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    let waits = [(0, FREE_ATTEMPTS.0), (1, FREE_ATTEMPTS.1)].map(|(row, free)| {
        wait_after(number(row, 0), u64::from(free)).saturating_sub(number(row, 1))
    });
    Ok(waits[0].max(waits[1]))
}

/// Returns the seconds from the last of so many attempts to the next one.
fn wait_after(attempts: u64, free: u64) -> u64 {
    match attempts.checked_sub(free) {
        None => 0,
        Some(more) => (FIRST_WAIT << more.min(10)).min(LONGEST_WAIT),
    }
}

/// Records an attempt, and forgets the attempts that are older than a day.
fn record_attempt(
    transaction: &mut Transaction,
    email: &str,
    address: &str,
) -> Result<(), postgres::Error> {
    let old = "DELETE FROM plain_lambda.sign_in_failures WHERE at < now() - interval '1 day'";
    transaction.rows(old, &[])?;
    let statement = "INSERT INTO plain_lambda.sign_in_failures (email, address) VALUES (lower(left($1, 254)), $2)";
    transaction.rows(statement, &[Some(email), Some(address)])?;
    Ok(())
}

/// Returns the hash of a user's password, if the user exists and has one.
fn password_hash(
    transaction: &mut Transaction,
    user: Option<&User>,
) -> Result<Option<String>, postgres::Error> {
    let id = user.map_or(String::new(), |user| user.id.to_string());
    let statement = "SELECT password_hash FROM plain_lambda.users WHERE id::text = $1";
    let rows = transaction.rows(statement, &[Some(&id)])?;
    Ok(rows.into_iter().find_map(|mut row| row.remove(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_attempt_up_to_a_minute() {
        let waits: Vec<u64> = (0..12).map(|attempts| wait_after(attempts, 5)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(wait_after(u64::MAX, 5), 60);
    }
}
