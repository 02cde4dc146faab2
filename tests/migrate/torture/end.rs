//! The end of a history: all that a database has, but for the tool's own schema, as a text to compare.

use crate::support::run;
use postgres::Client;
use std::path::Path;
use std::process::Command;

/// What a database has.
pub(super) struct End {
    /// What `pg_dump` says of the schema.
    dump: String,
    /// What it does not say: invalid indexes, partitions half detached, and the rows.
    rest: String,
}

/// The relations with their owners, and whether an index is valid; the database's settings.
const RELATIONS: &str = "
    SELECT format('%s %s.%s of %s%s', c.relkind, n.nspname, c.relname, c.relowner::regrole,
                  CASE WHEN NOT i.indisvalid OR NOT i.indisready THEN ', INVALID' END)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE n.nspname IN ('public', 'app')
    UNION ALL
    SELECT format('%s is half detached', inhrelid::regclass) FROM pg_inherits WHERE inhdetachpending
    UNION ALL
    SELECT format('setting %s', setconfig) FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY 1";

const TABLES: &str = "
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname IN ('public', 'app') ORDER BY 1";

/// How often each step of a file has run.
const TALLY: &str = "
    SELECT format('file %s step %s ran %s times', file, step, count(*)) FROM tally
    GROUP BY file, step ORDER BY file, step";

impl End {
    /// Reads a database; `programs` is the folder of `pg_dump`.
    pub(super) fn of(url: &str, client: &mut Client, programs: &Path) -> End {
        let mut command = Command::new(programs.join("pg_dump"));
        command.args(["--schema-only", "--exclude-schema=plain_lambda", "--dbname"]);
        let dump = run(command.arg(url));
        // Newer releases frame a dump with a random key.
        let lines = dump
            .lines()
            .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "));
        let dump = lines.collect::<Vec<_>>().join("\n");
        let mut rest = texts(client, RELATIONS);
        for table in texts(client, TABLES) {
            // The order of rows in a table depends on what was rolled back before.
            rest.extend(texts(
                client,
                &format!(
                    "SELECT format('{table}: %s rows, %s', count(*),
                                   md5(string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\")))
                     FROM {table} t"
                ),
            ));
        }
        rest.extend(texts(client, TALLY));
        let rest = rest.join("\n");
        End { dump, rest }
    }

    /// Returns how a database differs from what it should be; `None` if it does not.
    pub(super) fn differs(&self, expected: &End) -> Option<String> {
        let mut difference = lines_that_differ(&self.rest, &expected.rest);
        difference.push_str(&lines_that_differ(&self.dump, &expected.dump));
        // The order of a dump tells something too.
        if difference.is_empty() && self.dump != expected.dump {
            difference.push_str("the dump has another order");
        }
        (!difference.is_empty()).then_some(difference)
    }
}

fn texts(client: &mut Client, query: &str) -> Vec<String> {
    let rows = client.query(query, &[]);
    let rows = rows.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

fn lines_that_differ(found: &str, expected: &str) -> String {
    let only = |sign: &str, one: &str, other: &str| -> String {
        let others: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !others.contains(line));
        lines.map(|line| format!("  {sign} {line}\n")).collect()
    };
    only("-", expected, found) + &only("+", found, expected)
}
