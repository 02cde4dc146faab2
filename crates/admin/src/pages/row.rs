//! `/tables/{schema}/{table}/row/{key...}`: a row, the rows that refer to it, and its history.
//! Knows no SQL: `records` and `audit` read.

use super::list;
use crate::audit::{self, Entry, EntryFilter};
use crate::display_value::{self, DisplayValue, list_path, table_path};
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, Transaction, wrong_value};
use records::catalog::{Catalog, Column, Kind, MASK, Table};
use records::labels::{self, Labels};
use records::related::{self, Related};
use records::row::{self, Record};
use records::values::{self, Key};
use web::Response;

/// The number of arrays and objects inside of one another that are indented, and the number of bytes
/// that the indented JSON may have more than it had. The rest is shown as it is: the indentation of
/// deep JSON is far larger than the JSON.
const MAX_DEPTH: usize = 50;
const MAX_ADDED: usize = 200_000;

/// The number of changes of the row that the page shows: the last ones.
const HISTORY: usize = 10;

#[derive(Template)]
#[template(path = "row.html")]
struct Row<'a> {
    table: &'a Table,
    list: String,
    title: String,
    values: Vec<(&'a Column, DisplayValue)>,
    /// Whether the row has only the beginnings of its long values.
    is_cut: bool,
    links: Vec<Link>,
    history: Vec<Entry>,
    all_history: String,
    edit: Option<String>,
    delete: Option<String>,
}

/// The list of the rows that refer to this one by a foreign key.
struct Link {
    href: String,
    words: String,
    count: String,
}

/// Shows the row.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let (table, key, record) = find(&mut transaction, &catalog, request)?;
    let key = values::encode(key.iter().map(Option::as_deref));
    let texts: Vec<Option<&str>> = record.values.iter().map(Option::as_deref).collect();
    let labels = labels::of_rows(&mut transaction, &catalog, table, [texts].into_iter());
    let labels = labels?;
    let related = related::referring(&mut transaction, &catalog, table, &record);
    let filter = EntryFilter {
        schema: table.schema.clone(),
        table: table.name.clone(),
        key: key.clone(),
        ..EntryFilter::default()
    };
    let (history, _) = audit::list(&mut transaction, &filter, HISTORY)?;
    let title = record.title(table);
    let may = |right: bool, verb: &str| {
        (request.may_edit() && right).then(|| table_path(table, &format!("/{verb}/{key}")))
    };
    let page = Row {
        table,
        list: list_path(table, ""),
        values: shown(&catalog, table, &record, &labels),
        is_cut: is_cut(table, &record),
        links: links(table, &record, related?),
        history,
        all_history: super::audit::path(&filter),
        edit: may(table.may_update, "edit"),
        delete: may(table.may_delete, "delete"),
        title: title.clone(),
    };
    Ok(request.page(&format!("{} {title}", table.name), &page))
}

impl Row<'_> {
    fn has_secrets(&self) -> bool {
        self.values.iter().any(|(column, _)| column.is_secret)
    }
}

/// Returns whether a row is too large to be read whole.
fn is_cut(table: &Table, record: &Record) -> bool {
    let mut columns = table.columns.iter().zip(&record.complete);
    columns.any(|(column, complete)| !complete && column.kind != Kind::Bytes)
}

/// A row with its table and its key.
pub(super) type Found<'a> = (&'a Table, Vec<Option<String>>, Record);

/// Returns the row that the path names, in the captures `schema`, `table` and `key`.
///
/// # Errors
/// [`PageError::NotFound`]; [`PageError::Failed`] when the query fails.
pub(super) fn find<'a>(
    transaction: &mut Transaction,
    catalog: &'a Catalog,
    request: &SignedInRequest,
) -> Result<Found<'a>, PageError> {
    let table = list::find(catalog, request)?;
    let Key(key) = request.capture("key")?;
    match row::find(transaction, table, &key, false) {
        Ok(Some(record)) => Ok((table, key, record)),
        Ok(None) => Err(PageError::NotFound),
        // A key with a value that its column cannot have is no row's.
        Err(error) if wrong_value(&error).is_some() => Err(PageError::NotFound),
        Err(error) => Err(error.into()),
    }
}

fn shown<'a>(
    catalog: &Catalog,
    table: &'a Table,
    record: &Record,
    labels: &Labels,
) -> Vec<(&'a Column, DisplayValue)> {
    let texts: Vec<Option<&str>> = record.values.iter().map(Option::as_deref).collect();
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(at, column)| {
            let mut shown = display_value::linked(catalog, table, at, &texts, labels);
            shown.cut = !record.complete[at] && column.kind != Kind::Bytes;
            shown.is_code = matches!(column.kind, Kind::Json | Kind::Bytes)
                || shown.text.as_ref().is_some_and(|text| text.contains('\n'));
            if column.kind == Kind::Json && !column.is_secret {
                shown.text = shown.text.map(|json| pretty(&json));
            }
            (column, shown)
        })
        .collect()
}

/// Breaks JSON into indented lines. Does not parse it, so that each number and each repeated key
/// stays as it is, and so that the beginning of a JSON text has its lines, too.
fn pretty(json: &str) -> String {
    let (mut pretty, mut depth, mut in_string) = (String::new(), 0_usize, false);
    let mut characters = json.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if depth > MAX_DEPTH || pretty.len() > at + MAX_ADDED {
            pretty.push_str(&json[at..]);
            break;
        }
        match character {
            '"' => in_string = !in_string,
            _ if in_string => {
                pretty.push(character);
                if character == '\\' {
                    pretty.extend(characters.next().map(|(_, escaped)| escaped));
                }
                continue;
            }
            ' ' | '\n' | '\t' | '\r' => continue,
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
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
                    .is_some_and(|(_, next)| next.is_ascii_whitespace())
                {
                    characters.next();
                }
                if !matches!(characters.peek(), Some((_, '}' | ']'))) {
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
    text.extend((0..depth).map(|_| "  "));
}

fn links(table: &Table, record: &Record, related: Vec<Related>) -> Vec<Link> {
    let related = related.into_iter().filter(|related| related.count > 0);
    related
        .map(|related| {
            let selection = related.selection(table, record);
            let columns = related.key.columns.iter();
            let columns: Vec<&str> = columns
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
    fn json_is_indented_and_its_values_stay_as_they_are() {
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
        assert_eq!(pretty(r#"{"a": [1, "b"#), "{\n  \"a\": [\n    1,\n    \"b");
    }

    #[test]
    fn deep_json_is_indented_at_its_beginning_only_and_keeps_every_character() {
        let without_spaces = |text: &str| text.replace([' ', '\n'], "");
        let deep = "[".repeat(7000) + &"]".repeat(7000);
        let wide = "[".repeat(50) + &"1,".repeat(500_000) + "1" + &"]".repeat(50);
        for json in [deep, wide] {
            let pretty = pretty(&json);
            assert!(pretty.starts_with("[\n  [\n    ["), "{}", &pretty[..20]);
            assert!(pretty.len() < json.len() + 300_000, "{}", pretty.len());
            assert!(without_spaces(&pretty) == json);
        }
    }
}
