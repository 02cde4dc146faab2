//! `/audit`: the entries of the audit, and a form that selects among them. The entries about users
//! and their sign-ins are for admins.

use crate::audit::{self, Entry, EntryFilter};
use crate::display_value::table_path;
use crate::{PageError, Role, SignedInRequest};
use askama::Template;
use database::{Access, Connection, wrong_value};
use records::catalog::Catalog;
use web::{Response, field, query};

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit<'a> {
    filter: &'a EntryFilter,
    /// Each with the address of its row.
    entries: Vec<(Entry, Option<String>)>,
    /// The address of the entries that follow.
    older: Option<String>,
    wrong: Option<String>,
}

/// Shows the entries that the query selects, the newest first.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let parameters = request.http.parameters()?;
    let text = |name: &str| field(&parameters, name).trim().to_string();
    let mut filter = EntryFilter {
        email: text("email"),
        schema: text("schema"),
        table: text("table"),
        key: text("key"),
        from: text("from"),
        to: text("to"),
        before: text("before"),
        with_users: request.user.role == Role::Admin,
    };
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let ((entries, more), wrong) = match audit::list(&mut transaction, &filter, audit::PAGE) {
        Ok(found) => (found, None),
        Err(error) => {
            let wrong = wrong_value(&error).ok_or(error)?;
            ((Vec::new(), false), Some(wrong))
        }
    };
    let older = entries.last().filter(|_| more).map(|last| {
        filter.before.clone_from(&last.id);
        path(&filter)
    });
    filter.before.clear();
    let status = if wrong.is_some() { 422 } else { 200 };
    let entries = entries.into_iter().map(|entry| {
        let href = href(&catalog, &entry);
        (entry, href)
    });
    let page = Audit {
        filter: &filter,
        entries: entries.collect(),
        older,
        wrong,
    };
    Ok(request.page_with(status, "Audit", &page))
}

/// Returns the address of an entry's row, or of an export's table; `None` when the entry is the
/// row's deletion, or its table is not shown or has no key.
pub(super) fn href(catalog: &Catalog, entry: &Entry) -> Option<String> {
    let table = catalog.find(&entry.schema, &entry.table)?;
    if entry.key.is_empty() {
        return Some(table_path(table, ""));
    }
    let has_page = entry.action != "deleted" && !table.key.is_empty();
    has_page.then(|| table_path(table, &format!("/row/{}", entry.key)))
}

/// Returns the address of the entries that a filter selects.
pub(super) fn path(filter: &EntryFilter) -> String {
    let pairs = [
        ("email", &filter.email),
        ("schema", &filter.schema),
        ("table", &filter.table),
        ("key", &filter.key),
        ("from", &filter.from),
        ("to", &filter.to),
        ("before", &filter.before),
    ];
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    format!(
        "/audit?{}",
        query(pairs.map(|(name, value)| (*name, value.as_str())))
    )
}
