//! Reads Postgres's catalog: four statements in one round trip.
//!
//! Knows no row and no page. Source: "System Catalogs", Postgres manual.

use super::{Catalog, Column, Constraint, ForeignKey, Kind, OnDelete, Table, is_secret_name};
use database::{Row, Transaction};
use std::mem::take;

/// The tables and views from which the role may read a column; without Postgres's own, the admin
/// tool's own, and partitions, whose rows are those of their table.
const READABLE: &str = r"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
     AND NOT c.relispartition AND n.nspname NOT IN ('information_schema', 'plain_lambda')
     AND n.nspname NOT LIKE 'pg\_%' AND has_schema_privilege(n.oid, 'USAGE')
     AND has_any_column_privilege(c.oid, 'SELECT')";

/// The bits of `pg_relation_is_updatable` are the statements that write through a view.
const TABLES: &str = "
    SELECT c.oid, n.nspname, c.relname, c.relkind, obj_description(c.oid, 'pg_class'),
           has_any_column_privilege(c.oid, 'INSERT') AND pg_relation_is_updatable(c.oid, true) & 8 <> 0,
           has_any_column_privilege(c.oid, 'UPDATE') AND pg_relation_is_updatable(c.oid, true) & 4 <> 0,
           has_table_privilege(c.oid, 'DELETE') AND pg_relation_is_updatable(c.oid, true) & 16 <> 0";

/// `d` is the type under a domain, or under a domain over a domain; `e` is the element of an array.
const COLUMNS: &str = "
    SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
           format_type(a.atttypid, -1), d.typname, d.typtype,
           CASE WHEN d.typtype = 'e' THEN
               (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = d.oid)
           END,
           a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
           coalesce(pg_get_expr(x.adbin, x.adrelid), t.typdefault),
           a.attidentity = 'a' OR a.attgenerated <> '', a.attidentity = 'd',
           col_description(a.attrelid, a.attnum),
           e.typcategory = 'S' OR e.typtype IN ('e', 'r', 'm') OR EXISTS (
               SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
               WHERE m.amname = 'btree' AND o.opcdefault AND o.opcintype = e.oid),
           has_column_privilege(a.attrelid, a.attnum, 'INSERT'),
           has_column_privilege(a.attrelid, a.attnum, 'UPDATE')
    {readable}
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_type u ON u.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
    JOIN pg_type d ON d.oid = CASE u.typtype WHEN 'd' THEN u.typbasetype ELSE u.oid END
    JOIN pg_type e ON e.oid = CASE d.typcategory WHEN 'A' THEN d.typelem ELSE d.oid END
    LEFT JOIN pg_attrdef x ON x.adrelid = a.attrelid AND x.adnum = a.attnum
    ORDER BY a.attrelid, a.attnum";

/// The last column: whether the index identifies rows. A partial index, an index on expressions, a
/// deferrable one and an invalid one do not.
const UNIQUE_KEYS: &str = "
    SELECT i.indrelid, x.relname,
           array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ' '),
           pg_get_indexdef(i.indexrelid),
           i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate AND i.indisvalid
    {readable}
    JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique
    JOIN pg_class x ON x.oid = i.indexrelid
    ORDER BY i.indrelid, NOT i.indisprimary, i.indnkeyatts, x.relname";

/// Checks, foreign keys and exclusions.
const CONSTRAINTS: &str = "
    SELECT k.conrelid, k.conname, array_to_string(k.conkey, ' '), pg_get_constraintdef(k.oid),
           k.contype, k.confrelid, k.confdeltype,
           (SELECT json_agg(a.attname ORDER BY p.place)
            FROM unnest(k.confkey) WITH ORDINALITY p (number, place)
            JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number)
    {readable}
    JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('c', 'f', 'x')
    ORDER BY k.conrelid, k.conname";

/// Reads the catalog.
pub(super) fn read(transaction: &mut Transaction) -> Result<Catalog, postgres::Error> {
    let tables = format!("{TABLES}{READABLE} ORDER BY n.nspname <> 'public', 2, 3");
    let others = [COLUMNS, UNIQUE_KEYS, CONSTRAINTS].map(|sql| sql.replace("{readable}", READABLE));
    let mut results = transaction.results(&format!("{tables};{}", others.join(";")))?;
    let mut results = results.drain(..);
    let mut next = || results.next().unwrap_or_default();
    let mut catalog = Catalog {
        tables: next().into_iter().map(table).collect(),
    };
    for (add, rows) in [
        (add_column as fn(&mut Table, Row), next()),
        (add_unique_key, next()),
        (add_constraint, next()),
    ] {
        for row in rows {
            let mut tables = catalog.tables.iter_mut();
            if let Some(table) = tables.find(|table| Some(&table.oid) == row[0].as_ref()) {
                add(table, row);
            }
        }
    }
    mark_secrets(&mut catalog);
    Ok(catalog)
}

/// Marks the columns whose names say that the values are secret. Leaves out those of keys and of
/// foreign keys, and those that foreign keys refer to: the values stand in addresses.
fn mark_secrets(catalog: &mut Catalog) {
    let keys = catalog.tables.iter().flat_map(|table| &table.foreign_keys);
    let referred: Vec<(String, String)> = keys
        .flat_map(|key| key.to.iter().map(|to| (key.table.clone(), to.clone())))
        .collect();
    for table in &mut catalog.tables {
        for (at, column) in table.columns.iter_mut().enumerate() {
            let mut keys = table.foreign_keys.iter();
            let identifies = table.key.contains(&at)
                || keys.any(|key| key.columns.contains(&at))
                || referred
                    .iter()
                    .any(|(oid, name)| *oid == table.oid && *name == column.name);
            column.is_secret = !identifies && is_secret_name(&column.name) && can_be_secret(column);
            column.sortable &= !column.is_secret;
        }
    }
}

fn can_be_secret(column: &Column) -> bool {
    match column.kind {
        Kind::Boolean | Kind::Enum(_) | Kind::Date | Kind::Time => false,
        // `token_count` is a count; `otp` and `ssn` are not.
        Kind::Number => !column.name.to_ascii_lowercase().contains("token"),
        _ => true,
    }
}

fn table(mut row: Row) -> Table {
    Table {
        oid: text(&mut row[0]),
        schema: text(&mut row[1]),
        name: text(&mut row[2]),
        kind: match row[3].as_deref() {
            Some("p") => "partitioned table",
            Some("v") => "view",
            Some("m") => "materialized view",
            Some("f") => "foreign table",
            _ => "table",
        },
        comment: take(&mut row[4]),
        may_insert: is_true(&row[5]),
        may_update: is_true(&row[6]),
        may_delete: is_true(&row[7]),
        ..Table::default()
    }
}

fn add_column(table: &mut Table, mut row: Row) {
    let generated = is_true(&row[10]);
    let by_default = is_true(&row[11]).then(|| "the next number".to_string());
    table.columns.push(Column {
        number: text(&mut row[1]),
        name: text(&mut row[2]),
        type_name: text(&mut row[3]),
        cast: text(&mut row[4]),
        kind: kind(&row),
        not_null: is_true(&row[8]),
        default: take(&mut row[9]).or(by_default),
        comment: take(&mut row[12]),
        sortable: is_true(&row[13]),
        is_secret: false,
        may_insert: !generated && is_true(&row[14]),
        may_update: !generated && is_true(&row[15]),
    });
}

fn kind(row: &Row) -> Kind {
    if row[6].as_deref() == Some("e") {
        return Kind::Enum(names(&row[7]));
    }
    match row[5].as_deref().unwrap_or_default() {
        "bool" => Kind::Boolean,
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "oid" => Kind::Number,
        "text" | "varchar" | "bpchar" | "name" | "citext" => Kind::Text,
        "date" => Kind::Date,
        "timestamptz" => Kind::Time,
        "json" | "jsonb" => Kind::Json,
        "bytea" => Kind::Bytes,
        _ => Kind::Other,
    }
}

fn add_unique_key(table: &mut Table, mut row: Row) {
    let Some(columns) = table.columns_by_number(&row[2]) else {
        return;
    };
    let usable = is_true(&row[4]) && columns.iter().all(|&at| table.columns[at].not_null);
    if table.key.is_empty() && usable {
        table.key.clone_from(&columns);
    }
    table.constraints.push(Constraint {
        name: text(&mut row[1]),
        columns,
        definition: text(&mut row[3]),
    });
}

fn add_constraint(table: &mut Table, mut row: Row) {
    let Some(columns) = table.columns_by_number(&row[2]) else {
        return;
    };
    let name = text(&mut row[1]);
    match row[4].as_deref() {
        Some("f") => table.foreign_keys.push(ForeignKey {
            name,
            columns,
            table: text(&mut row[5]),
            to: names(&row[7]),
            on_delete: match row[6].as_deref() {
                Some("c") => OnDelete::Cascade,
                Some("n" | "d") => OnDelete::SetNull,
                _ => OnDelete::Restrict,
            },
        }),
        _ => table.constraints.push(Constraint {
            name,
            columns,
            definition: text(&mut row[3]),
        }),
    }
}

impl Table {
    /// Returns the columns with these numbers; `None` when the role may not read one of them. The
    /// number of an expression is 0, and is left out.
    fn columns_by_number(&self, numbers: &Option<String>) -> Option<Vec<usize>> {
        let numbers = numbers.as_deref().unwrap_or_default().split_whitespace();
        numbers
            .filter(|number| *number != "0")
            .map(|number| {
                self.columns
                    .iter()
                    .position(|column| column.number == number)
            })
            .collect()
    }
}

fn text(value: &mut Option<String>) -> String {
    take(value).unwrap_or_default()
}

fn is_true(value: &Option<String>) -> bool {
    value.as_deref() == Some("t")
}

/// Parses a JSON array of strings.
fn names(value: &Option<String>) -> Vec<String> {
    let json = value.as_deref().unwrap_or("[]");
    let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let names = json.as_array().into_iter().flatten();
    names
        .filter_map(|name| Some(name.as_str()?.to_string()))
        .collect()
}
