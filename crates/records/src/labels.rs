//! Finds the labels of rows that foreign keys refer to, so that a person reads a name instead of a
//! number, and the rows that a foreign key can refer to.
//!
//! Knows no page.

use super::large::is_searched;
use super::list::{escape_like, estimate};
use super::selection::{MAX_SEARCH, Selection};
use super::sql::Sql;
use crate::catalog::{Catalog, ForeignKey, Table};
use database::{Transaction, failed, wrong_value};
use handler::Failure;

/// The number of choices that are offered.
const MAX_CHOICES: usize = 20;

/// The largest number of rows that are searched for a text; a search of more rows takes longer than
/// a person who types waits.
const MAX_SEARCHED: u64 = 100_000;

/// The separator of a composite key's values: a control character, which values hardly ever have.
const SEPARATOR: &str = "\u{1f}";

/// Labels of rows. Each has the index of a foreign key, the value of the foreign key as
/// [`reference()`] returns it, and the label of the row that it refers to.
pub type Labels = Vec<(usize, String, String)>;

/// A row that a foreign key can refer to.
#[derive(Debug)]
pub struct Choice {
    /// The value of the foreign key that refers to the row.
    pub value: String,
    /// The label of the row.
    pub label: String,
}

/// Returns the labels of the rows that the foreign keys of these rows refer to, by one statement
/// that reads only those.
///
/// # Errors
/// Postgres's.
pub fn of_rows<'a>(
    transaction: &mut Transaction,
    catalog: &Catalog,
    table: &Table,
    rows: impl Iterator<Item = Vec<Option<&'a str>>>,
) -> Result<Labels, postgres::Error> {
    let rows: Vec<_> = rows.collect();
    let mut sql = Sql::default();
    let mut selects = Vec::new();
    for (index, key) in table.foreign_keys.iter().enumerate() {
        let Some(target) = catalog.by_oid(&key.table) else {
            continue;
        };
        let mut references: Vec<Vec<&str>> =
            rows.iter().filter_map(|row| values(key, row)).collect();
        references.sort_unstable();
        references.dedup();
        if let Some(select) = select_labels(&mut sql, index, key, target, &references) {
            selects.push(select);
        }
    }
    if selects.is_empty() {
        return Ok(Labels::new());
    }
    sql.push(&selects.join(" UNION ALL "));
    let found = sql.rows(transaction)?.into_iter().filter_map(|row| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        Some((next()?.parse().ok()?, next()?, next()?))
    });
    Ok(found.collect())
}

/// Returns the value of a row's foreign key, as [`Labels`] has it; `None` when a part of it is
/// NULL.
pub fn reference(key: &ForeignKey, row: &[Option<&str>]) -> Option<String> {
    values(key, row).map(|values| values.join(SEPARATOR))
}

/// Returns rows that a foreign key can refer to by the column `to`. Searches for a text in the
/// label or at the beginning of the column's value; in a table of more than 100,000 rows, for the
/// whole value only.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`.
pub fn choices(
    transaction: &mut Transaction,
    target: &Table,
    to: &str,
    search: &str,
) -> Result<Vec<Choice>, Failure> {
    let rows = estimate(transaction, target, &Selection::default()).map_err(failed)?;
    let is_large = rows.parse().is_ok_and(|rows: u64| rows > MAX_SEARCHED);
    let Some(column) = target.column(to).map(|column| &target.columns[column]) else {
        return Ok(Vec::new());
    };
    if search.chars().nth(MAX_SEARCH).is_some() {
        return Ok(Vec::new());
    }
    let value = format!("t.{}::text", column.sql());
    let label = label_expression(target).unwrap_or_else(|| value.clone());
    let labelled = target
        .label()
        .map_or(column, |label| &target.columns[label]);
    let mut sql = Sql::new(format!(
        "SELECT {value}, left({label}, 80) FROM {} t",
        target.sql()
    ));
    match (is_large, search.is_empty()) {
        (true, true) => return Ok(Vec::new()),
        (true, false) => {
            let key = sql.bind_as(Some(search), column);
            sql.push(&format!(" WHERE t.{} = {key}", column.sql()));
        }
        (false, true) => {}
        (false, false) => {
            let text = escape_like(search);
            let contains = sql.bind(Some(&format!("%{text}%")));
            let begins = sql.bind(Some(&format!("{text}%")));
            sql.push(&format!(
                " WHERE ({} AND {label} ILIKE {contains}) OR {value} ILIKE {begins}",
                is_searched(labelled)
            ));
        }
    }
    sql.push(&format!(" ORDER BY 2, 1 LIMIT {MAX_CHOICES}"));
    let rows = match transaction.in_savepoint(|transaction| sql.rows(transaction))? {
        Ok(rows) => rows,
        // The text is not a value of the column, perhaps because a person still types.
        Err(error) if is_large && wrong_value(&error).is_some() => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    Ok(rows
        .into_iter()
        .map(|mut row| Choice {
            value: row[0].take().unwrap_or_default(),
            label: row[1].take().unwrap_or_default(),
        })
        .collect())
}

/// Returns the values of a row's foreign key; `None` when one of them is NULL.
fn values<'a>(key: &ForeignKey, row: &[Option<&'a str>]) -> Option<Vec<&'a str>> {
    key.columns.iter().map(|&column| row[column]).collect()
}

/// Returns the label of a table's rows in SQL.
fn label_expression(target: &Table) -> Option<String> {
    let label = &target.columns[target.label()?];
    Some(format!("t.{}::text", label.sql()))
}

/// Returns the statement for the labels of one foreign key; `None` when the rows have no label,
/// when the role may not read a column, or when nothing refers to them.
fn select_labels(
    sql: &mut Sql,
    index: usize,
    key: &ForeignKey,
    target: &Table,
    references: &[Vec<&str>],
) -> Option<String> {
    let label = label_expression(target)?;
    let columns: Option<Vec<_>> = key
        .to
        .iter()
        .map(|name| target.column(name).map(|column| &target.columns[column]))
        .collect();
    let columns = columns.filter(|_| !references.is_empty())?;
    let mut rows = Vec::new();
    for values in references {
        let values = values.iter().zip(&columns);
        let values: Vec<String> = values
            .map(|(value, column)| sql.bind_as(Some(value), column))
            .collect();
        rows.push(format!("({})", values.join(", ")));
    }
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!("t.{}", column.sql()))
        .collect();
    let texts: Vec<String> = names.iter().map(|name| format!("{name}::text")).collect();
    Some(format!(
        "SELECT '{index}', concat_ws('{SEPARATOR}', {}), left({label}, 80) FROM {} t WHERE ({}) IN ({})",
        texts.join(", "),
        target.sql(),
        names.join(", "),
        rows.join(", ")
    ))
}
