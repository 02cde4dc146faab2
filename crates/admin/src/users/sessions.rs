//! The sessions that have not ended: the table `plain_lambda.sessions`.
//!
//! The database has only the SHA-256 of a session's token. A row counts only where it was written:
//! it holds the table's OID and its own transaction's id, and a row that was restored from a dump
//! has others. Knows no cookie and no page.

use super::{User, digest};
use crate::session::LONGEST;
use database::Transaction;

/// The condition that holds while users are changed without the password again.
pub(crate) const IS_CONFIRMED: &str = "confirmed_at > now() - interval '15 minutes'";

/// The origin of a row that the current transaction writes. `xmin` has the lower half of a
/// transaction's id.
const ORIGIN: &str = "'plain_lambda.sessions'::regclass::oid::text || '.' || \
    (txid_current() & 4294967295)::text";

/// Returns the condition that selects the rows which are sessions.
pub(crate) fn is_current() -> String {
    format!(
        "origin = sessions.tableoid::text || '.' || sessions.xmin::text \
         AND signed_in_at > now() - interval '{LONGEST} seconds'"
    )
}

/// Begins a session of a user, and forgets the sessions of all users that are too old.
///
/// # Errors
/// Postgres's own.
pub(crate) fn begin(
    transaction: &mut Transaction,
    user: &User,
    token: &str,
) -> Result<(), postgres::Error> {
    let old = format!(
        "DELETE FROM plain_lambda.sessions WHERE token_sha256 IN (
             SELECT token_sha256 FROM plain_lambda.sessions WHERE NOT ({}) FOR UPDATE SKIP LOCKED)",
        is_current()
    );
    transaction.rows(&old, &[])?;
    let statement = format!(
        "INSERT INTO plain_lambda.sessions (token_sha256, user_id, origin)
         VALUES ($1, $2::bigint, {ORIGIN})"
    );
    let parameters = [Some(digest(token)), Some(user.id.to_string())];
    transaction.rows(&statement, &parameters.each_ref().map(Option::as_deref))?;
    Ok(())
}

/// Records that the user of a session has given the password again.
///
/// # Errors
/// Postgres's own.
pub(crate) fn confirm(transaction: &mut Transaction, token: &str) -> Result<(), postgres::Error> {
    let statement = format!(
        "UPDATE plain_lambda.sessions SET confirmed_at = now(), origin = {ORIGIN}
         WHERE token_sha256 = $1 AND {}",
        is_current()
    );
    transaction.rows(&statement, &[Some(&digest(token))])?;
    Ok(())
}

/// Ends one session.
///
/// # Errors
/// Postgres's own.
pub(crate) fn end(transaction: &mut Transaction, token: &str) -> Result<(), postgres::Error> {
    let statement = "DELETE FROM plain_lambda.sessions WHERE token_sha256 = $1";
    transaction.rows(statement, &[Some(&digest(token))])?;
    Ok(())
}

/// Ends all sessions of a user.
///
/// # Errors
/// Postgres's own.
pub(crate) fn end_all(transaction: &mut Transaction, user: &User) -> Result<(), postgres::Error> {
    let statement = "DELETE FROM plain_lambda.sessions WHERE user_id = $1::bigint";
    transaction.rows(statement, &[Some(&user.id.to_string())])?;
    Ok(())
}
