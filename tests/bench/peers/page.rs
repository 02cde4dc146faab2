//! The query and the answer of `/up?db`, for peers with another Postgres client. Knows no client.

/// The query that reads the history of migrations.
pub const APPLIED: &str = "
    SELECT version, name, sha256, duration_ms, statements, begun, run,
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), remembered,
           progress::text
    FROM plain_lambda.migrations";

/// Returns the answer for the number of applied migrations.
pub fn up(applied: usize) -> &'static str {
    match applied {
        0 => "migrations are pending\n",
        _ => "up\n",
    }
}
