//! `DROP INDEX CONCURRENTLY`: when it fails, the index may stay and be invalid; it can be dropped
//! again.
//!
//! The index is remembered before, by its object id: another one may have its name by then.

use super::{Finding, REMEMBERED, query, remembered_oids};
use crate::session::Session;

const OID: &str = "SELECT to_regclass($1)::oid::text";

const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = $1::text::oid)";

pub(super) fn remember(session: &mut Session, index: &str) -> Result<String, postgres::Error> {
    let rows = query(session, OID, index)?;
    let oid: Option<String> = rows.first().and_then(|row| row.get(0));
    Ok(format!("{REMEMBERED} {}", oid.unwrap_or_default()))
}

pub(super) fn look(
    session: &mut Session,
    index: &str,
    remembered: Option<&str>,
) -> Result<Finding, postgres::Error> {
    let Some(remembered) = remembered else {
        return Ok(Finding::Undone);
    };
    let exists = match remembered_oids(remembered).as_deref() {
        // There was no such index, so the statement is an error, or has IF EXISTS.
        Some([]) => true,
        Some([oid, ..]) => {
            let rows = query(session, EXISTS, &oid.to_string())?;
            rows.iter().any(|row| row.get(0))
        }
        // A run of an earlier release.
        None => {
            let rows = query(session, OID, index)?;
            rows.iter()
                .any(|row| row.get::<_, Option<String>>(0).is_some())
        }
    };
    Ok(match exists {
        true => Finding::Undone,
        false => Finding::Done,
    })
}
