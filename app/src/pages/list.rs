//! `/tables/<schema>/<table>`: its rows, searched, filtered, sorted, page by page.

use super::cell::{self, Shown, list_path, row_path, table_path};
use super::errors::{self, Stop};
use super::gate::Visit;
use super::tables::grouped;
use crate::catalogue::{Catalogue, Column, Kind, Table};
use crate::database::{Access, Connection, Transaction, wrong_value};
use crate::http::Response;
use crate::records::labels::{self, Labels};
use crate::records::list::{self, Listed};
use crate::records::{Cursor, Filter, Operator, Selection, Sort, values};
use askama::Template;

#[derive(Template)]
#[template(path = "list.html")]
struct List<'a> {
    table: &'a Table,
    selection: &'a Selection,
    path: String,
    /// What is said about how many there are.
    count: String,
    wrong: Option<String>,
    headings: Vec<Heading<'a>>,
    rows: Vec<Line>,
    chips: Vec<Chip>,
    fields: Vec<Field<'a>>,
    searchable: bool,
    export: String,
    add: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    first: Option<String>,
}

/// A column's heading.
struct Heading<'a> {
    column: &'a Column,
    /// Where it leads: the same list, sorted by it.
    href: Option<String>,
    /// What `aria-sort` says.
    sorted: Option<&'static str>,
}

struct Line {
    /// Where the row is, when no column leads there.
    href: Option<String>,
    cells: Vec<(Shown, bool)>,
}

/// A filter, and the list without it.
struct Chip {
    words: String,
    without: String,
}

impl List<'_> {
    /// Whether a column of its own leads to the rows.
    fn has_open(&self) -> bool {
        !self.table.key.is_empty() && !has_own_column(self.table)
    }
}

/// What the filter form asks about a column.
struct Field<'a> {
    column: &'a Column,
    operators: Vec<Operator>,
    operator: Option<Operator>,
    value: &'a str,
    to: &'a str,
}

impl Field<'_> {
    fn is(&self, operator: &Operator) -> bool {
        self.operator == Some(*operator)
    }

    /// What can be chosen, with the words for it; empty when anything can be written.
    fn choices(&self) -> Vec<(&str, &str)> {
        match &self.column.kind {
            Kind::Boolean => vec![("true", "yes"), ("false", "no")],
            Kind::Enum(labels) => labels.iter().map(|label| (&**label, &**label)).collect(),
            _ => Vec::new(),
        }
    }
}

/// The list.
pub fn show(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let table = find(&catalogue, path)?;
    let parameters = visit.request.parameters()?;
    let selection = match Selection::read(table, &parameters) {
        Ok(selection) => selection,
        Err(why) => return Ok(errors::notice(visit.request, 400, "No such list", &why, "")),
    };
    // A form sends a filter for each column; what is left of it is worth keeping as an address.
    let query = selection.query(table, selection.cursor.as_ref());
    if parameters.len() > query.split('&').filter(|pair| !pair.is_empty()).count() {
        return Ok(Response::redirect(list_path(table, &query)));
    }
    let page = page(visit, &mut transaction, &catalogue, table, &selection)?;
    let status = if page.wrong.is_some() { 422 } else { 200 };
    Ok(visit.page_with(status, "/tables", &table.title(), &page))
}

/// The table that a path names.
///
/// # Errors
/// `NotFound`.
pub fn find<'a>(catalogue: &'a Catalogue, path: &[&str]) -> Result<&'a Table, Stop> {
    let name = |at: usize| values::unmark((*path.get(at)?).to_string());
    let table = name(1).zip(name(2));
    let table = table.and_then(|(schema, table)| catalogue.find(&schema, &table));
    table.ok_or(Stop::NotFound)
}

fn page<'a>(
    visit: &Visit,
    transaction: &mut Transaction,
    catalogue: &Catalogue,
    table: &'a Table,
    selection: &'a Selection,
) -> Result<List<'a>, Stop> {
    let found = transaction.attempt(|transaction| list::page(transaction, table, selection))?;
    let (found, wrong) = match found {
        Ok(page) => (page, None),
        Err(error) => {
            let wrong = wrong_value(&error).ok_or(error)?;
            (list::Page::default(), Some(wrong))
        }
    };
    let whole = found.previous.is_none() && found.next.is_none();
    let count = match (&wrong, whole) {
        (Some(_), _) => String::new(),
        (None, true) => counted(found.rows.len()),
        (None, false) => {
            let rows = list::estimate(transaction, table, selection)?;
            format!("about {} rows", grouped(&rows))
        }
    };
    let rows = { found.rows.iter() }.map(texts);
    let labels = labels::of_rows(transaction, catalogue, table, rows)?;
    let to = |cursor: Option<&Cursor>| list_path(table, &selection.query(table, cursor));
    let may_add = visit.may_edit() && table.may_insert;
    let query = selection.query(table, None);
    Ok(List {
        table,
        selection,
        path: table_path(table, ""),
        count,
        wrong,
        headings: headings(table, selection),
        rows: lines(catalogue, table, &found.rows, &labels),
        chips: chips(table, selection),
        fields: fields(table, selection),
        searchable: table.columns.iter().any(|column| column.kind == Kind::Text),
        export: match query.as_str() {
            "" => table_path(table, "/export"),
            query => table_path(table, &format!("/export?{query}")),
        },
        add: may_add.then(|| table_path(table, "/new")),
        previous: found.previous.as_ref().map(|cursor| to(Some(cursor))),
        next: found.next.as_ref().map(|cursor| to(Some(cursor))),
        first: selection.cursor.as_ref().map(|_| to(None)),
    })
}

fn counted(rows: usize) -> String {
    match rows {
        1 => "1 row".to_string(),
        rows => format!("{rows} rows"),
    }
}

fn texts(row: &Listed) -> Vec<Option<&str>> {
    row.cells.iter().map(|cell| cell.text.as_deref()).collect()
}

fn headings<'a>(table: &'a Table, selection: &Selection) -> Vec<Heading<'a>> {
    let columns = table.columns.iter().enumerate();
    { columns }
        .map(|(at, column)| {
            let now = selection.sort.filter(|sort| sort.column == at);
            let descending = now.is_some_and(|sort| !sort.descending);
            let sort = Some(Sort {
                column: at,
                descending,
            });
            let sorted = Selection {
                sort,
                ..selection.clone()
            };
            Heading {
                column,
                href: { column.sortable }.then(|| list_path(table, &sorted.query(table, None))),
                sorted: now.map(|sort| match sort.descending {
                    true => "descending",
                    false => "ascending",
                }),
            }
        })
        .collect()
}

fn lines(catalogue: &Catalogue, table: &Table, rows: &[Listed], labels: &Labels) -> Vec<Line> {
    let line = |row: &Listed| {
        let texts = texts(row);
        let cells = row.cells.iter().enumerate().map(|(at, cell)| {
            let mut shown = cell::linked(catalogue, table, at, &texts, labels);
            shown.cut = cell.cut;
            (
                shown,
                table.columns[at].kind == Kind::Number && !is_reference(table, at),
            )
        });
        let key = row.key.iter().map(Option::as_deref);
        let mut cells: Vec<(Shown, bool)> = cells.collect();
        let mut href = (!row.key.is_empty()).then(|| row_path(table, key));
        // The key leads to its row, unless it leads to what it refers to.
        if let Some(&first) = table.key.first().filter(|_| has_own_column(table)) {
            cells[first].0.href = href.take();
        }
        Line { href, cells }
    };
    rows.iter().map(line).collect()
}

/// Whether the first column of the key is free to lead to the row.
fn has_own_column(table: &Table) -> bool {
    let mut first = table.key.iter().take(1);
    first.all(|&first| table.foreign_key(first).is_none())
}

/// A number that only stands for something is no quantity.
fn is_reference(table: &Table, at: usize) -> bool {
    table.key == [at] || table.foreign_key(at).is_some()
}

fn chips(table: &Table, selection: &Selection) -> Vec<Chip> {
    let filters = selection.filters.iter().enumerate();
    { filters }
        .map(|(at, filter)| {
            let mut without = selection.clone();
            without.filters.remove(at);
            Chip {
                words: filter.words(table),
                without: list_path(table, &without.query(table, None)),
            }
        })
        .collect()
}

/// A line for each filter, and one for each column without.
fn fields<'a>(table: &'a Table, selection: &'a Selection) -> Vec<Field<'a>> {
    let mut fields = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let field = |filter: Option<&'a Filter>| Field {
            column,
            operators: Operator::for_column(column),
            operator: filter.map(|filter| filter.operator),
            value: filter.map_or("", |filter| &filter.value),
            to: filter.map_or("", |filter| &filter.to),
        };
        let filters = selection
            .filters
            .iter()
            .filter(|filter| filter.column == at);
        let of_column: Vec<Field> = filters.map(|filter| field(Some(filter))).collect();
        match of_column.is_empty() {
            true => fields.push(field(None)),
            false => fields.extend(of_column),
        }
    }
    fields
}
