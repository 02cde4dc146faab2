//! `/tables`: everything that has rows.

use super::cell::table_path;
use super::errors::Stop;
use super::gate::Visit;
use crate::catalogue::{Catalogue, Table};
use crate::database::{Access, Connection, Transaction};
use crate::http::Response;
use askama::Template;

#[derive(Template)]
#[template(path = "tables.html")]
struct Tables<'a> {
    tables: Vec<Line<'a>>,
}

/// A table with its size.
pub struct Line<'a> {
    /// The table.
    pub table: &'a Table,
    /// Where its list is.
    pub href: String,
    /// How many rows Postgres has counted when it last analysed; `None` when never.
    pub rows: Option<String>,
    /// Its bytes with its indexes; 0 for a view.
    pub bytes: u64,
    /// The same for a person.
    pub size: Option<String>,
    /// Rows added and deleted since the statistics began.
    pub growth: Option<i64>,
}

/// A partitioned table has no rows of its own: its partitions have them.
const SIZES: &str = "
    SELECT c.oid::text,
           CASE WHEN bool_or(p.reltuples >= 0) THEN sum(greatest(p.reltuples, 0))::bigint::text END,
           sum(pg_total_relation_size(p.oid))::bigint::text,
           pg_size_pretty(sum(pg_total_relation_size(p.oid))),
           sum(s.n_tup_ins - s.n_tup_del)::bigint::text
    FROM pg_class c
    JOIN LATERAL (
        SELECT relid AS oid FROM pg_partition_tree(c.oid) WHERE c.relkind = 'p'
        UNION ALL SELECT c.oid WHERE c.relkind <> 'p'
    ) part ON true
    JOIN pg_class p ON p.oid = part.oid
    LEFT JOIN pg_stat_all_tables s ON s.relid = p.oid
    WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition
      AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    GROUP BY c.oid";

/// The list.
pub fn show(visit: &Visit, connection: &mut Connection, _: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let page = Tables {
        tables: lines(&catalogue, &mut transaction)?,
    };
    Ok(visit.page("/tables", "Tables", &page))
}

/// Every table with its size.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`.
pub fn lines<'a>(
    catalogue: &'a Catalogue,
    transaction: &mut Transaction,
) -> Result<Vec<Line<'a>>, Stop> {
    let rows = transaction.rows(SIZES, &[])?;
    let tables = catalogue.tables.iter();
    let lines = tables.map(|table| {
        let row = rows.iter().find(|row| row[0].as_ref() == Some(&table.oid));
        let value = |column: usize| row.and_then(|row| row[column].clone());
        let [rows, bytes, size, growth] = [1, 2, 3, 4].map(value);
        Line {
            table,
            href: table_path(table, ""),
            rows: rows.map(|rows| grouped(&rows)),
            bytes: bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0),
            size,
            growth: growth.and_then(|growth| growth.parse().ok()),
        }
    });
    Ok(lines.collect())
}

/// A whole number with its thousands apart.
pub fn grouped(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let mut grouped = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, expected) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-1234567", "-1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
    }
}
