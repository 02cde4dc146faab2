//! `/tables/<schema>/<table>/row/<key>`: one row, what refers to it, and its history.

use super::cell::{self, Shown, list_path, table_path};
use super::errors::Stop;
use super::gate::Visit;
use super::list;
use crate::audit::{self, Entry, Wanted};
use crate::catalogue::{Catalogue, Column, Kind, Table};
use crate::database::{Access, Connection, Transaction, wrong_value};
use crate::http::Response;
use crate::records::labels::{self, Labels};
use crate::records::related::{self, Related};
use crate::records::row::{self, Record};
use crate::records::values;
use askama::Template;

/// Changes of a row that its page shows.
const HISTORY: usize = 10;

#[derive(Template)]
#[template(path = "row.html")]
struct Row<'a> {
    table: &'a Table,
    list: String,
    title: String,
    values: Vec<(&'a Column, Shown)>,
    links: Vec<Link>,
    history: Vec<Entry>,
    all_history: String,
    edit: Option<String>,
    delete: Option<String>,
}

struct Link {
    href: String,
    words: String,
    count: String,
}

/// The row.
pub fn show(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let (table, key, record) = find(&mut transaction, &catalogue, path)?;
    let key = values::encode(key.iter().map(Option::as_deref));
    let texts: Vec<Option<&str>> = record.values.iter().map(Option::as_deref).collect();
    let labels = labels::of_rows(&mut transaction, &catalogue, table, [texts].into_iter());
    let labels = labels?;
    let related = related::referring(&mut transaction, &catalogue, table, &record);
    let wanted = Wanted {
        schema: table.schema.clone(),
        table: table.name.clone(),
        key: key.clone(),
        ..Wanted::default()
    };
    let (history, _) = audit::list(&mut transaction, &wanted, HISTORY)?;
    let title = record.title(table);
    let may = |right: bool, verb: &str| {
        (visit.may_edit() && right).then(|| table_path(table, &format!("/{verb}/{key}")))
    };
    let page = Row {
        table,
        list: list_path(table, ""),
        values: shown(&catalogue, table, &record, &labels),
        links: links(table, &record, related?),
        history,
        all_history: super::audit::path(&wanted),
        edit: may(table.may_update, "edit"),
        delete: may(table.may_delete, "delete"),
        title: title.clone(),
    };
    Ok(visit.page("/tables", &format!("{} {title}", table.name), &page))
}

/// A row with its table and its key.
pub type Found<'a> = (&'a Table, Vec<Option<String>>, Record);

/// The row that a path names.
///
/// # Errors
/// `NotFound`, and those of asking.
pub fn find<'a>(
    transaction: &mut Transaction,
    catalogue: &'a Catalogue,
    path: &[&str],
) -> Result<Found<'a>, Stop> {
    let table = list::find(catalogue, path)?;
    let key: Vec<Option<String>> = { path[4..].iter() }
        .map(|value| values::unmark((*value).to_string()))
        .collect();
    match row::find(transaction, table, &key, false) {
        Ok(Some(record)) => Ok((table, key, record)),
        Ok(None) => Err(Stop::NotFound),
        // A value that its column cannot have is no row's.
        Err(error) if wrong_value(&error).is_some() => Err(Stop::NotFound),
        Err(error) => Err(error.into()),
    }
}

fn shown<'a>(
    catalogue: &Catalogue,
    table: &'a Table,
    record: &Record,
    labels: &Labels,
) -> Vec<(&'a Column, Shown)> {
    let texts: Vec<Option<&str>> = record.values.iter().map(Option::as_deref).collect();
    let columns = table.columns.iter().enumerate();
    { columns }
        .map(|(at, column)| {
            let mut shown = cell::linked(catalogue, table, at, &texts, labels);
            shown.is_code = matches!(column.kind, Kind::Json | Kind::Bytes)
                || shown.text.as_ref().is_some_and(|text| text.contains('\n'));
            if column.kind == Kind::Json {
                shown.text = shown.text.map(|json| pretty(&json));
            }
            (column, shown)
        })
        .collect()
}

/// JSON on lines of its own, every number and every repeated key as it is: nothing is parsed.
fn pretty(json: &str) -> String {
    let (mut pretty, mut depth, mut in_string) = (String::new(), 0, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => in_string = !in_string,
            _ if in_string => {
                pretty.push(character);
                if character == '\\' {
                    pretty.extend(characters.next());
                }
                continue;
            }
            ' ' | '\n' | '\t' | '\r' => continue,
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth -= 1;
                if !pretty.ends_with(['{', '[']) {
                    break_line(&mut pretty, depth);
                }
            }
            _ => {}
        }
        pretty.push(character);
        match character {
            ':' if !in_string => pretty.push(' '),
            ',' if !in_string => break_line(&mut pretty, depth),
            '{' | '[' if !in_string => {
                while characters
                    .peek()
                    .is_some_and(|next| next.is_ascii_whitespace())
                {
                    characters.next();
                }
                if !matches!(characters.peek(), Some('}' | ']')) {
                    break_line(&mut pretty, depth);
                }
            }
            _ => {}
        }
    }
    pretty
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
}

fn links(table: &Table, record: &Record, related: Vec<Related>) -> Vec<Link> {
    let related = related.into_iter().filter(|related| related.count > 0);
    { related }
        .map(|related| {
            let selection = related.selection(table, record);
            let columns = related.key.columns.iter();
            let columns: Vec<&str> = { columns }
                .map(|&column| related.table.columns[column].name.as_str())
                .collect();
            let more = if related.count == 100 && related.more {
                "+"
            } else {
                ""
            };
            Link {
                href: list_path(related.table, &selection.query(related.table, None)),
                words: format!("{} by {}", related.table.title(), columns.join(", ")),
                count: format!("{}{more}", related.count),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_set_out_and_its_values_are_as_they_were() {
        let json = r#"{"a": [1.00, 12345678901234567890, {}], "b\"{": "x, y: [", "c": []}"#;
        let expected = r#"{
  "a": [
    1.00,
    12345678901234567890,
    {}
  ],
  "b\"{": "x, y: [",
  "c": []
}"#;
        assert_eq!(pretty(json), expected);
        assert_eq!(pretty("null"), "null");
        assert_eq!(pretty("{ }"), "{}");
        assert_eq!(pretty(r#""a\\""#), r#""a\\""#);
    }
}
