//! One-time links: the holder of a link may choose the password of its user, once and within an
//! hour.
//!
//! The database has only the SHA-256 of a link's token, so that reading it is not enough to use a
//! link. Knows no page.

use super::{User, digest, find};
use crate::secrets::random_token;
use database::Transaction;

/// The path of a link, without its token.
pub(crate) const PATH: &str = "/sign-in/";

/// A one-time link.
#[derive(Debug)]
pub(crate) struct Link {
    /// The path with its token, which is a secret.
    pub path: String,
    /// The time when the link expires, `YYYY-MM-DDTHH:MM:SSZ`.
    pub expires_at: String,
}

/// Makes a link for a user, whose older links no longer work.
///
/// # Errors
/// Postgres's own.
pub(crate) fn make(transaction: &mut Transaction, user: &User) -> Result<Link, postgres::Error> {
    let token = random_token();
    let id = user.id.to_string();
    // The lock makes two links at once one after the other, so that only the second works.
    let lock = "SELECT id::text FROM plain_lambda.users WHERE id::text = $1 FOR UPDATE";
    transaction.rows(lock, &[Some(&id)])?;
    void(transaction, user)?;
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

/// Returns the user whose link this is, if the link can be used. `lock` locks the link until the
/// transaction ends, so that of two requests at once only one can use it.
///
/// # Errors
/// Postgres's own.
pub(crate) fn holder(
    transaction: &mut Transaction,
    token: &str,
    lock: bool,
) -> Result<Option<User>, postgres::Error> {
    let lock = if lock { "FOR UPDATE" } else { "" };
    let statement = format!(
        "SELECT user_id::text FROM plain_lambda.sign_in_links
         WHERE token_sha256 = $1 AND expires_at > now() {lock}"
    );
    let rows = transaction.rows(&statement, &[Some(&digest(token))])?;
    match rows.first().and_then(|row| row[0].as_deref()?.parse().ok()) {
        Some(id) => find(transaction, id),
        None => Ok(None),
    }
}

/// Deletes all links of a user.
///
/// # Errors
/// Postgres's own.
pub(crate) fn void(transaction: &mut Transaction, user: &User) -> Result<(), postgres::Error> {
    let statement = "DELETE FROM plain_lambda.sign_in_links WHERE user_id = $1::bigint";
    transaction.rows(statement, &[Some(&user.id.to_string())])?;
    Ok(())
}
