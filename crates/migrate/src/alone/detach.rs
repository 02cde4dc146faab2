//! `DETACH PARTITION … CONCURRENTLY`: when it is interrupted, the partition stays attached with its
//! detaching pending, and the same statement is an error from then on: `FINALIZE` ends it.
//!
//! Nothing has to be remembered, as the catalog says all of it.

use super::Finding;
use crate::session::Session;
use postgres::types::Type;

const IS_PENDING: &str = "
    SELECT inhdetachpending FROM pg_inherits
    WHERE inhparent = to_regclass($1) AND inhrelid = to_regclass($2)";

pub(super) fn look(
    session: &mut Session,
    table: &str,
    partition: &str,
    may_be_done: bool,
) -> Result<Finding, postgres::Error> {
    let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 2] =
        [(&table, Type::TEXT), (&partition, Type::TEXT)];
    let row = session.query_typed_opt(IS_PENDING, &parameters)?;
    match row.map(|row| row.get(0)) {
        Some(true) => {
            log::warn!("finalizing the detaching of {partition}, which an earlier run has begun");
            session.batch_execute(&format!(
                "ALTER TABLE {table} DETACH PARTITION {partition} FINALIZE"
            ))?;
            Ok(Finding::Done)
        }
        None if may_be_done => Ok(Finding::Done),
        Some(false) | None => Ok(Finding::Undone),
    }
}
