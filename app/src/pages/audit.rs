//! `/audit`: who has changed what.

use super::errors;
use super::gate::Visit;
use crate::Failure;
use crate::audit::{self, Entry, Wanted};
use crate::catalogue::Catalogue;
use crate::database::{Access, Connection, failed};
use crate::http::{Response, field};
use crate::records::values::escape;
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
pub fn show(visit: &Visit, connection: &mut Connection, _: &[&str]) -> Result<Response, Failure> {
    let parameters = match visit.request.parameters() {
        Ok(parameters) => parameters,
        Err(why) => return Ok(errors::unreadable(visit.request, why)),
    };
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
    transaction.execute("SAVEPOINT audit").map_err(failed)?;
    let (mut entries, wrong) = match audit::list(&mut transaction, &wanted, audit::PAGE) {
        Ok(entries) => (entries, None),
        Err(error) => {
            let code = error.code().map_or("", |code| code.code()).to_string();
            let message = error
                .as_db_error()
                .map(|error| format!("Nothing can be found: {}.", error.message()));
            if !code.starts_with("22") {
                return Err(failed(error));
            }
            (Vec::new(), message)
        }
    };
    let more = entries.len() > audit::PAGE;
    entries.truncate(audit::PAGE);
    let older = entries.last().filter(|_| more).map(|last| {
        wanted.before.clone_from(&last.id);
        format!("/audit?{}", query(&wanted))
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

fn query(wanted: &Wanted) -> String {
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
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    pairs.join("&")
}
