//! Looks up the table and the key of a file that runs in batches, and refuses a key by which a table
//! cannot be passed through quickly and completely.
//!
//! Must not know how a batch runs.

use crate::files::Mark;
use crate::history::literal;
use postgres::Client;
use postgres::types::{Kind, Type};

/// A table and its key.
pub(super) struct Key {
    /// The table, quoted and with its schema.
    pub table: String,
    /// The column, quoted.
    pub column: String,
    /// The type of the column, as SQL writes it.
    type_name: String,
    /// The type of the column.
    pub type_: Type,
    /// About how many rows the table has; zero if Postgres does not know.
    pub about: u64,
    /// The replicas' part of the query for a batch.
    pub lag: &'static str,
}

/// Why a table cannot be passed through.
pub(super) enum KeyError {
    /// Its reason, and what to do.
    Refused(String),
    /// Postgres's own error.
    Postgres(postgres::Error),
}

impl From<postgres::Error> for KeyError {
    fn from(error: postgres::Error) -> KeyError {
        KeyError::Postgres(error)
    }
}

/// Reads the table, its column, whether a complete index begins with the column in the order in
/// which values are compared, and the estimated rows, with those of partitions.
const LOOK_UP: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), a.attname IS NOT NULL, a.attnotnull,
           format_type(a.atttypid, -1), a.atttypid,
           EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                   JOIN pg_am m ON m.oid = x.relam JOIN pg_opclass o ON o.oid = i.indclass[0]
                   WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
                     AND m.amname = 'btree' AND o.opcdefault AND i.indkey[0] = a.attnum
                     AND i.indcollation[0] = a.attcollation),
           (SELECT sum(greatest(p.reltuples, 0))::bigint FROM pg_class p
            WHERE CASE c.relkind WHEN 'r' THEN p.oid = c.oid
                  ELSE p.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf) END),
           a.attgenerated <> '',
           (SELECT y.typcategory IN ('A', 'C') OR 'jsonb'::regtype IN (y.oid, y.typbasetype)
            FROM pg_type y WHERE y.oid = a.atttypid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0
                            AND NOT a.attisdropped
    WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')";

/// How far the standbys are behind, in words, and whether that is too far. A session without the
/// rights sees rows without a state. `replay_lag` is NULL for a standby that has nothing to do, and
/// stands still for one that has stopped, so the distance in bytes counts too.
const LAG: &str = "
    (SELECT CASE WHEN count(*) = 0 THEN 'no standby' WHEN bool_or(state IS NULL) THEN 'unknown'
                 ELSE (CASE WHEN max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) > 67108864
                              OR max(replay_lag) > '2 s' THEN 'behind by ' ELSE '' END)
                 || coalesce(extract(epoch FROM max(replay_lag))::numeric(12, 1), 0) || ' s' END
     FROM pg_stat_replication WHERE state IS NULL OR state IN ('streaming', 'catchup'))";

/// The text of a lag that could not be read.
const UNKNOWN_LAG: &str = "'unknown'";

impl Key {
    /// Looks up the table and the key that a mark names.
    ///
    /// # Errors
    /// `KeyError::Refused` when there is no such table or column, or when the column may be NULL or
    /// has no index; Postgres's own.
    pub(super) fn find(client: &mut Client, mark: &Mark) -> Result<Key, KeyError> {
        let (table, key) = (&mark.table, &mark.key);
        let refused = |reason: String| Err(KeyError::Refused(reason));
        let row = client.query_typed_opt(LOOK_UP, &[(table, Type::TEXT), (key, Type::TEXT)])?;
        let Some(row) = row else {
            return refused(format!(
                "there is no table `{table}`; name it as in SQL, with its schema if that is needed"
            ));
        };
        if !row.get::<_, bool>(1) {
            return refused(format!("table `{table}` has no column `{key}`"));
        }
        if !row.get::<_, bool>(2) {
            return refused(format!(
                "`{key}` may be NULL, and rows where it is would be left out; take another column, \
                 or make this one NOT NULL first"
            ));
        }
        if !row.get::<_, bool>(5) {
            return refused(format!(
                "no complete btree index of `{table}` begins with `{key}`, so each batch would read \
                 the whole table; take the primary key, or first create an index CONCURRENTLY"
            ));
        }
        if mark.changes_table && row.get::<_, bool>(7) {
            return refused(format!(
                "`{key}` is generated from other columns, and a row whose key the statement changes \
                 could be met twice; take another column"
            ));
        }
        if row.get::<_, bool>(8) {
            return refused(format!(
                "the history cannot hold a key of the type of `{key}`; take another column"
            ));
        }
        let about: i64 = row.get(6);
        let type_name: String = row.get(3);
        let oid: u32 = row.get(4);
        Ok(Key {
            table: row.get(0),
            column: database::quote(key),
            type_: Type::from_oid(oid)
                .unwrap_or_else(|| Type::new(type_name.clone(), oid, Kind::Simple, String::new())),
            type_name,
            about: u64::try_from(about).unwrap_or(0),
            lag: LAG,
        })
    }

    /// Returns the query for the greatest key, as text.
    pub(super) fn greatest(&self) -> String {
        let Key { table, column, .. } = self;
        format!("SELECT to_jsonb({column}) #>> '{{}}' FROM {table} ORDER BY {column} DESC LIMIT 1")
    }

    /// Returns a value of the key as SQL.
    pub(super) fn value(&self, text: &str) -> String {
        format!("{}::{}", literal(text), self.type_name)
    }

    /// Returns whether a batch's query looks at the standbys.
    pub(super) fn reads_lag(&self) -> bool {
        self.lag == LAG
    }

    /// Goes on without a look at the standbys.
    pub(super) fn forget_lag(&mut self) {
        self.lag = UNKNOWN_LAG;
    }
}
