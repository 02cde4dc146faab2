//! The app's `/up?db` for those who read Postgres in another way: the same statement, the same
//! answer. Knows no client.

/// What the database's history of migrations holds.
pub const APPLIED: &str = "
    SELECT version, name, sha256, duration_ms, statements, begun, run,
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM plain_lambda.migrations";

/// The answer, when something is applied.
pub fn up(applied: usize) -> &'static str {
    match applied {
        0 => "migrations are pending\n",
        _ => "up\n",
    }
}
