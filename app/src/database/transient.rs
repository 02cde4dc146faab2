//! Which failures to connect pass by themselves. Pure.
//!
//! Neon's proxy gives every error the same SQLSTATE, so its words decide
//! (`proxy/src/compute`, `proxy/src/control_plane` of neondatabase/neon).

use postgres::error::{DbError, SqlState};

/// What a server or a proxy says while it wakes up, or is busy with others for a moment.
const PASSING: [&str; 6] = [
    "Couldn't connect to compute node",
    "Control plane request failed",
    "endpoint is temporarily unavailable",
    "Failed to acquire permit to connect to the database",
    "Too many connections to this endpoint",
    "Authentication timed out",
];

/// What stands behind some of the above and does not pass.
const STAYING: [&str; 3] = ["endpoint is disabled", "endpoint cannot be found", "quota"];

/// Whether the same attempt may succeed in a moment.
pub fn is_transient(error: &postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error: &DbError| {
        *error.code() == SqlState::CANNOT_CONNECT_NOW
            || *error.code() == SqlState::TOO_MANY_CONNECTIONS
            || passes(error.message())
    })
}

fn passes(message: &str) -> bool {
    let is_said = |words: &&str| message.contains(*words);
    // Neon advises of quotas with every endpoint that is temporarily unavailable.
    let unavailable = message.contains("endpoint is temporarily unavailable");
    PASSING.iter().any(is_said) && (unavailable || !STAYING.iter().any(is_said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_neon_says_while_it_wakes_up_passes_and_what_needs_a_person_stays() {
        assert!(passes("Couldn't connect to compute node"));
        assert!(passes("Control plane request failed"));
        assert!(passes(
            "Control plane request failed: endpoint is temporarily unavailable. Check your quotas \
             and/or contact our support."
        ));
        assert!(!passes(
            "Control plane request failed: endpoint is disabled"
        ));
        assert!(!passes(
            "Control plane request failed: endpoint cannot be found"
        ));
        assert!(!passes(
            "Control plane request failed: Your account exceeded its compute quota"
        ));
        assert!(!passes("password authentication failed for user \"u\""));
    }
}
