//! `/tables/{schema}/{table}`: the rows of a table, searched, filtered and sorted, page by page.
//! Knows no SQL: `records` finds the rows.

use super::tables::grouped;
use crate::display_value::{self, DisplayValue, list_path, row_path, table_path};
use crate::error_pages;
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, Transaction, wrong_value};
use records::catalog::{Catalog, Column, ForeignKey, Kind, MASK, Table};
use records::labels::{self, Labels};
use records::list::{self, Listed};
use records::values::Name;
use records::{Cursor, Filter, Operator, Selection, Sort};
use web::Response;

#[derive(Template)]
#[template(path = "list.html")]
struct List<'a> {
    table: &'a Table,
    selection: &'a Selection,
    path: String,
    /// The number of rows, in words.
    count: String,
    wrong: Option<String>,
    /// Whether the row where the page begins was changed or deleted.
    is_lost: bool,
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
    /// The sort order to which the heading links.
    sort: Option<Sort>,
    /// The value of `aria-sort`.
    sorted: Option<&'static str>,
}

/// A row.
struct Line {
    /// The address of the row, when no column links to it.
    href: Option<String>,
    /// Each value, and whether it is a quantity.
    cells: Vec<(DisplayValue, bool)>,
}

/// A filter in words, and the address of the list without it.
struct Chip {
    words: String,
    without: String,
}

impl List<'_> {
    /// Returns whether the list has a further column for the links to the rows.
    fn has_link_column(&self) -> bool {
        !self.table.key.is_empty() && !key_links_to_row(self.table)
    }

    /// Returns the address of the same list in another order. Each heading has one, with all
    /// filters: a page of many columns holds one at a time.
    fn sorted_by(&self, sort: &Sort) -> String {
        let sorted = Selection {
            sort: Some(*sort),
            ..self.selection.clone()
        };
        list_path(self.table, &sorted.query(self.table, None))
    }

    /// Returns whether a text is searched for, which no text above a megabyte is.
    fn is_searched(&self) -> bool {
        let mut filters = self.selection.filters.iter();
        !self.selection.search.is_empty() || filters.any(|filter| filter.operator.searches())
    }

    fn has_secrets(&self) -> bool {
        self.table.columns.iter().any(|column| column.is_secret)
    }
}

/// The fields of the filter form for a column.
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

    /// Returns the values that can be chosen, with their texts; empty when any value can be typed.
    fn choices(&self) -> Vec<(&str, &str)> {
        match &self.column.kind {
            Kind::Boolean => vec![("true", "yes"), ("false", "no")],
            Kind::Enum(labels) => labels.iter().map(|label| (&**label, &**label)).collect(),
            _ => Vec::new(),
        }
    }
}

/// Shows the list.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let table = find(&catalog, request)?;
    let parameters = request.http.parameters()?;
    let selection = match Selection::read(table, &parameters) {
        Ok(selection) => selection,
        Err(why) => return Ok(no_such_list(request, &why)),
    };
    // The form sends a filter for each column. A redirect removes the empty ones from the address.
    let query = selection.query(table, selection.cursor.as_ref());
    if parameters.len() > query.split('&').filter(|pair| !pair.is_empty()).count() {
        return Ok(Response::redirect(list_path(table, &query)));
    }
    let page = page(request, &mut transaction, &catalog, table, &selection)?;
    let status = if page.wrong.is_some() { 422 } else { 200 };
    Ok(request.page_with(status, &table.title(), &page))
}

/// Answers parameters that no list has.
pub(super) fn no_such_list(request: &SignedInRequest, why: &str) -> Response {
    error_pages::notice(request.http, 400, "No such list", why, "")
}

/// Returns the table that the path names, in the captures `schema` and `table`.
///
/// # Errors
/// [`PageError::NotFound`].
pub(super) fn find<'a>(
    catalog: &'a Catalog,
    request: &SignedInRequest,
) -> Result<&'a Table, PageError> {
    let (Name(schema), Name(table)) = (request.capture("schema")?, request.capture("table")?);
    catalog.find(&schema, &table).ok_or(PageError::NotFound)
}

fn page<'a>(
    request: &SignedInRequest,
    transaction: &mut Transaction,
    catalog: &Catalog,
    table: &'a Table,
    selection: &'a Selection,
) -> Result<List<'a>, PageError> {
    let found =
        transaction.in_savepoint(|transaction| list::page(transaction, table, selection))?;
    let (found, wrong) = match found {
        Ok(page) => (page, None),
        Err(error) => {
            let wrong = wrong_value(&error).ok_or(error)?;
            (list::Page::default(), Some(wrong))
        }
    };
    let is_only_page = found.previous.is_none() && found.next.is_none();
    let count = match (&wrong, is_only_page) {
        (Some(_), _) => String::new(),
        (None, true) => counted(found.rows.len()),
        (None, false) => {
            let rows = list::estimate(transaction, table, selection)?;
            format!("about {} rows", grouped(&rows))
        }
    };
    let rows = found.rows.iter().map(texts);
    let labels = labels::of_rows(transaction, catalog, table, rows)?;
    let to = |cursor: Option<&Cursor>| list_path(table, &selection.query(table, cursor));
    let may_add = request.may_edit() && table.may_insert;
    let query = selection.query(table, None);
    Ok(List {
        table,
        selection,
        path: table_path(table, ""),
        count,
        wrong,
        is_lost: found.is_lost,
        headings: headings(table, selection),
        rows: lines(catalog, table, &found.rows, &labels),
        chips: chips(table, selection),
        fields: fields(table, selection),
        searchable: table
            .columns
            .iter()
            .any(|column| column.kind == Kind::Text && !column.is_secret),
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
    columns
        .map(|(at, column)| {
            let current = selection.sort.filter(|sort| sort.column == at);
            let sort = Sort {
                column: at,
                descending: current.is_some_and(|sort| !sort.descending),
            };
            Heading {
                column,
                sort: column.sortable.then_some(sort),
                sorted: current.map(|sort| match sort.descending {
                    true => "descending",
                    false => "ascending",
                }),
            }
        })
        .collect()
}

fn lines(catalog: &Catalog, table: &Table, rows: &[Listed], labels: &Labels) -> Vec<Line> {
    let line = |row: &Listed| {
        let texts = texts(row);
        let cells = row.cells.iter().enumerate().map(|(at, cell)| {
            let key = table.foreign_key(at);
            // The beginning of a value refers to no row.
            let is_cut = |key: &ForeignKey| key.columns.iter().any(|&at| row.cells[at].cut);
            let mut shown = match key.is_some_and(is_cut) {
                true => display_value::display_value(table, at, &texts),
                false => display_value::linked(catalog, table, at, &texts, labels),
            };
            shown.cut = cell.cut;
            (
                shown,
                table.columns[at].kind == Kind::Number && !is_reference(table, at),
            )
        });
        let key = row.key.iter().map(Option::as_deref);
        let mut cells: Vec<(DisplayValue, bool)> = cells.collect();
        let mut href = (!row.key.is_empty()).then(|| row_path(table, key));
        // The key links to its own row, unless it links to the row that it refers to.
        if let Some(&first) = table.key.first().filter(|_| key_links_to_row(table)) {
            cells[first].0.href = href.take();
        }
        Line { href, cells }
    };
    rows.iter().map(line).collect()
}

/// Returns whether the first column of the key links to the row: it refers to no other row.
fn key_links_to_row(table: &Table) -> bool {
    let mut first = table.key.iter().take(1);
    first.all(|&first| table.foreign_key(first).is_none())
}

/// Returns whether a column identifies a row of this or another table: its number is no quantity.
fn is_reference(table: &Table, at: usize) -> bool {
    table.key == [at] || table.foreign_key(at).is_some()
}

fn chips(table: &Table, selection: &Selection) -> Vec<Chip> {
    let filters = selection.filters.iter().enumerate();
    filters
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

/// Returns the fields for each filter, and empty ones for each column without a filter.
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
