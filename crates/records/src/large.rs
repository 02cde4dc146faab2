//! Large rows: up to which size a row is read whole, and what is read of a larger one. Postgres cuts
//! the values, so that no more than this reaches the memory of the function.
//!
//! Knows no page.

use crate::catalog::{Column, Kind, Table};

/// The size, in bytes of a row's text, up to which all values are read whole.
pub(crate) const MAX_ROW: usize = 1_000_000;

/// The size in bytes of a text up to which it is searched. LIKE takes time in proportion to the
/// length of the text multiplied by that of the pattern, and `statement_timeout` does not stop it.
pub(crate) const MAX_SEARCHED: usize = 1_000_000;

/// Returns the number of characters that are read of each value of a row above [`MAX_ROW`].
pub(crate) fn value_length(table: &Table) -> usize {
    MAX_ROW / table.columns.len().max(1)
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

/// Returns a subselect in SQL whose column `text` is the text of the row `t`. With OFFSET, Postgres
/// makes the text once, and not once for each place where it is named.
pub(crate) fn row_text(table: &Table) -> String {
    format!("(SELECT {}::text AS text OFFSET 0)", whole_row(table))
}

/// Returns the condition in SQL that a text of a column is short enough to be searched.
pub(crate) fn is_searched(column: &Column) -> String {
    match column.is_short() {
        true => "true".to_string(),
        false => format!("octet_length(t.{}::text) <= {MAX_SEARCHED}", column.sql()),
    }
}

/// Returns the columns of a row in SQL as values of a JSON object, each with its name; with `w.text`
/// as the row's text. Of a row above [`MAX_ROW`], a long value is its beginning, its size and its
/// hash, so that two long values that differ have different texts. `json` is a text, because it can
/// hold what `jsonb` cannot, such as `\u0000`; a `bytea` is its size.
pub(crate) fn json_values(table: &Table) -> String {
    let length = value_length(table);
    let value = |column: &Column| {
        let name = column.sql();
        let text = format!("t.{name}::text");
        let json = match column.kind {
            Kind::Bytes => return format!("octet_length(t.{name}) || ' bytes' AS {name}"),
            _ if column.is_short() => return format!("t.{name}"),
            Kind::Json if column.cast != "jsonb" => &text,
            Kind::Other if column.cast == "json[]" => &text,
            _ => &format!("t.{name}"),
        };
        format!(
            "CASE WHEN octet_length(w.text) <= {MAX_ROW} OR octet_length({text}) <= {length} \
             THEN to_jsonb({json}) ELSE to_jsonb(left({text}, {length}) || '… (' || \
             octet_length({text}) || ' bytes, md5 ' || md5({text}) || ')') END AS {name}"
        )
    };
    let values: Vec<String> = table.columns.iter().map(value).collect();
    values.join(", ")
}
