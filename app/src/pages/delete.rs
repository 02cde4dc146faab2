//! `…/delete/<key>`: says what would go with a row, and asks.

use super::cell::{list_path, row_path};
use super::editor::record;
use super::errors::Stop;
use super::gate::Visit;
use super::row;
use crate::audit::Action;
use crate::catalogue::{OnDelete, Table};
use crate::database::{Access, Connection, Transaction};
use crate::http::{Response, field};
use crate::records::related::{self, Related};
use crate::records::row::Record;
use crate::records::write::{self, Outcome};
use askama::Template;

#[derive(Template)]
#[template(path = "delete.html")]
struct Delete<'a> {
    table: &'a Table,
    title: String,
    list: String,
    back: String,
    version: &'a str,
    consequences: Vec<Consequence>,
    refused: bool,
    wrong: Option<String>,
}

struct Consequence {
    words: String,
    class: &'static str,
}

/// Asks; by POST, deletes.
pub fn show(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadWrite)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let (table, key, now) = row::find(&mut transaction, &catalogue, path)?;
    if !table.may_delete {
        return Err(Stop::NotFound);
    }
    let ask = |transaction: &mut Transaction, record: &Record, status, wrong| {
        let related = related::going_with(transaction, &catalogue, table, record);
        Ok(page(visit, table, record, related?, status, wrong))
    };
    if visit.request.method != "POST" {
        return ask(&mut transaction, &now, 200, None);
    }
    let fields = visit.request.form()?;
    let version = field(&fields, "version");
    match write::delete(&mut transaction, table, &key, version)? {
        Outcome::Done(change) => {
            record(visit, &mut transaction, Action::Delete, table, &change)?;
            transaction.commit()?;
            Ok(visit.go(
                list_path(table, ""),
                &format!("{} was deleted.", now.title(table)),
            ))
        }
        Outcome::Meanwhile(record) => {
            let wrong = "Somebody else has changed this row since you opened it. Look at it again.";
            ask(&mut transaction, &record, 409, Some(wrong.to_string()))
        }
        Outcome::Refused(refusal) => ask(
            &mut transaction,
            &now,
            422,
            refusal.general.or(Some("It is refused.".to_string())),
        ),
        Outcome::Gone | Outcome::Same => {
            let wrong = "The row is not there any more, or a rule of its table keeps it.";
            ask(&mut transaction, &now, 409, Some(wrong.to_string()))
        }
    }
}

fn page(
    visit: &Visit,
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
            .any(|related| related.on_delete == OnDelete::Refuse),
        consequences: related.iter().map(consequence).collect(),
        wrong,
        title: title.clone(),
    };
    visit.page_with(status, "/tables", &format!("Delete {title}"), &page)
}

fn consequence(related: &Related) -> Consequence {
    let (count, rows) = (
        related.count,
        if related.count == 1 { "row" } else { "rows" },
    );
    let count = match related.more {
        true => format!("at least {count} {rows}"),
        false => format!("{count} {rows}"),
    };
    let table = related.table.title();
    let (words, class) = match related.on_delete {
        OnDelete::Cascade => (format!("{count} of {table} will be deleted, too."), "bad"),
        OnDelete::Unset => (format!("{count} of {table} will refer to nothing."), "due"),
        OnDelete::Refuse => (
            format!("{count} of {table} will prevent it, as they refer to it."),
            "bad",
        ),
    };
    Consequence { words, class }
}
