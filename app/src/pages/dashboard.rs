//! `/`: what there is, how it grows, who changed what last, and what this process runs on.

use super::chart::Chart;
use super::errors::Stop;
use super::gate::Visit;
use super::tables::{Line, grouped, lines};
use crate::audit::{self, Entry, Wanted};
use crate::database::{Access, Connection};
use crate::http::Response;
use crate::migrate::status::{self, Status};
use askama::Template;

/// Tables that are shown: the largest.
const TABLES: usize = 8;

/// Changes that are shown: the last.
const CHANGES: usize = 6;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard<'a> {
    database: String,
    size: String,
    postgres: String,
    since: String,
    count: usize,
    largest: Vec<Line<'a>>,
    sizes: Chart,
    changes: Chart,
    entries: Vec<(Entry, Option<String>)>,
    status: Status,
    version: &'static str,
    environment: &'a str,
    cold: bool,
    took: String,
}

const DATABASE: &str = "
    SELECT current_database()::text, pg_size_pretty(pg_database_size(current_database())),
           split_part(current_setting('server_version'), ' ', 1),
           coalesce((SELECT to_char(stats_reset, 'YYYY-MM-DD') FROM pg_stat_database
                     WHERE datname = current_database()), 'the beginning')";

/// The dashboard.
pub fn show(visit: &Visit, connection: &mut Connection, _: &[&str]) -> Result<Response, Stop> {
    let status = status::compare(visit.app, connection)?;
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let database = transaction.rows(DATABASE, &[])?;
    let [database, size, postgres, since] = { database.into_iter().next() }
        .and_then(|row| <[Option<String>; 4]>::try_from(row).ok())
        .unwrap_or_default()
        .map(Option::unwrap_or_default);
    let mut largest = lines(&catalogue, &mut transaction)?;
    let count = largest.len();
    largest.sort_by_key(|line| std::cmp::Reverse(line.bytes));
    largest.truncate(TABLES);
    let (entries, _) = audit::list(&mut transaction, &Wanted::default(), CHANGES)?;
    let days = audit::by_day(&mut transaction)?;
    let with_href = |entry: Entry| {
        let href = super::audit::href(&catalogue, &entry);
        (entry, href)
    };
    let page = Dashboard {
        size,
        postgres,
        since,
        count,
        sizes: sizes(&largest),
        changes: by_day(days),
        largest,
        entries: entries.into_iter().map(with_href).collect(),
        status,
        version: env!("CARGO_PKG_VERSION"),
        environment: &visit.app.settings.environment,
        cold: visit.is_first,
        took: format!("{} ms", visit.started.elapsed().as_millis()),
        database: database.clone(),
    };
    Ok(visit.page("/", &database, &page))
}

/// In kB, or in MB where that is more than a few digits.
fn sizes(largest: &[Line]) -> Chart {
    let (unit, bytes) = match largest.iter().any(|line| line.bytes > 10_000_000) {
        true => ("MB", 1_048_576),
        false => ("kB", 1024),
    };
    let bars: Vec<_> = { largest.iter().filter(|line| line.bytes > 0) }
        .map(|line| {
            let name: String = line.table.name.chars().take(12).collect();
            (name, line.bytes / bytes)
        })
        .collect();
    Chart::new(&format!("Largest tables, in {unit}"), &bars)
}

/// The month and the day are enough.
fn by_day(days: Vec<(String, u64)>) -> Chart {
    let short = |(day, count): (String, u64)| (day.get(5..).unwrap_or_default().to_string(), count);
    let bars: Vec<_> = days.into_iter().map(short).collect();
    Chart::new("Changes a day, of the last thirty", &bars)
}

impl Dashboard<'_> {
    fn growth(&self, line: &Line) -> String {
        match line.growth {
            None | Some(0) => String::new(),
            Some(rows) if rows > 0 => format!("+{}", grouped(&rows.to_string())),
            Some(rows) => grouped(&rows.to_string()),
        }
    }
}
