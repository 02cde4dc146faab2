//! Asks the catalog, in one query, for the tables that statements touch: how large they are, and
//! whether a statement's work has to be done.
//!
//! Reads statistics and no table: it waits for no lock. Must not know what is advised.

use super::operation::{Operation, Relation, When};
use super::words::Name;
use crate::history::literal;
use database::describe;
use handler::{Failure, Kind};
use postgres::Client;

/// A table, as the catalog knows it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The schema and the name, quoted where SQL needs it.
    pub name: String,
    /// About how many rows it has, with its partitions.
    pub rows: i64,
    /// About how large it is, without indexes and TOAST.
    pub bytes: i64,
    /// About how large its TOAST is.
    pub toast_bytes: i64,
    /// Whether it is partitioned.
    pub is_partitioned: bool,
    /// Whether the operation's work has to be done.
    pub applies: bool,
}

/// The rows from which a table is large. Below, even the slowest work takes about a second on a small
/// server.
pub(super) const MANY_ROWS: i64 = 100_000;

/// The bytes from which a table is large, for tables of few and wide rows.
pub(super) const MANY_BYTES: i64 = 100_000_000;

/// Looks for each operation's table, in the schemas given, or in the session's search path if none
/// are; `None` where there is no such table.
///
/// # Errors
/// `Function.QueryFailed`.
pub(super) fn tables(
    client: &mut Client,
    asked: &[(&Operation, &[String])],
) -> Result<Vec<Option<Table>>, Failure> {
    let mut found = vec![None; asked.len()];
    if asked.is_empty() {
        return Ok(found);
    }
    let rows = client.query_typed(&query(asked), &[]).map_err(failed)?;
    for row in rows {
        let at: i32 = row.get(0);
        let place = usize::try_from(at).ok().and_then(|at| found.get_mut(at));
        if let Some(place) = place {
            *place = Some(Table {
                name: row.get(1),
                rows: row.get(2),
                bytes: row.get(3),
                toast_bytes: row.get(4),
                is_partitioned: row.get(5),
                applies: row.get::<_, Option<bool>>(6).unwrap_or(true),
            });
        }
    }
    Ok(found)
}

/// Returns whether the database has a large table at all.
///
/// # Errors
/// `Function.QueryFailed`.
pub(super) fn has_large_table(client: &mut Client) -> Result<bool, Failure> {
    let query = format!(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'm') AND s.nspname NOT IN ('pg_catalog', 'information_schema')
         AND (greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)) >= {MANY_ROWS} OR c.relpages
              * current_setting('block_size')::bigint >= {MANY_BYTES}))"
    );
    let row = client.query_typed_one(&query, &[]).map_err(failed)?;
    Ok(row.get(0))
}

fn failed(error: postgres::Error) -> Failure {
    let cause = describe(&error);
    let message = "failed to look up the sizes of tables";
    Failure::new(Kind::QueryFailed, message).with_source(cause)
}

/// Returns the query. A table that was never analysed has no pages in the catalog; its rows are then
/// counted as 100 bytes each.
fn query(asked: &[(&Operation, &[String])]) -> String {
    let (mut relations, mut conditions) = (Vec::new(), Vec::new());
    for (at, (operation, path)) in asked.iter().enumerate() {
        let (how, name) = match &operation.relation {
            Relation::Table(name) => ('t', name),
            Relation::OfIndex(name) => ('i', name),
            Relation::DefaultOf(name) => ('d', name),
            Relation::WithDomain(name) => ('o', name),
        };
        let schemas = schemas(name, path);
        relations.push(format!(
            "({at}, '{how}', {schemas}, {})",
            literal(&name.name)
        ));
        if operation.when != When::Always {
            let condition = condition(&operation.when, path);
            conditions.push(format!("WHEN {at} THEN {condition}"));
        }
    }
    let condition = match conditions.is_empty() {
        true => "true".to_string(),
        false => format!("CASE f.n {} ELSE true END", conditions.join(" ")),
    };
    let relations = relations.join(", ");
    format!(
        "WITH RECURSIVE found AS (
            SELECT a.n, CASE a.how
                WHEN 'o' THEN (
                    SELECT r.oid FROM pg_type t JOIN pg_attribute u ON u.atttypid = t.oid
                    JOIN pg_class r ON r.oid = u.attrelid AND r.relkind IN ('r', 'm')
                    WHERE t.typname = a.name ORDER BY r.reltuples DESC LIMIT 1)
                WHEN 'i' THEN (SELECT indrelid FROM pg_index WHERE indexrelid = r.oid)
                WHEN 'd' THEN (SELECT partdefid FROM pg_partitioned_table WHERE partrelid = r.oid)
                ELSE r.oid END AS oid
            FROM (VALUES {relations}) a(n, how, schemas, name) LEFT JOIN LATERAL (
                SELECT c.oid FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
                WHERE c.relname = a.name AND s.nspname = ANY (a.schemas)
                ORDER BY array_position(a.schemas, s.nspname) LIMIT 1) r ON true
         ), tree AS (
            SELECT n, oid FROM found
            UNION SELECT t.n, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
         ), sizes AS (
            SELECT t.n, sum(r.live)::bigint AS live,
                   sum(CASE WHEN c.relpages > 0 THEN c.relpages * b.size ELSE r.live * 100 END)::bigint
                       AS bytes,
                   sum(coalesce(o.relpages, 0) * b.size)::bigint AS toast
            FROM tree t JOIN pg_class c USING (oid) LEFT JOIN pg_class o ON o.oid = c.reltoastrelid,
                 LATERAL (SELECT CASE c.relkind WHEN 'p' THEN 0 ELSE
                     greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0) END AS live) r,
                 (SELECT current_setting('block_size')::bigint AS size) b
            WHERE c.relkind IN ('r', 'm', 'p') GROUP BY t.n
         )
         SELECT f.n, format('%I.%I', s.nspname, c.relname), z.live, z.bytes, z.toast,
                c.relkind = 'p', {condition}
         FROM found f JOIN pg_class c USING (oid) JOIN pg_namespace s ON s.oid = c.relnamespace
         JOIN sizes z USING (n)"
    )
}

/// Returns the array of schemas in which a name is looked up.
fn schemas(name: &Name, path: &[String]) -> String {
    let schemas: Vec<String> = match &name.schema {
        Some(schema) => vec![literal(schema)],
        None => path.iter().map(|schema| literal(schema)).collect(),
    };
    match schemas.is_empty() {
        true => "current_schemas(true)".to_string(),
        false => format!("ARRAY[{}]::name[]", schemas.join(", ")),
    }
}

/// Returns an expression that says whether a condition holds for the table `c`.
fn condition(when: &When, path: &[String]) -> String {
    match when {
        When::Always => "true".to_string(),
        When::NoIndex(name) => format!("NOT EXISTS ({})", relation(name, path)),
        When::Volatile(names) => {
            let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
            format!(
                "EXISTS (SELECT FROM pg_proc WHERE proname IN ({}) AND provolatile = 'v')",
                names.join(", ")
            )
        }
        When::Constrained(domain) => format!(
            "EXISTS (SELECT FROM pg_type t WHERE t.typname = {} AND {CONSTRAINED})",
            literal(domain)
        ),
        When::Nullable(column) => nullable(column),
        When::NullableIndex(index) => format!(
            "EXISTS ({} AND EXISTS (SELECT FROM pg_index i JOIN pg_attribute a
                 ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                 WHERE i.indexrelid = x.oid AND NOT a.attnotnull))",
            relation(index, path)
        ),
        When::Converted(column, kind, modifiers) => converted(column, kind, modifiers),
        When::Checked(column) => format!(
            "EXISTS (SELECT FROM pg_constraint k JOIN pg_attribute a
                 ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
                 WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attname = {})",
            literal(column)
        ),
        When::Indexed(column) => indexed(column, "true"),
        When::Resorted(column, kind) => indexed(
            column,
            &format!(
                "t.typname IN ('timestamp', 'timestamptz') AND t.typname <> {}",
                literal(kind)
            ),
        ),
        When::Unproven(parent) => format!(
            "NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
                 AND k.convalidated AND NOT EXISTS ({} AND EXISTS (
                     SELECT FROM pg_partitioned_table p JOIN pg_attribute a
                     ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs)
                     WHERE p.partrelid = x.oid AND NOT EXISTS (
                         SELECT FROM pg_attribute o WHERE o.attrelid = c.oid
                         AND o.attname = a.attname AND o.attnum = ANY (k.conkey)))))",
            relation(parent, path)
        ),
        When::NoPartitions => "c.relkind <> 'p'".to_string(),
        When::Persistence(persistence) => format!("c.relpersistence = '{persistence}'"),
        When::NoColumn(column, when) => format!(
            "NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = {})
                 AND {}",
            literal(column),
            condition(when, path)
        ),
    }
}

/// Whether the type `t` is a domain that refuses values.
const CONSTRAINED: &str = "t.typtype = 'd' AND (t.typnotnull OR EXISTS (
    SELECT FROM pg_constraint k WHERE k.contypid = t.oid))";

/// Returns the query for a relation `x`.
fn relation(name: &Name, path: &[String]) -> String {
    format!(
        "SELECT FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace
         WHERE x.relname = {} AND n.nspname = ANY ({})",
        literal(&name.name),
        schemas(name, path)
    )
}

/// A column may hold NULL unless it is declared NOT NULL, or a valid CHECK without OR says so.
fn nullable(column: &str) -> String {
    let column = literal(column);
    format!(
        "NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = {column}
             AND (a.attnotnull OR EXISTS (
                 SELECT FROM pg_constraint k, pg_get_constraintdef(k.oid) AS text
                 WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated
                   AND a.attnum = ANY (k.conkey) AND text NOT LIKE '% OR %'
                   AND strpos(text, format('(%I IS NOT NULL)', a.attname)) > 0)))"
    )
}

fn indexed(column: &str, condition: &str) -> String {
    let column = literal(column);
    format!(
        "EXISTS (SELECT FROM pg_index i JOIN pg_attribute a
             ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
             JOIN pg_type t ON t.oid = a.atttypid
             WHERE i.indrelid = c.oid AND a.attname = {column} AND {condition})"
    )
}

/// A type change converts no value if the types have the same bytes (`pg_cast` knows), and the new
/// modifiers allow every value that the old ones allow. `o` is the old type, without its domain, `m`
/// its modifier, `n` the new type.
fn converted(column: &str, kind: &str, modifiers: &[i32]) -> String {
    let fits = match (kind, modifiers) {
        (_, []) => "true".to_string(),
        ("varchar", [length, ..]) => format!("o = n.oid AND m BETWEEN 4 AND {length} + 4"),
        ("bpchar", [length, ..]) => format!("o = n.oid AND m = {length} + 4"),
        ("bit", [length, ..]) => format!("o = n.oid AND m = {length}"),
        ("varbit", [length, ..]) => format!("o = n.oid AND m BETWEEN 1 AND {length}"),
        ("numeric", [precision, scale @ ..]) => {
            let scale = scale.first().unwrap_or(&0);
            format!(
                "o = n.oid AND m >= 4 AND (m - 4) & 2047 = {scale} AND (m - 4) >> 16 <= {precision}"
            )
        }
        ("timestamp" | "timestamptz" | "time" | "timetz", [precision, ..]) => {
            format!("CASE WHEN m < 0 THEN 6 ELSE m END <= {precision}")
        }
        _ => "false".to_string(),
    };
    let (column, kind) = (literal(column), literal(kind));
    format!(
        "NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             JOIN pg_type n ON n.typname = {kind},
             LATERAL (SELECT coalesce(nullif(t.typbasetype, 0), t.oid) AS o,
                             CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS m) b
             WHERE a.attrelid = c.oid AND a.attname = {column} AND {fits} AND (
                 o = n.oid
                 OR EXISTS (SELECT FROM pg_cast WHERE castsource = o AND casttarget = n.oid
                            AND castmethod = 'b')
                 OR (n.typtype = 'd' AND n.typbasetype = o AND NOT (
                     n.typnotnull OR EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = n.oid)))
                 OR (o IN ('timestamp'::regtype, 'timestamptz'::regtype)
                     AND n.typname IN ('timestamp', 'timestamptz')
                     AND current_setting('TimeZone') IN ('UTC', 'Etc/UTC', 'GMT', 'Etc/GMT'))))"
    )
}
