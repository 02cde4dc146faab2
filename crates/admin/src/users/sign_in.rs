//! Checks an address and a password, and makes a client that guesses wait longer each time.
//!
//! The attempts of a browser that has signed in to the account before are counted for themselves:
//! nobody else makes it wait. All others are counted by account and by network, however many IP
//! addresses they come from. An attempt is recorded before the password is checked, so that attempts
//! at the same time all count. Knows no page and no session.

use super::{User, email, find_by_email, password};
use crate::audit;
use crate::schema::failed;
use database::{Access, Connection, Transaction};
use handler::{Failure, Invocation};

/// What a count of attempts is of, and how many of a quarter of an hour need no wait.
type Limit = (&'static str, u64);

/// The limit of a browser that has signed in to the account before.
const OF_KNOWN: [Limit; 1] = [("device = $3", 5)];

/// The limits of all other browsers: of an account from one network, of an account from anywhere,
/// and of a network. With the waits below, an account has 89 attempts in an hour at most, of the 100
/// that ASVS 4.0.3, 2.2.1 allows.
const OF_OTHERS: [Limit; 3] = [
    ("device IS NULL AND email = $1 AND address = $2", 5),
    ("device IS NULL AND email = $1", 15),
    ("device IS NULL AND address = $2", 20),
];

/// Seconds to wait after the last of these attempts; doubles with each further attempt.
const FIRST_WAIT: u64 = 5;

/// Seconds to wait at most, so that a user can sign in soon after somebody else has guessed.
const LONGEST_WAIT: u64 = 60;

/// The client of an attempt.
pub(crate) struct Client<'a> {
    /// The IP address, for the log and the audit.
    pub address: &'a str,
    /// The network of the address, by which attempts are counted.
    pub network: String,
    /// The random text of the browser's cookie, if the browser has signed in to the account before.
    pub device: Option<String>,
}

/// The result of an attempt to sign in.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The address and the password are this user's; with the hash that the password has.
    User(Box<User>, String),
    /// The address or the password is wrong. Which of them is not told.
    Wrong,
    /// There were too many attempts. The next one is possible after so many seconds.
    TooMany(u64),
}

/// Checks an email address and a password. The caller records a success.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`.
pub(crate) fn attempt(
    connection: &mut Connection,
    invocation: &Invocation,
    email: &str,
    password: &str,
    client: &Client,
) -> Result<Attempt, Failure> {
    // A text that cannot be an address is nobody's.
    let email = email::normalize(email).unwrap_or_default();
    let address = client.address;
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    let wait = seconds_to_wait(&mut transaction, &email, client).map_err(failed)?;
    if wait > 0 {
        log::warn!("refused a sign-in from {address}: too many attempts");
        return Ok(Attempt::TooMany(wait));
    }
    record_attempt(&mut transaction, &email, client).map_err(failed)?;
    let user = find_by_email(&mut transaction, &email).map_err(failed)?;
    let hash = password_hash(&mut transaction, user.as_ref()).map_err(failed)?;
    transaction.commit()?;
    let is_right = password::verify(password, hash.as_deref());
    if let (true, Some(user), Some(hash)) = (is_right, &user, hash) {
        return Ok(Attempt::User(Box::new(user.clone()), hash));
    }
    log::warn!("refused a sign-in from {address}: wrong address or password");
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    audit::count_refusal(&mut transaction, user.as_ref(), &invocation.request_id)?;
    transaction.commit()?;
    Ok(Attempt::Wrong)
}

/// Sets the password of a user, ends the user's sessions and deletes the user's links.
///
/// # Errors
/// Postgres's own.
pub(crate) fn set_password(
    transaction: &mut Transaction,
    user: &User,
    password: &str,
) -> Result<(), postgres::Error> {
    let (id, hash) = (user.id.to_string(), password::hash(password));
    let statement = "UPDATE plain_lambda.users SET password_hash = $1 WHERE id::text = $2";
    transaction.rows(statement, &[Some(&hash), Some(&id)])?;
    super::link::void(transaction, user)?;
    super::sessions::end_all(transaction, user)
}

/// Forgets the attempts of a client whose password was right, and no other client's.
///
/// # Errors
/// Postgres's own.
pub(crate) fn forget_attempts(
    transaction: &mut Transaction,
    user: &User,
    client: &Client,
) -> Result<(), postgres::Error> {
    let forget = "DELETE FROM plain_lambda.sign_in_failures
        WHERE email = lower($1) AND (device = $3 OR $3 IS NULL AND device IS NULL AND address = $2)";
    transaction.rows(forget, &client.parameters(&user.email))?;
    Ok(())
}

/// Sets the time of a user's last sign-in. Returns `false` when the password no longer has the
/// `hash` with which it was checked: somebody has changed it meanwhile.
///
/// # Errors
/// Postgres's own.
pub(crate) fn set_time(
    transaction: &mut Transaction,
    user: &User,
    hash: Option<&str>,
) -> Result<bool, postgres::Error> {
    // The update waits for another one of this user, and then compares with what that one wrote.
    let statement = "UPDATE plain_lambda.users SET last_sign_in_at = now()
        WHERE id = $1::bigint AND ($2 IS NULL OR password_hash = $2) RETURNING id::text";
    let rows = transaction.rows(statement, &[Some(&user.id.to_string()), hash])?;
    Ok(!rows.is_empty())
}

impl Client<'_> {
    fn parameters<'a>(&'a self, email: &'a str) -> [Option<&'a str>; 3] {
        [Some(email), Some(&self.network), self.device.as_deref()]
    }
}

/// Returns the seconds until another attempt is possible; 0 when it is at once.
fn seconds_to_wait(
    transaction: &mut Transaction,
    email: &str,
    client: &Client,
) -> Result<u64, postgres::Error> {
    // The locks make attempts at the same time one after the other: otherwise none would see the
    // others. All take the lock of the network first, so that two do not wait for one another. A
    // known browser takes its own lock only: otherwise it would wait for others.
    let lock = "SELECT pg_advisory_xact_lock(hashtext('plain_lambda sign-in'), hashtext($1))::text";
    let (limits, locks): (&[Limit], _) = match client.device.as_deref() {
        Some(device) => (&OF_KNOWN, vec![device]),
        None => (&OF_OTHERS, vec![client.network.as_str(), email]),
    };
    for name in locks {
        transaction.rows(lock, &[Some(name)])?;
    }
    let counts = limits.iter().map(|(condition, _)| {
        let filter = format!("FILTER (WHERE {condition})");
        format!(
            "count(*) {filter}::text, \
             coalesce(extract(epoch FROM now() - max(at) {filter}), 0)::int::text"
        )
    });
    let statement = format!(
        "SELECT {} FROM plain_lambda.sign_in_failures
         WHERE at > now() - interval '15 minutes' AND (email = $1 OR address = $2 OR device = $3)",
        counts.collect::<Vec<_>>().join(", ")
    );
    let rows = transaction.rows(&statement, &client.parameters(email))?;
    let number = |text: &Option<String>| -> u64 {
        let text = text.as_deref().unwrap_or_default();
        text.parse().unwrap_or(0)
    };
    // The number of attempts and the seconds since the last one, for each limit.
    let counted = rows.iter().flat_map(|row| row.chunks_exact(2)).zip(limits);
    let waits = counted.map(|(counted, (_, free))| {
        wait_after(number(&counted[0]), *free).saturating_sub(number(&counted[1]))
    });
    Ok(waits.max().unwrap_or(0))
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
    client: &Client,
) -> Result<(), postgres::Error> {
    let old = "DELETE FROM plain_lambda.sign_in_failures WHERE at < now() - interval '1 day'";
    transaction.rows(old, &[])?;
    let statement = "INSERT INTO plain_lambda.sign_in_failures (email, address, device)
        VALUES ($1, $2, $3)";
    transaction.rows(statement, &client.parameters(email))?;
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
