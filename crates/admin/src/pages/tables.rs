//! `/tables`: the tables and views that the database role may read, with their sizes.

use crate::display_value::table_path;
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, Transaction};
use records::catalog::{Catalog, Table};
use web::Response;

#[derive(Template)]
#[template(path = "tables.html")]
struct Tables<'a> {
    tables: Vec<Line<'a>>,
}

/// A table with its size.
pub(super) struct Line<'a> {
    /// The table.
    pub table: &'a Table,
    /// The address of its list.
    pub href: String,
    /// The number of rows as of the last ANALYZE or VACUUM; `None` before the first.
    pub rows: Option<String>,
    /// Its size with its indexes in bytes; 0 for a view.
    pub bytes: u64,
    /// The same size with a unit; `None` for a view.
    pub size: Option<String>,
    /// The rows added less the rows deleted since the statistics began; `None` for a view.
    pub growth: Option<i64>,
}

/// A partitioned table has no rows itself, so those of its partitions are counted.
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

/// Shows the list.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let page = Tables {
        tables: lines(&catalog, &mut transaction)?,
    };
    Ok(request.page("Tables", &page))
}

/// Returns every table with its size.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`.
pub(super) fn lines<'a>(
    catalog: &'a Catalog,
    transaction: &mut Transaction,
) -> Result<Vec<Line<'a>>, PageError> {
    let rows = transaction.rows(SIZES, &[])?;
    let tables = catalog.tables.iter();
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

/// Puts commas between the thousands of a whole number.
pub(super) fn grouped(number: &str) -> String {
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
    fn thousands_are_separated_by_commas() {
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
