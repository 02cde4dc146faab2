//! What the rows that others refer to are called, so that a person reads a name instead of a
//! number.

use super::list::{escape_like, estimate};
use super::selection::Selection;
use super::sql::Sql;
use crate::Failure;
use crate::catalogue::{Catalogue, ForeignKey, Table};
use crate::database::{Transaction, failed, wrong_value};

/// How many rows are offered to choose from.
const CHOICES: usize = 20;

/// Rows that are looked through for a text; more take longer than somebody types.
const LOOKED_THROUGH: u64 = 100_000;

/// The separator of a composite key's values, which no text of Postgres's types begins with.
const SEPARATOR: &str = "\u{1f}";

/// The foreign key, as an index, the values that refer, and the label of what they refer to.
pub type Labels = Vec<(usize, String, String)>;

/// A row that can be referred to.
#[derive(Debug)]
pub struct Choice {
    /// The value that refers to it.
    pub value: String,
    /// What it is called.
    pub label: String,
}

/// The labels of all that these rows of a table refer to: one statement, by the keys of these rows
/// only.
///
/// # Errors
/// Postgres's own.
pub fn of_rows<'a>(
    transaction: &mut Transaction,
    catalogue: &Catalogue,
    table: &Table,
    rows: impl Iterator<Item = Vec<Option<&'a str>>>,
) -> Result<Labels, postgres::Error> {
    let rows: Vec<_> = rows.collect();
    let mut sql = Sql::default();
    let mut selects = Vec::new();
    for (index, key) in table.foreign_keys.iter().enumerate() {
        let Some(target) = catalogue.by_oid(&key.table) else {
            continue;
        };
        let mut referred: Vec<Vec<&str>> = rows.iter().filter_map(|row| values(key, row)).collect();
        referred.sort_unstable();
        referred.dedup();
        if let Some(select) = select(&mut sql, index, key, target, &referred) {
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

/// What a row's columns refer to, as `Labels` has it; `None` when one of them is NULL.
pub fn reference(key: &ForeignKey, row: &[Option<&str>]) -> Option<String> {
    values(key, row).map(|values| values.join(SEPARATOR))
}

/// Rows that a column can refer to: found by a text in their label or the beginning of their key,
/// or, where there are too many to look through, by their key.
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
    let is_large = rows.parse().is_ok_and(|rows: u64| rows > LOOKED_THROUGH);
    let Some(column) = target.column(to).map(|column| &target.columns[column]) else {
        return Ok(Vec::new());
    };
    let value = format!("t.{}::text", column.sql());
    let label = label(target).unwrap_or_else(|| value.clone());
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
            let held = sql.bind(Some(&format!("%{text}%")));
            let begun = sql.bind(Some(&format!("{text}%")));
            sql.push(&format!(
                " WHERE {label} ILIKE {held} OR {value} ILIKE {begun}"
            ));
        }
    }
    sql.push(&format!(" ORDER BY 2, 1 LIMIT {CHOICES}"));
    let rows = match transaction.attempt(|transaction| sql.rows(transaction))? {
        Ok(rows) => rows,
        // What is typed so far is no key.
        Err(error) if is_large && wrong_value(&error).is_some() => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    Ok({ rows.into_iter() }
        .map(|mut row| Choice {
            value: row[0].take().unwrap_or_default(),
            label: row[1].take().unwrap_or_default(),
        })
        .collect())
}

fn values<'a>(key: &ForeignKey, row: &[Option<&'a str>]) -> Option<Vec<&'a str>> {
    key.columns.iter().map(|&column| row[column]).collect()
}

fn label(target: &Table) -> Option<String> {
    let label = &target.columns[target.label()?];
    Some(format!("t.{}::text", label.sql()))
}

fn select(
    sql: &mut Sql,
    index: usize,
    key: &ForeignKey,
    target: &Table,
    referred: &[Vec<&str>],
) -> Option<String> {
    let label = label(target)?;
    let columns: Option<Vec<_>> = { key.to.iter() }
        .map(|name| target.column(name).map(|column| &target.columns[column]))
        .collect();
    let columns = columns.filter(|_| !referred.is_empty())?;
    let mut rows = Vec::new();
    for values in referred {
        let values = values.iter().zip(&columns);
        let values: Vec<String> = { values }
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
