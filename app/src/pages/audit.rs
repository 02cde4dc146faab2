//! `/audit`: who has changed what.

use super::errors::Stop;
use super::gate::Visit;
use crate::audit::{self, Entry, Wanted};
use crate::catalogue::Catalogue;
use crate::database::{Access, Connection, wrong_value};
use crate::http::{Response, field, query};
use askama::Template;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit<'a> {
    wanted: &'a Wanted,
    entries: Vec<(Entry, Option<String>)>,
    older: Option<String>,
    wrong: Option<String>,
}

/// The entries that are asked for, the newest first.
pub fn show(visit: &Visit, connection: &mut Connection, _: &[&str]) -> Result<Response, Stop> {
    let parameters = visit.request.parameters()?;
    let text = |name: &str| field(&parameters, name).trim().to_string();
    let mut wanted = Wanted {
        email: text("email"),
        schema: text("schema"),
        table: text("table"),
        key: text("key"),
        from: text("from"),
        to: text("to"),
        before: text("before"),
    };
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let ((entries, more), wrong) = match audit::list(&mut transaction, &wanted, audit::PAGE) {
        Ok(found) => (found, None),
        Err(error) => {
            let wrong = wrong_value(&error).ok_or(error)?;
            ((Vec::new(), false), Some(wrong))
        }
    };
    let older = entries.last().filter(|_| more).map(|last| {
        wanted.before.clone_from(&last.id);
        path(&wanted)
    });
    wanted.before.clear();
    let status = if wrong.is_some() { 422 } else { 200 };
    let page = Audit {
        wanted: &wanted,
        entries: { entries.into_iter() }
            .map(|entry| {
                let href = href(&catalogue, &entry);
                (entry, href)
            })
            .collect(),
        older,
        wrong,
    };
    Ok(visit.page_with(status, "/audit", "Audit", &page))
}

/// The row's page, while there is such a table and the row was not deleted.
pub fn href(catalogue: &Catalogue, entry: &Entry) -> Option<String> {
    let table = catalogue.find(&entry.schema, &entry.table)?;
    let there = entry.action != "deleted" && !table.key.is_empty();
    there.then(|| super::cell::table_path(table, &format!("/row/{}", entry.key)))
}

/// Where these entries are.
pub fn path(wanted: &Wanted) -> String {
    let pairs = [
        ("email", &wanted.email),
        ("schema", &wanted.schema),
        ("table", &wanted.table),
        ("key", &wanted.key),
        ("from", &wanted.from),
        ("to", &wanted.to),
        ("before", &wanted.before),
    ];
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    format!(
        "/audit?{}",
        query(pairs.map(|(name, value)| (*name, value.as_str())))
    )
}
