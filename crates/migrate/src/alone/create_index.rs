//! `CREATE INDEX CONCURRENTLY`: when it fails, it leaves an invalid index, which `IF NOT EXISTS` then
//! takes for the wanted one.
//!
//! The indexes of the table are remembered before. One that is new is the statement's, whatever its
//! name, as the server may have chosen it. Drops only invalid indexes, and none that another session
//! is building.

use super::{Finding, Index, REMEMBERED, query, remembered_oids, select_indexes};
use crate::session::Session;
use std::thread;
use std::time::Duration;

const INDEXES: &str = select_indexes!("i.indrelid = to_regclass($1)");

/// The time between two looks at an index that another session is building.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn remember(session: &mut Session, table: &str) -> Result<String, postgres::Error> {
    let mut remembered = REMEMBERED.to_string();
    for index in indexes(session, table)? {
        remembered += &format!(" {}", index.oid);
    }
    Ok(remembered)
}

pub(super) fn look(
    session: &mut Session,
    table: &str,
    name: Option<&str>,
    remembered: Option<&str>,
) -> Result<Finding, postgres::Error> {
    let before = remembered.map(remembered_oids);
    for index in indexes(session, table)? {
        let is_named = name.is_none_or(|name| index.name == name);
        let is_new = match &before {
            None => false,
            Some(Some(oids)) => !oids.contains(&index.oid),
            // A run of an earlier release: an index that is named is the statement's, and of those
            // without a name only the invalid ones can be.
            Some(None) => name.is_some() || !index.valid,
        };
        if index.is_being_built || !is_named {
            continue;
        }
        if index.valid && is_new {
            return Ok(Finding::Done);
        }
        if !index.valid && (is_new || name.is_some()) {
            index.drop(session)?;
        }
    }
    Ok(Finding::Undone)
}

/// Waits while another session builds the index. An index that is invalid after that is dropped.
pub(super) fn check(
    session: &mut Session,
    table: &str,
    name: &str,
) -> Result<Finding, postgres::Error> {
    let mut has_waited = false;
    loop {
        let indexes = indexes(session, table)?;
        match indexes.iter().find(|index| index.name == name) {
            None if has_waited => return Ok(Finding::Undone),
            None => return Ok(Finding::Done),
            Some(index) if index.valid => return Ok(Finding::Done),
            Some(index) if !index.is_being_built => {
                index.drop(session)?;
                return Ok(Finding::Undone);
            }
            // The watchdog cancels the query when the time is over.
            Some(_) => thread::sleep(PAUSE),
        }
        has_waited = true;
    }
}

pub(super) fn clean_up(
    session: &mut Session,
    table: &str,
    remembered: &str,
) -> Result<(), postgres::Error> {
    let before = remembered_oids(remembered).unwrap_or_default();
    for index in indexes(session, table)? {
        if !index.valid && !index.is_being_built && !before.contains(&index.oid) {
            index.drop(session)?;
        }
    }
    Ok(())
}

fn indexes(session: &mut Session, table: &str) -> Result<Vec<Index>, postgres::Error> {
    let rows = query(session, INDEXES, table)?;
    Ok(rows.iter().map(Index::of).collect())
}
