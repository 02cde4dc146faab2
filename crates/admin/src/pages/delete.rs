//! `…/delete/{key...}`: deletes a row, after a page that says what becomes of the rows that refer
//! to it.

use super::row;
use crate::audit::{Action, Deed};
use crate::display_value::{list_path, row_path};
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, Transaction};
use records::catalog::{OnDelete, Table};
use records::related::{self, Related};
use records::row::Record;
use records::values;
use records::write::{self, Outcome};
use web::{Response, field};

#[derive(Template)]
#[template(path = "delete.html")]
struct Delete<'a> {
    table: &'a Table,
    title: String,
    list: String,
    back: String,
    version: &'a str,
    consequences: Vec<Consequence>,
    /// Whether the audit keeps every value of the row whole.
    is_kept: bool,
    /// Whether a row that refers to this one prevents the deletion.
    refused: bool,
    wrong: Option<String>,
}

/// What becomes of the rows of one table.
struct Consequence {
    words: String,
    class: &'static str,
}

/// Shows what would become of other rows, and asks whether to delete the row.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let (table, _, now) = row::find(&mut transaction, &catalog, request)?;
    if !table.may_delete {
        return Err(PageError::NotFound);
    }
    let related = related::going_with(&mut transaction, &catalog, table, &now)?;
    Ok(page(request, table, &now, related, 200, None))
}

/// Deletes the row, unless it has changed since the user was asked.
pub(super) fn delete(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadWrite)?;
    let (table, key, now) = row::find(&mut transaction, &catalog, request)?;
    if !table.may_delete {
        return Err(PageError::NotFound);
    }
    let ask = |transaction: &mut Transaction, record: &Record, status, wrong| {
        let related = related::going_with(transaction, &catalog, table, record);
        Ok(page(request, table, record, related?, status, wrong))
    };
    let fields = request.http.form()?;
    let version = field(&fields, "version");
    let related = related::going_with(&mut transaction, &catalog, table, &now)?;
    match write::delete(&mut transaction, table, &key, version)? {
        Outcome::Done(change) => {
            request.audit(&mut transaction, Action::Delete, table, &change)?;
            let key = values::encode(change.key.iter().map(Option::as_deref));
            for related in &related {
                let key = &key;
                let deed = Deed::Followed {
                    related,
                    table,
                    key,
                };
                request.record(&mut transaction, &deed)?;
            }
            transaction.commit()?;
            Ok(request.redirect(
                list_path(table, ""),
                &format!("{} was deleted.", now.title(table)),
            ))
        }
        Outcome::Conflict(record) => {
            let wrong = "Somebody else has changed this row since you opened it. Look at it again.";
            ask(&mut transaction, &record, 409, Some(wrong.to_string()))
        }
        Outcome::Refused(errors) => ask(
            &mut transaction,
            &now,
            422,
            errors.general.or(Some("Postgres refuses it.".to_string())),
        ),
        Outcome::Gone | Outcome::Unchanged => {
            let wrong = "The row no longer exists, or a rule or a trigger prevents its deletion.";
            ask(&mut transaction, &now, 409, Some(wrong.to_string()))
        }
    }
}

fn page(
    request: &SignedInRequest,
    table: &Table,
    record: &Record,
    related: Vec<Related>,
    status: u16,
    wrong: Option<String>,
) -> Response {
    let title = record.title(table);
    let key = record.key(table);
    let page = Delete {
        table,
        list: list_path(table, ""),
        back: row_path(table, key.iter().map(Option::as_deref)),
        version: &record.version,
        refused: related
            .iter()
            .any(|related| related.on_delete == OnDelete::Restrict),
        is_kept: record.complete.iter().all(|complete| *complete)
            && table.columns.iter().all(|column| !column.is_secret),
        consequences: related.iter().map(consequence).collect(),
        wrong,
        title: title.clone(),
    };
    request.page_with(status, &format!("Delete {title}"), &page)
}

fn consequence(related: &Related) -> Consequence {
    let rows = if related.count == 1 { "row" } else { "rows" };
    let count = format!("{} {rows}", related.counted());
    let table = related.table.title();
    let (words, class) = match related.on_delete {
        OnDelete::Cascade => (format!("{count} of {table} will be deleted, too."), "bad"),
        OnDelete::SetNull => (format!("{count} of {table} will refer to nothing."), "due"),
        OnDelete::Restrict => (
            format!("{count} of {table} will prevent it, as they refer to it."),
            "bad",
        ),
    };
    Consequence { words, class }
}
