//! What refers to a row, and what would go with it.

use super::row::Record;
use super::selection::Selection;
use super::sql::Sql;
use crate::catalogue::{Catalogue, ForeignKey, OnDelete, Table, quote};
use crate::database::Transaction;

/// How far rows are counted.
const COUNTED: usize = 100;

/// How many tables deep a deletion is followed, and how many ways of it are.
const DEPTH: usize = 4;
const WAYS: usize = 40;

/// Rows of one table that refer by one foreign key.
#[derive(Debug)]
pub struct Related<'a> {
    /// Whose rows.
    pub table: &'a Table,
    /// By which columns.
    pub key: &'a ForeignKey,
    /// How many, up to a hundred.
    pub count: usize,
    /// Whether there are more, or may be.
    pub more: bool,
    /// What becomes of them when the row is deleted.
    pub on_delete: OnDelete,
}

/// What refers to a row directly.
///
/// # Errors
/// Postgres's own.
pub fn referring<'a>(
    transaction: &mut Transaction,
    catalogue: &'a Catalogue,
    table: &'a Table,
    record: &Record,
) -> Result<Vec<Related<'a>>, postgres::Error> {
    let ways = ways(catalogue, table, 1);
    count(transaction, table, record, ways)
}

/// What would go with a row, or refers to what would, and what prevents it.
///
/// # Errors
/// Postgres's own.
pub fn going_with<'a>(
    transaction: &mut Transaction,
    catalogue: &'a Catalogue,
    table: &'a Table,
    record: &Record,
) -> Result<Vec<Related<'a>>, postgres::Error> {
    let ways = ways(catalogue, table, DEPTH);
    let mut related = count(transaction, table, record, ways)?;
    related.retain(|related| related.count > 0);
    Ok(related)
}

impl Related<'_> {
    /// The list of these rows, for those that refer to `record` directly.
    pub fn selection(&self, table: &Table, record: &Record) -> Selection {
        let columns = self.key.columns.iter().zip(&self.key.to);
        Selection::of_values(columns.map(|(&column, to)| {
            let value = table.column(to).and_then(|to| record.values[to].clone());
            (column, value)
        }))
    }
}

/// A way from a row to those that refer to it: one foreign key after the other.
type Way<'a> = Vec<(&'a Table, &'a ForeignKey)>;

/// Every way of at most this length on which each step but the last deletes with it.
fn ways<'a>(catalogue: &'a Catalogue, table: &'a Table, depth: usize) -> Vec<Way<'a>> {
    let mut found: Vec<Way> = Vec::new();
    let mut begun: Vec<Way> = vec![Vec::new()];
    while let Some(way) = begun.pop() {
        let last = way.last().map_or(table, |(table, _)| table);
        for step in catalogue.referring_to(last) {
            // A table may refer to itself.
            let again = way.iter().any(|(_, key)| std::ptr::eq(*key, step.1));
            if again || found.len() == WAYS {
                continue;
            }
            let longer: Way = way.iter().copied().chain([step]).collect();
            if step.1.on_delete == OnDelete::Cascade && longer.len() < depth {
                begun.push(longer.clone());
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
    ways: Vec<Way<'a>>,
) -> Result<Vec<Related<'a>>, postgres::Error> {
    if ways.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::default();
    let key = sql.bind_key(table.key_columns(), &record.key(table));
    let counts: Vec<String> = ways.iter().map(|way| count_of(table, &key, way)).collect();
    sql.push(&counts.join(" UNION ALL "));
    let rows = sql.rows(transaction)?;
    let related = ways.into_iter().zip(rows).map(|(way, row)| {
        let (table, key) = *way.last().expect("a way has a step");
        let count = row[0]
            .as_deref()
            .and_then(|count| count.parse().ok())
            .unwrap_or(0);
        Related {
            table,
            key,
            count: count.min(COUNTED),
            more: count > COUNTED || (key.table == table.oid && count > 0),
            on_delete: key.on_delete,
        }
    });
    Ok(related.collect())
}

/// Each step is a subselect in the next; each has its table as `t`.
fn count_of(root: &Table, root_condition: &str, way: &Way) -> String {
    let (mut target, mut condition) = (root, root_condition.to_string());
    for &(table, key) in way {
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
        COUNTED + 1
    )
}
