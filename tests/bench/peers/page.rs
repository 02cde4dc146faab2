//! The page of the app's `/` for those who read Postgres in another way: the same statements in the
//! same order, and HTML of about the same size. Knows no client.

use std::fmt::Write;

/// The first statement: the database.
pub const DATABASE: &str = "
    SELECT current_database(), pg_size_pretty(pg_database_size(current_database())),
           current_setting('server_version')";

/// The second: its tables.
pub const TABLES: &str = "
    SELECT CASE WHEN n.nspname = 'public' THEN c.relname
                ELSE n.nspname || '.' || c.relname END,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                          WHEN 'f' THEN 'foreign table' ELSE 'table' END,
           CASE WHEN c.relkind IN ('r', 'p', 'm') AND c.reltuples >= 0
                THEN c.reltuples::bigint END,
           CASE WHEN c.relkind <> 'v' THEN pg_size_pretty(pg_total_relation_size(c.oid)) END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition
      AND n.nspname NOT IN ('information_schema', 'plain_lambda')
      AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY pg_total_relation_size(c.oid) DESC, 1";

/// The third: its migrations.
pub const APPLIED: &str = "
    SELECT version, name, duration_ms,
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM plain_lambda.migrations ORDER BY version::numeric";

/// What was read.
pub struct Page {
    /// Name, size and version.
    pub database: (String, String, String),
    /// Name, kind, rows and size.
    pub tables: Vec<(String, String, Option<i64>, Option<String>)>,
    /// Version, name, milliseconds and time.
    pub applied: Vec<(String, String, i64, String)>,
}

impl Page {
    /// As HTML.
    pub fn to_html(&self) -> String {
        let (name, size, version) = &self.database;
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{name} · Peer</title>\n<link rel=\"icon\" href=\"data:,\">\n\
             <link rel=\"stylesheet\" href=\"/style-0123456789abcdef.css\">\n</head>\n<body>\n\
             <header><a href=\"/\">Peer</a></header>\n<main>\n<h1>{name}</h1>\n\
             <p class=\"quiet\">{size} on PostgreSQL {version}</p>\n<section>\n\
             <h2>Tables</h2>\n<div class=\"scroll\">\n<table>\n<thead><tr><th>Name</th>\
             <th>Kind</th><th class=\"number\">Rows, about</th><th class=\"number\">Size</th>\
             </tr></thead>\n<tbody>\n"
        );
        for (name, kind, rows, size) in &self.tables {
            let rows = rows.map_or("–".to_string(), |rows| rows.to_string());
            let size = size.as_deref().unwrap_or("–");
            let _ = write!(
                html,
                "<tr>\n<td>{name}</td>\n<td class=\"quiet\">{kind}</td>\n\
                 <td class=\"number\">{rows}</td>\n<td class=\"number\">{size}</td>\n</tr>\n"
            );
        }
        let _ = write!(
            html,
            "</tbody>\n</table>\n</div>\n</section>\n<section>\n<h2>Migrations</h2>\n\
             <p><span class=\"badge good\">up to date</span> {} applied, none pending</p>\n\
             <div class=\"scroll\">\n<table>\n<thead><tr><th>Version</th><th>Name</th>\
             <th>Applied, UTC</th><th class=\"number\">Took</th></tr></thead>\n<tbody>\n",
            self.applied.len()
        );
        for (version, name, ms, at) in &self.applied {
            let _ = write!(
                html,
                "<tr>\n<td>{version}</td>\n<td>{name}</td>\n<td>{at}</td>\n\
                 <td class=\"number\">{ms} ms</td>\n</tr>\n"
            );
        }
        html.push_str("</tbody>\n</table>\n</div>\n</section>\n</main>\n</body>\n</html>\n");
        html
    }
}
