//! `REINDEX … CONCURRENTLY`: when it fails, it leaves an invalid copy of an index, whose name ends in
//! `_ccnew` or `_ccold`, and which every write has to maintain.
//!
//! The copies that are there before are remembered; those that are new are the statement's.

use super::{Finding, Index, REMEMBERED, remembered_oids, select_indexes};
use crate::session::Session;

const LEFTOVERS: &str = select_indexes!("NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'");

pub(super) fn remember(session: &mut Session) -> Result<String, postgres::Error> {
    let mut remembered = REMEMBERED.to_string();
    for index in leftovers(session)? {
        remembered += &format!(" {}", index.oid);
    }
    Ok(remembered)
}

pub(super) fn look(
    session: &mut Session,
    remembered: Option<&str>,
) -> Result<Finding, postgres::Error> {
    if let Some(remembered) = remembered {
        clean_up(session, remembered)?;
    }
    Ok(Finding::Undone)
}

pub(super) fn clean_up(session: &mut Session, remembered: &str) -> Result<(), postgres::Error> {
    let before = remembered_oids(remembered).unwrap_or_default();
    for index in leftovers(session)? {
        if !index.is_being_built && !before.contains(&index.oid) {
            index.drop(session)?;
        }
    }
    Ok(())
}

fn leftovers(session: &mut Session) -> Result<Vec<Index>, postgres::Error> {
    let rows = session.query_typed(LEFTOVERS, &[])?;
    Ok(rows.iter().map(Index::of).collect())
}
