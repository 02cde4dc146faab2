//! One-time links: whoever has one may choose the person's password, once and within an hour.
//!
//! The database has their SHA-256 only, so that nobody who reads it can use them.

use super::{Person, find};
use crate::database::Transaction;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

/// A link's path before its token.
pub const PATH: &str = "/sign-in/";

/// A link.
#[derive(Debug)]
pub struct Link {
    /// Its path, with its secret.
    pub path: String,
    /// Until when it can be used, in UTC.
    pub expires_at: String,
}

/// Makes a link; the person's older ones are void.
///
/// # Errors
/// Postgres's own.
pub fn make(transaction: &mut Transaction, person: &Person) -> Result<Link, postgres::Error> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.expect("the kernel gives random bytes");
    let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let id = person.id.to_string();
    // Two links that are made at once are made one after the other.
    let lock = "SELECT id::text FROM plain_lambda.users WHERE id::text = $1 FOR UPDATE";
    transaction.rows(lock, &[Some(&id)])?;
    void(transaction, person)?;
    let statement = "INSERT INTO plain_lambda.sign_in_links (token_sha256, user_id, expires_at)
        VALUES ($1, $2::bigint, now() + interval '1 hour')
        RETURNING to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let rows = transaction.rows(statement, &[Some(&digest(&token)), Some(&id)])?;
    let expires_at = rows.into_iter().find_map(|mut row| row.remove(0));
    Ok(Link {
        path: format!("{PATH}{token}"),
        expires_at: expires_at.unwrap_or_default(),
    })
}

/// Whose link this is, if it can be used. Who holds the row lock is the one who uses it.
///
/// # Errors
/// Postgres's own.
pub fn holder(
    transaction: &mut Transaction,
    token: &str,
    lock: bool,
) -> Result<Option<Person>, postgres::Error> {
    let lock = if lock { "FOR UPDATE" } else { "" };
    let statement = format!(
        "SELECT user_id::text FROM plain_lambda.sign_in_links
         WHERE token_sha256 = $1 AND expires_at > now() {lock}"
    );
    let rows = transaction.rows(&statement, &[Some(&digest(token))])?;
    match rows.first().and_then(|row| row[0].as_deref()) {
        Some(id) => find(transaction, id),
        None => Ok(None),
    }
}

/// Makes all of a person's links void.
///
/// # Errors
/// Postgres's own.
pub fn void(transaction: &mut Transaction, person: &Person) -> Result<(), postgres::Error> {
    let statement = "DELETE FROM plain_lambda.sign_in_links WHERE user_id = $1::bigint";
    transaction.rows(statement, &[Some(&person.id.to_string())])?;
    Ok(())
}

fn digest(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}
