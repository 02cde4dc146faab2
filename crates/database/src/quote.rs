//! Quotes a name as an identifier in SQL: the only function that does it.
//!
//! Knows no table.

/// Quotes a name as an identifier in SQL, whatever characters it has ("Identifiers and Key Words",
/// Postgres manual).
///
/// ```
/// assert_eq!(database::quote("order"), "\"order\"");
/// assert_eq!(database::quote("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
/// ```
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
