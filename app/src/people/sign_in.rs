//! Whether somebody is who they say, and how long who guesses has to wait.
//!
//! An attempt is written down before it is judged, so that many at once count as many.

use super::{Person, find_by_email, password};
use crate::database::{Access, Connection, Transaction, failed};
use crate::{Failure, Invocation};

/// Attempts of a quarter of an hour that cost no waiting: for an address, and from one place.
const FREE: (u32, u32) = (5, 20);

/// Seconds to wait after the first attempt too many; it doubles with each, up to a limit, so that
/// nobody can lock another person out.
const FIRST_WAIT: u64 = 5;
const LONGEST_WAIT: u64 = 60;

/// What an attempt came to.
#[derive(Debug)]
pub enum Attempt {
    /// It is this person.
    Person(Box<Person>),
    /// The address or the password is wrong, and nobody learns which.
    Wrong,
    /// There were too many; so many seconds have to pass.
    TooMany(u64),
}

/// Judges an address and a password.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`.
pub fn attempt(
    connection: &mut Connection,
    invocation: &Invocation,
    email: &str,
    password: &str,
    address: &str,
) -> Result<Attempt, Failure> {
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    let wait = wait(&mut transaction, email, address).map_err(failed)?;
    if wait > 0 {
        log::warn!("refused a sign-in from {address}: too many attempts");
        return Ok(Attempt::TooMany(wait));
    }
    remember(&mut transaction, email, address).map_err(failed)?;
    let person = find_by_email(&mut transaction, email).map_err(failed)?;
    let kept = kept(&mut transaction, person.as_ref()).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    let right = password::verify(password, kept.as_deref());
    let Some(person) = person.filter(|_| right) else {
        log::warn!("refused a sign-in from {address}: wrong address or password");
        return Ok(Attempt::Wrong);
    };
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    welcome(&mut transaction, &person).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    log::info!("person {} signed in from {address}", person.id);
    Ok(Attempt::Person(Box::new(person)))
}

/// Keeps a person's new password; all sessions end. Gives the generation of new ones.
///
/// # Errors
/// Postgres's own.
pub fn set_password(
    transaction: &mut Transaction,
    person: &Person,
    password: &str,
) -> Result<i64, postgres::Error> {
    let (id, kept) = (person.id.to_string(), password::hash(password));
    let statement = "UPDATE plain_lambda.users SET password_hash = $1 WHERE id::text = $2";
    transaction.rows(statement, &[Some(&kept), Some(&id)])?;
    super::link::void(transaction, person)?;
    super::end_sessions(transaction, person)
}

/// What follows from somebody's being who they say.
///
/// # Errors
/// Postgres's own.
pub fn welcome(transaction: &mut Transaction, person: &Person) -> Result<(), postgres::Error> {
    let (id, email) = (person.id.to_string(), &person.email);
    let forget = "DELETE FROM plain_lambda.sign_in_failures WHERE email = lower($1)";
    transaction.rows(forget, &[Some(email)])?;
    let statement = "UPDATE plain_lambda.users SET last_sign_in_at = now() WHERE id::text = $1";
    transaction.rows(statement, &[Some(&id)])?;
    Ok(())
}

/// Seconds until another attempt is judged.
fn wait(transaction: &mut Transaction, email: &str, address: &str) -> Result<u64, postgres::Error> {
    // Those at the same moment wait for each other here, or none would see the others: always for
    // the place first, so that no two wait for one another.
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
    let waits = [(0, FREE.0), (1, FREE.1)]
        .map(|(row, free)| due(number(row, 0), u64::from(free)).saturating_sub(number(row, 1)));
    Ok(waits[0].max(waits[1]))
}

/// Seconds that lie between the last of so many attempts and the next.
fn due(attempts: u64, free: u64) -> u64 {
    match attempts.checked_sub(free) {
        None => 0,
        Some(more) => (FIRST_WAIT << more.min(10)).min(LONGEST_WAIT),
    }
}

fn remember(
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

fn kept(
    transaction: &mut Transaction,
    person: Option<&Person>,
) -> Result<Option<String>, postgres::Error> {
    let id = person.map_or(String::new(), |person| person.id.to_string());
    let statement = "SELECT password_hash FROM plain_lambda.users WHERE id::text = $1";
    let rows = transaction.rows(statement, &[Some(&id)])?;
    Ok(rows.into_iter().find_map(|mut row| row.remove(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_longer_each_time_and_nobody_for_ever() {
        let waits: Vec<u64> = (0..12).map(|attempts| due(attempts, 5)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(due(u64::MAX, 5), 60);
    }
}
