//! Reads a page of rows after the row that ended the last page: as fast for the last of ten million
//! rows as for the first, given an index on the sort columns.
//!
//! Uses no OFFSET, which reads the rows that it skips, and no `count(*)`, which reads all rows.
//! Knows no HTML. Source: "Row Constructor Comparison", Postgres manual.

use super::large::{is_searched, whole_row};
use super::selection::{Cursor, Filter, Operator, Selection, Sort};
use super::sql::Sql;
use super::values;
use crate::catalog::{Column, Kind, Table};
use database::{Row, Transaction};

/// The number of rows on a page.
const PAGE: usize = 50;

/// The number of characters of a value that a list shows. A table with many columns shows less, so
/// that a page has no more than some two million characters.
const CELL_LENGTH: usize = 120;
const MIN_CELL_LENGTH: usize = 20;
const CELLS_LENGTH: usize = 30_000;

/// The number of characters of a key's value up to which an address has it. A row with a longer
/// one has no page.
const MAX_KEY: usize = 2000;

/// The size in bytes of a value up to which a place has the value itself, after a `v`. Of a longer
/// one it has a hash, after an `h`: Postgres reads the value from the row at the place, which the
/// key finds.
const MAX_PLACE: usize = 200;

/// A page of rows.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows, in their order.
    pub rows: Vec<Listed>,
    /// The end of the previous page, if there is one.
    pub previous: Option<Cursor>,
    /// The beginning of the next page, if there is one.
    pub next: Option<Cursor>,
    /// Whether the row where the page begins was changed or deleted, so that the page is not known.
    pub is_lost: bool,
}

/// Rows of a list, as the database has them.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// The rows, in their order.
    pub(crate) rows: Vec<Row>,
    /// As [`Page::is_lost`].
    pub(crate) is_lost: bool,
}

/// A row of a list.
#[derive(Debug)]
pub struct Listed {
    /// The value of each column, shortened.
    pub cells: Vec<Cell>,
    /// The values of the key, complete; empty when there is no key, or when one is too long.
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
    /// The size in bytes up to which a place has the value itself; `None` when every value is short.
    limit: Option<usize>,
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
    let length = cell_length(table);
    let cells = table.columns.iter();
    let cells: Vec<String> = cells
        .map(|column| cell_expression(column, length))
        .collect();
    let fetched = fetch(transaction, table, selection, &orders, &cells, PAGE + 1)?;
    Ok(cut_to_page(fetched, table, &orders, selection))
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
) -> Result<Fetched, postgres::Error> {
    let backwards = selection
        .cursor
        .as_ref()
        .is_some_and(|cursor| cursor.backwards);
    let place = selection
        .cursor
        .as_ref()
        .map(|cursor| values::decode(&cursor.place));
    let place = place.filter(|place| place.len() == orders.len());
    let has_hash = place.iter().any(|place| has_hash(orders, place));
    let mut rows = Vec::new();
    for part in parts(orders, place.as_deref(), backwards) {
        let mut sql = Sql::new(select(table, orders, expressions));
        let conditions = [
            conditions(&mut sql, table, selection, true),
            part.condition(&mut sql, table, orders),
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
        // Where the row at the place is gone, the condition is true for no row.
        if has_hash && rows.is_empty() && !has_place(transaction, table, orders, place.as_deref())?
        {
            return Ok(Fetched {
                rows,
                is_lost: true,
            });
        }
    }
    Ok(Fetched {
        rows,
        is_lost: false,
    })
}

/// Returns `true` if there is a row at a place.
fn has_place(
    transaction: &mut Transaction,
    table: &Table,
    orders: &[Order],
    place: Option<&[Option<String>]>,
) -> Result<bool, postgres::Error> {
    let mut sql = Sql::new(format!("SELECT '' FROM {} t WHERE ", table.sql()));
    let condition = is_at(&mut sql, orders, place.unwrap_or_default());
    sql.push(&condition);
    sql.push(" LIMIT 1");
    Ok(!sql.rows(transaction)?.is_empty())
}

fn has_hash(orders: &[Order], place: &[Option<String>]) -> bool {
    let mut values = orders.iter().zip(place);
    values.any(|(order, value)| matches!(order.at(value), At::Hash(_)))
}

/// Returns the condition in SQL for the row at a place.
fn is_at(sql: &mut Sql, orders: &[Order], place: &[Option<String>]) -> String {
    let equal = |(order, value): (&Order, &Option<String>)| {
        let expression = &order.expression;
        match order.at(value) {
            At::Null => format!("{expression} IS NULL"),
            At::Value(text) => format!("{expression} = {}::{}", sql.bind(Some(text)), order.cast),
            At::Hash(hash) => format!("md5({expression}::text) = {}", sql.bind(Some(hash))),
        }
    };
    let conditions: Vec<String> = orders.iter().zip(place).map(equal).collect();
    conditions.join(" AND ")
}

/// What a place has of a value.
enum At<'a> {
    Null,
    Value(&'a str),
    Hash(&'a str),
}

impl Order {
    /// Reads what a place has of the expression's value.
    fn at<'a>(&self, value: &'a Option<String>) -> At<'a> {
        let Some(text) = value.as_deref() else {
            return At::Null;
        };
        if self.limit.is_none() {
            return At::Value(text);
        }
        match text.strip_prefix('h') {
            Some(hash) => At::Hash(hash),
            None => At::Value(text.strip_prefix('v').unwrap_or(text)),
        }
    }
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
    if let Some(conditions) = conditions(&mut sql, table, selection, false) {
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
    let by_column = |&at: &usize| {
        let column = &table.columns[at];
        let limit = match table.key.contains(&at) {
            true => MAX_KEY,
            false => MAX_PLACE,
        };
        Order {
            expression: format!("t.{}", column.sql()),
            cast: column.cast.clone(),
            descending,
            limit: (!column.is_short()).then_some(limit),
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
            limit: None,
            nullable: false,
        });
    }
    orders
}

fn select(table: &Table, orders: &[Order], expressions: &[String]) -> String {
    let key = table.key_columns().map(|column| {
        let text = format!("t.{}::text", column.sql());
        match column.is_short() {
            true => text,
            false => format!("left({text}, {})", MAX_KEY + 1),
        }
    });
    let place = orders.iter().map(|order| {
        let text = format!("({})::text", order.expression);
        match order.limit {
            None => text,
            Some(limit) => format!(
                "CASE WHEN octet_length({text}) <= {limit} THEN 'v' || {text} \
                 ELSE 'h' || md5({text}) END"
            ),
        }
    });
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
    fn condition(&self, sql: &mut Sql, table: &Table, orders: &[Order]) -> Option<String> {
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
        let row_at = has_hash(orders, place).then(|| {
            let condition = is_at(sql, orders, place);
            format!("FROM {} t WHERE {condition} LIMIT 1", table.sql())
        });
        let values = orders.iter().zip(place).skip(skipped);
        let values: Vec<String> = values
            .map(|(order, value)| match (order.at(value), &row_at) {
                (At::Hash(_), Some(row_at)) => format!("(SELECT {} {row_at})", order.expression),
                (At::Value(text), _) => format!("{}::{}", sql.bind(Some(text)), order.cast),
                _ => "NULL".to_string(),
            })
            .collect();
        let beyond = format!("({}) {sign} ({})", names.join(", "), values.join(", "));
        let beyond = match &row_at {
            Some(row_at) => format!("EXISTS (SELECT {row_at}) AND {beyond}"),
            None => beyond,
        };
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

/// Returns the condition for the rows of a selection. With `limited`, LIKE searches no text that is
/// too long; the planner, which takes that for a third of the rows, is not told when it counts.
fn conditions(
    sql: &mut Sql,
    table: &Table,
    selection: &Selection,
    limited: bool,
) -> Option<String> {
    let mut conditions: Vec<String> = Vec::new();
    if !selection.search.is_empty() {
        let pattern = sql.bind(Some(&format!("%{}%", escape_like(&selection.search))));
        let texts = table
            .columns
            .iter()
            .filter(|column| column.kind == Kind::Text && !column.is_secret);
        let found: Vec<String> = texts
            .map(|column| like(column, &pattern, limited))
            .collect();
        conditions.push(match found.is_empty() {
            true => "false".to_string(),
            false => format!("({})", found.join(" OR ")),
        });
    }
    let filters = selection.filters.iter();
    conditions.extend(filters.map(|filter| condition(sql, table, filter, limited)));
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}

fn condition(sql: &mut Sql, table: &Table, filter: &Filter, limited: bool) -> String {
    let column = &table.columns[filter.column];
    let name = format!("t.{}", column.sql());
    let value = |sql: &mut Sql, text: &str| sql.bind_as(Some(text), column);
    let like = |sql: &mut Sql, pattern: String| like(column, &sql.bind(Some(&pattern)), limited);
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

fn like(column: &Column, pattern: &str, limited: bool) -> String {
    let like = format!("t.{}::text ILIKE {pattern}", column.sql());
    match limited && !column.is_short() {
        true => format!("({} AND {like})", is_searched(column)),
        false => like,
    }
}

/// Escapes a text for a pattern of LIKE, so that it matches itself.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

fn cell_length(table: &Table) -> usize {
    let length = CELLS_LENGTH / table.columns.len().max(1);
    length.clamp(MIN_CELL_LENGTH, CELL_LENGTH)
}

fn cell_expression(column: &Column, length: usize) -> String {
    let name = column.sql();
    match column.kind {
        _ if column.is_secret => column.masked(),
        Kind::Bytes => format!("octet_length(t.{name})::text"),
        _ if column.is_short() => format!("t.{name}::text"),
        _ => format!("left(t.{name}::text, {})", length + 1),
    }
}

fn cut_to_page(fetched: Fetched, table: &Table, orders: &[Order], selection: &Selection) -> Page {
    let Fetched { mut rows, is_lost } = fetched;
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
        is_lost,
    }
}

fn listed(mut row: Row, table: &Table, orders: &[Order]) -> Listed {
    let place = row.split_off(row.len() - orders.len());
    let mut key = row.split_off(row.len() - table.key.len());
    if key
        .iter()
        .flatten()
        .any(|value| value.chars().nth(MAX_KEY).is_some())
    {
        key.clear();
    }
    let length = cell_length(table);
    let cells = row.into_iter().zip(&table.columns);
    Listed {
        cells: cells
            .map(|(text, column)| cell(text, column, length))
            .collect(),
        key,
        place: values::encode(place.iter().map(Option::as_deref)),
    }
}

fn cell(text: Option<String>, column: &Column, length: usize) -> Cell {
    let Some(mut text) = text else {
        return Cell::default();
    };
    if column.kind == Kind::Bytes && !column.is_secret {
        let text = Some(format!("{text} bytes"));
        return Cell { text, cut: false };
    }
    let end = text.char_indices().nth(length).map(|(end, _)| end);
    let end = end.filter(|_| !column.is_short());
    if let Some(end) = end {
        text.truncate(end);
    }
    Cell {
        text: Some(text),
        cut: end.is_some(),
    }
}
