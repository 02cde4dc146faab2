//! Counts the rows that refer to a row, and those that a deletion of the row would affect.
//!
//! Sees the tables of the catalog only. Knows no page.

use super::row::Record;
use super::selection::Selection;
use super::sql::Sql;
use crate::catalog::{Catalog, ForeignKey, OnDelete, Table};
use database::{Transaction, quote};

/// The number up to which rows are counted.
const MAX_COUNT: usize = 100;

/// The largest number of foreign keys in a path that a deletion is followed along, and of such
/// paths. Further rows are not counted.
const MAX_DEPTH: usize = 4;
const MAX_PATHS: usize = 40;

/// The rows of one table that refer to a row, or to a row that would be deleted with it, by one
/// foreign key.
#[derive(Debug)]
pub struct Related<'a> {
    /// The table of the rows.
    pub table: &'a Table,
    /// The foreign key.
    pub key: &'a ForeignKey,
    /// The number of the rows, up to 100.
    pub count: usize,
    /// Whether there are, or may be, more rows than `count`.
    pub more: bool,
    /// What Postgres does to the rows when the row that they refer to is deleted.
    pub on_delete: OnDelete,
}

/// Counts the rows that refer to a row directly.
///
/// # Errors
/// Postgres's.
pub fn referring<'a>(
    transaction: &mut Transaction,
    catalog: &'a Catalog,
    table: &'a Table,
    record: &Record,
) -> Result<Vec<Related<'a>>, postgres::Error> {
    let paths = paths(catalog, table, 1);
    count(transaction, table, record, paths)
}

/// Counts the rows that a deletion of a row would delete or change, and those that would prevent
/// it. Leaves out foreign keys without such rows.
///
/// # Errors
/// Postgres's.
pub fn going_with<'a>(
    transaction: &mut Transaction,
    catalog: &'a Catalog,
    table: &'a Table,
    record: &Record,
) -> Result<Vec<Related<'a>>, postgres::Error> {
    let paths = paths(catalog, table, MAX_DEPTH);
    let mut related = count(transaction, table, record, paths)?;
    related.retain(|related| related.count > 0);
    Ok(related)
}

impl Related<'_> {
    /// Returns the number of the rows in words: `3`, or `at least 100`.
    pub fn counted(&self) -> String {
        match self.more {
            true => format!("at least {}", self.count),
            false => self.count.to_string(),
        }
    }

    /// Returns the selection of these rows. They have to refer to `record` directly.
    pub fn selection(&self, table: &Table, record: &Record) -> Selection {
        let columns = self.key.columns.iter().zip(&self.key.to);
        Selection::of_values(columns.map(|(&column, to)| {
            let value = table.column(to).and_then(|to| record.values[to].clone());
            (column, value)
        }))
    }
}

/// The foreign keys by which rows refer to a row, one after the other, each with its table.
type Path<'a> = Vec<(&'a Table, &'a ForeignKey)>;

/// Returns the paths to a table that have up to `depth` foreign keys, all of which, but the last,
/// delete the rows that refer.
fn paths<'a>(catalog: &'a Catalog, table: &'a Table, depth: usize) -> Vec<Path<'a>> {
    let mut found: Vec<Path> = Vec::new();
    let mut unfinished: Vec<Path> = vec![Vec::new()];
    while let Some(path) = unfinished.pop() {
        let last = path.last().map_or(table, |(table, _)| table);
        for step in catalog.referring_to(last) {
            // A table may refer to itself.
            let is_repeated = path.iter().any(|(_, key)| std::ptr::eq(*key, step.1));
            if is_repeated || found.len() == MAX_PATHS {
                continue;
            }
            let longer: Path = path.iter().copied().chain([step]).collect();
            if step.1.on_delete == OnDelete::Cascade && longer.len() < depth {
                unfinished.push(longer.clone());
            }
            found.push(longer);
        }
    }
    found
}

fn count<'a>(
    transaction: &mut Transaction,
    table: &Table,
    record: &Record,
    paths: Vec<Path<'a>>,
) -> Result<Vec<Related<'a>>, postgres::Error> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::default();
    let key = sql.bind_key(table.key_columns(), &record.key(table));
    let counts: Vec<String> = paths
        .iter()
        .map(|path| select_count(table, &key, path))
        .collect();
    sql.push(&counts.join(" UNION ALL "));
    let rows = sql.rows(transaction)?;
    let related = paths.into_iter().zip(rows).map(|(path, row)| {
        let (table, key) = *path.last().expect("a path has a step");
        let count = row[0]
            .as_deref()
            .and_then(|count| count.parse().ok())
            .unwrap_or(0);
        Related {
            table,
            key,
            count: count.min(MAX_COUNT),
            // Behind a table that refers to itself there may be further rows.
            more: count > MAX_COUNT || (key.table == table.oid && count > 0),
            on_delete: key.on_delete,
        }
    });
    Ok(related.collect())
}

/// Returns the statement that counts the rows at the end of a path. Each step is a subselect in the
/// next one, and calls its table `t`.
fn select_count(root: &Table, root_condition: &str, path: &Path) -> String {
    let (mut target, mut condition) = (root, root_condition.to_string());
    for &(table, key) in path {
        let names = key
            .columns
            .iter()
            .map(|&column| format!("t.{}", table.columns[column].sql()));
        let names: Vec<String> = names.collect();
        let to: Vec<String> = key
            .to
            .iter()
            .map(|name| format!("t.{}", quote(name)))
            .collect();
        condition = format!(
            "({}) IN (SELECT {} FROM {} t WHERE {condition})",
            names.join(", "),
            to.join(", "),
            target.sql()
        );
        target = table;
    }
    format!(
        "SELECT count(*)::text FROM (SELECT FROM {} t WHERE {condition} LIMIT {}) counted",
        target.sql(),
        MAX_COUNT + 1
    )
}
