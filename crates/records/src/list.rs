//! Reads a page of rows after the row that ended the last page: as fast for the last of ten million
//! rows as for the first, given an index on the sort columns.
//!
//! Uses no OFFSET, which reads the rows that it skips, and no `count(*)`, which reads all rows.
//! Knows no HTML. Source: "Row Constructor Comparison", Postgres manual.

use super::selection::{Cursor, Filter, Operator, Selection, Sort};
use super::sql::Sql;
use super::values;
use crate::catalog::{Column, Kind, Table};
use database::{Row, Transaction};

/// The number of rows on a page.
const PAGE: usize = 50;

/// The number of characters of a value that a list shows.
const CELL_LENGTH: usize = 120;

/// A page of rows.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows, in their order.
    pub rows: Vec<Listed>,
    /// The end of the previous page, if there is one.
    pub previous: Option<Cursor>,
    /// The beginning of the next page, if there is one.
    pub next: Option<Cursor>,
}

/// A row of a list.
#[derive(Debug)]
pub struct Listed {
    /// The value of each column, shortened.
    pub cells: Vec<Cell>,
    /// The values of the key, complete; empty when there is no key.
    pub key: Vec<Option<String>>,
    /// The values that the list is sorted by, for a cursor.
    place: String,
}

/// A value as a list shows it.
#[derive(Debug, Default)]
pub struct Cell {
    /// The text; `None` for NULL.
    pub text: Option<String>,
    /// Whether the text is shortened.
    pub cut: bool,
}

/// An expression that a list is sorted by.
pub(crate) struct Order {
    /// The expression in SQL.
    expression: String,
    /// The type that the value of a place is cast to.
    cast: String,
    descending: bool,
    /// Whether the value may be NULL. Rows with NULL are last in ascending order and first in
    /// descending order, as in an index.
    nullable: bool,
}

/// Reads a page of a selection.
///
/// # Errors
/// Postgres's; of class 22 when the value of a filter is not a value of its column.
pub fn page(
    transaction: &mut Transaction,
    table: &Table,
    selection: &Selection,
) -> Result<Page, postgres::Error> {
    let orders = orders(table, selection.sort);
    let cells: Vec<String> = table.columns.iter().map(cell_expression).collect();
    let rows = fetch(transaction, table, selection, &orders, &cells, PAGE + 1)?;
    Ok(cut_to_page(rows, table, &orders, selection))
}

/// Reads up to `limit` rows of a selection. Each row has the expressions, then the key, then the
/// place.
///
/// # Errors
/// As [`page`].
pub(crate) fn fetch(
    transaction: &mut Transaction,
    table: &Table,
    selection: &Selection,
    orders: &[Order],
    expressions: &[String],
    limit: usize,
) -> Result<Vec<Row>, postgres::Error> {
    let backwards = selection
        .cursor
        .as_ref()
        .is_some_and(|cursor| cursor.backwards);
    let place = selection
        .cursor
        .as_ref()
        .map(|cursor| values::decode(&cursor.place));
    let place = place.filter(|place| place.len() == orders.len());
    let mut rows = Vec::new();
    for part in parts(orders, place.as_deref(), backwards) {
        let mut sql = Sql::new(select(table, orders, expressions));
        let conditions = [
            conditions(&mut sql, table, selection),
            part.condition(&mut sql, orders),
        ];
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        if !conditions.is_empty() {
            sql.push(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        sql.push(&order_by(orders, backwards));
        sql.push(&format!(" LIMIT {}", limit - rows.len()));
        rows.extend(sql.rows(transaction)?);
        if rows.len() >= limit {
            break;
        }
    }
    Ok(rows)
}

/// Returns how many rows Postgres's planner expects in a selection: about right after an ANALYZE,
/// and without reading the rows.
///
/// # Errors
/// Postgres's.
pub fn estimate(
    transaction: &mut Transaction,
    table: &Table,
    selection: &Selection,
) -> Result<String, postgres::Error> {
    let mut sql = Sql::new(format!("EXPLAIN SELECT FROM {} t", table.sql()));
    if let Some(conditions) = conditions(&mut sql, table, selection) {
        sql.push(&format!(" WHERE {conditions}"));
    }
    let plan = sql.rows(transaction)?;
    let first = plan
        .first()
        .and_then(|row| row[0].as_deref())
        .unwrap_or_default();
    let rows = first.split("rows=").nth(1).unwrap_or_default();
    Ok(rows.chars().take_while(char::is_ascii_digit).collect())
}

/// Returns what a list is sorted by: the column of `sort`, then the key, so that no two rows are
/// equal. Without a key, a hash of the row takes its place.
pub(crate) fn orders(table: &Table, sort: Option<Sort>) -> Vec<Order> {
    let descending = sort.is_some_and(|sort| sort.descending);
    let by_column = |&column: &usize| {
        let column = &table.columns[column];
        Order {
            expression: format!("t.{}", column.sql()),
            cast: column.cast.clone(),
            descending,
            nullable: !column.not_null,
        }
    };
    let sort = sort.map(|sort| sort.column);
    let mut orders: Vec<Order> = sort.iter().map(by_column).collect();
    let rest = table.key.iter().filter(|column| Some(**column) != sort);
    orders.extend(rest.map(by_column));
    if table.key.is_empty() {
        orders.push(Order {
            expression: format!("md5({}::text)", whole_row(table)),
            cast: "text".to_string(),
            descending,
            nullable: false,
        });
    }
    orders
}

/// Returns a row in SQL with all columns that the role may read. The text changes when the row
/// changes.
pub(crate) fn whole_row(table: &Table) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("t.{}", column.sql()))
        .collect();
    format!("ROW({})", columns.join(", "))
}

fn select(table: &Table, orders: &[Order], expressions: &[String]) -> String {
    let key = table
        .key_columns()
        .map(|column| format!("t.{}::text", column.sql()));
    let place = orders
        .iter()
        .map(|order| format!("({})::text", order.expression));
    let columns: Vec<String> = expressions
        .iter()
        .cloned()
        .chain(key)
        .chain(place)
        .collect();
    format!("SELECT {} FROM {} t", columns.join(", "), table.sql())
}

/// A part of a list, which one statement reads.
enum Part<'a> {
    /// All rows.
    All,
    /// The rows after a place, or before it if the flag is set, where the first expression is NULL
    /// as in the place, or is not NULL as in the place.
    Beyond(&'a [Option<String>], bool),
    /// The rows whose first expression is NULL.
    Null,
    /// The rows whose first expression is not NULL.
    NotNull,
}

/// Returns the parts of a list after a place, in their order. There are two where the list goes on
/// from values to NULLs, or from NULLs to values: a comparison of rows is not true for NULL, and
/// with `OR` Postgres would not use an index.
fn parts<'a>(
    orders: &[Order],
    place: Option<&'a [Option<String>]>,
    backwards: bool,
) -> Vec<Part<'a>> {
    let Some(place) = place else {
        return vec![Part::All];
    };
    let mut parts = vec![Part::Beyond(place, backwards)];
    let nulls_first = orders[0].descending != backwards;
    match (orders[0].nullable, place[0].is_some(), nulls_first) {
        (true, true, false) => parts.push(Part::Null),
        (true, false, true) => parts.push(Part::NotNull),
        _ => {}
    }
    parts
}

impl Part<'_> {
    fn condition(&self, sql: &mut Sql, orders: &[Order]) -> Option<String> {
        let first = &orders[0].expression;
        let (place, backwards) = match self {
            Part::All => return None,
            Part::Null => return Some(format!("{first} IS NULL")),
            Part::NotNull => return Some(format!("{first} IS NOT NULL")),
            Part::Beyond(place, backwards) => (*place, *backwards),
        };
        let sign = match orders[0].descending != backwards {
            true => "<",
            false => ">",
        };
        let is_null = place[0].is_none();
        let skipped = usize::from(is_null);
        let names: Vec<&str> = orders
            .iter()
            .skip(skipped)
            .map(|order| &*order.expression)
            .collect();
        let values = orders.iter().zip(place).skip(skipped);
        let values: Vec<String> = values
            .map(|(order, value)| format!("{}::{}", sql.bind(value.as_deref()), order.cast))
            .collect();
        let beyond = format!("({}) {sign} ({})", names.join(", "), values.join(", "));
        Some(match is_null {
            true if names.is_empty() => "false".to_string(),
            true => format!("{first} IS NULL AND {beyond}"),
            false => beyond,
        })
    }
}

fn order_by(orders: &[Order], backwards: bool) -> String {
    let orders: Vec<String> = orders
        .iter()
        .map(|order| {
            let direction = if order.descending != backwards {
                " DESC"
            } else {
                ""
            };
            format!("{}{direction}", order.expression)
        })
        .collect();
    format!(" ORDER BY {}", orders.join(", "))
}

fn conditions(sql: &mut Sql, table: &Table, selection: &Selection) -> Option<String> {
    let mut conditions: Vec<String> = Vec::new();
    if !selection.search.is_empty() {
        let pattern = sql.bind(Some(&format!("%{}%", escape_like(&selection.search))));
        let texts = table
            .columns
            .iter()
            .filter(|column| column.kind == Kind::Text);
        let found: Vec<String> = texts
            .map(|column| format!("t.{}::text ILIKE {pattern}", column.sql()))
            .collect();
        conditions.push(match found.is_empty() {
            true => "false".to_string(),
            false => format!("({})", found.join(" OR ")),
        });
    }
    let filters = selection.filters.iter();
    conditions.extend(filters.map(|filter| condition(sql, table, filter)));
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}

fn condition(sql: &mut Sql, table: &Table, filter: &Filter) -> String {
    let column = &table.columns[filter.column];
    let name = format!("t.{}", column.sql());
    let value = |sql: &mut Sql, text: &str| sql.bind_as(Some(text), column);
    let like =
        |sql: &mut Sql, pattern: String| format!("{name}::text ILIKE {}", sql.bind(Some(&pattern)));
    match filter.operator {
        Operator::Is => format!("{name} = {}", value(sql, &filter.value)),
        Operator::IsNot => format!("{name} IS DISTINCT FROM {}", value(sql, &filter.value)),
        Operator::Contains => like(sql, format!("%{}%", escape_like(&filter.value))),
        Operator::Begins => like(sql, format!("{}%", escape_like(&filter.value))),
        Operator::Below => format!("{name} < {}", value(sql, &filter.value)),
        Operator::Above => format!("{name} > {}", value(sql, &filter.value)),
        Operator::Between => {
            let (from, to) = (value(sql, &filter.value), value(sql, &filter.to));
            format!("{name} BETWEEN {from} AND {to}")
        }
        Operator::Null => format!("{name} IS NULL"),
        Operator::NotNull => format!("{name} IS NOT NULL"),
    }
}

/// Escapes a text for a pattern of LIKE, so that it matches itself.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

fn cell_expression(column: &Column) -> String {
    let name = column.sql();
    match column.kind {
        Kind::Bytes => format!("octet_length(t.{name})::text"),
        Kind::Boolean | Kind::Number | Kind::Date | Kind::Time => format!("t.{name}::text"),
        _ => format!("left(t.{name}::text, {})", CELL_LENGTH + 1),
    }
}

fn cut_to_page(mut rows: Vec<Row>, table: &Table, orders: &[Order], selection: &Selection) -> Page {
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let backwards = selection
        .cursor
        .as_ref()
        .is_some_and(|cursor| cursor.backwards);
    if backwards {
        rows.reverse();
    }
    let rows: Vec<Listed> = rows
        .into_iter()
        .map(|row| listed(row, table, orders))
        .collect();
    let cursor = |row: Option<&Listed>, backwards: bool| {
        let place = row?.place.clone();
        Some(Cursor { backwards, place })
    };
    // The page that the cursor comes from has rows; in the other direction, one more row was read.
    let (has_previous, has_next) = match backwards {
        true => (more, true),
        false => (selection.cursor.is_some(), more),
    };
    Page {
        previous: cursor(rows.first(), true).filter(|_| has_previous),
        next: cursor(rows.last(), false).filter(|_| has_next),
        rows,
    }
}

fn listed(mut row: Row, table: &Table, orders: &[Order]) -> Listed {
    let place = row.split_off(row.len() - orders.len());
    let key = row.split_off(row.len() - table.key.len());
    let cells = row.into_iter().zip(&table.columns);
    Listed {
        cells: cells.map(|(text, column)| cell(text, column)).collect(),
        key,
        place: values::encode(place.iter().map(Option::as_deref)),
    }
}

fn cell(text: Option<String>, column: &Column) -> Cell {
    let Some(text) = text else {
        return Cell::default();
    };
    if column.kind == Kind::Bytes {
        let text = Some(format!("{text} bytes"));
        return Cell { text, cut: false };
    }
    match text.char_indices().nth(CELL_LENGTH) {
        Some((end, _)) if !matches!(column.kind, Kind::Number) => Cell {
            text: Some(text[..end].to_string()),
            cut: true,
        },
        _ => Cell {
            text: Some(text),
            cut: false,
        },
    }
}
