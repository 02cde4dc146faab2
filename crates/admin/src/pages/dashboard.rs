//! `/`: the size of the database, its largest tables, the last changes, the migrations, and the
//! versions in use.

use super::tables::{Line, grouped, lines};
use crate::audit::{self, Entry, EntryFilter};
use crate::chart::Chart;
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection};
use migrate::Status;
use web::Response;

/// The number of tables that are shown: the largest ones.
const TABLES: usize = 8;

/// The number of changes that are shown: the last ones.
const CHANGES: usize = 6;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard<'a> {
    database: String,
    size: String,
    postgres: String,
    /// The day on which the statistics of added and deleted rows began.
    since: String,
    /// The number of tables and views.
    count: usize,
    largest: Vec<Line<'a>>,
    sizes: Chart,
    changes: Chart,
    entries: Vec<(Entry, Option<String>)>,
    status: Status,
    /// What keeps the migrations from being up to date.
    problem: Option<String>,
    version: &'static str,
    environment: &'a str,
    /// Whether this is the first page that the process shows to a user.
    cold: bool,
    took: String,
}

const DATABASE: &str = "
    SELECT current_database()::text, pg_size_pretty(pg_database_size(current_database())),
           split_part(current_setting('server_version'), ' ', 1),
           coalesce((SELECT to_char(stats_reset, 'YYYY-MM-DD') FROM pg_stat_database
                     WHERE datname = current_database()), 'the beginning')";

/// Shows the dashboard.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let status = migrate::compare(&request.shared.migrator(), connection)?;
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let database = transaction.rows(DATABASE, &[])?;
    let [database, size, postgres, since] = database
        .into_iter()
        .next()
        .and_then(|row| <[Option<String>; 4]>::try_from(row).ok())
        .unwrap_or_default()
        .map(Option::unwrap_or_default);
    let mut largest = lines(&catalog, &mut transaction)?;
    let count = largest.len();
    largest.sort_by_key(|line| std::cmp::Reverse(line.bytes));
    largest.truncate(TABLES);
    let (entries, _) = audit::list(&mut transaction, &EntryFilter::default(), CHANGES)?;
    let days = audit::by_day(&mut transaction)?;
    let with_href = |entry: Entry| {
        let href = super::audit::href(&catalog, &entry);
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
        problem: problem(&status),
        status,
        version: env!("CARGO_PKG_VERSION"),
        environment: request.shared.app_env.name(),
        cold: request.is_first,
        took: format!("{} ms", request.started.elapsed().as_millis()),
        database: database.clone(),
    };
    Ok(request.page(&database, &page))
}

/// Returns what is wrong with the migrations: some are pending, or files and history disagree.
fn problem(status: &Status) -> Option<String> {
    match (status.pending_count(), status.check(&[])) {
        (_, Err(_)) => Some("files and history differ".to_string()),
        (0, Ok(())) => None,
        (_, Ok(())) => Some(status.pending_in_words()),
    }
}

/// Makes the chart of the tables' sizes: in kB, or in MB when one of them is above 10 MB.
fn sizes(largest: &[Line]) -> Chart {
    let (unit, bytes) = match largest.iter().any(|line| line.bytes > 10_000_000) {
        true => ("MB", 1_048_576),
        false => ("kB", 1024),
    };
    let bars: Vec<_> = largest
        .iter()
        .filter(|line| line.bytes > 0)
        .map(|line| {
            let name: String = line.table.name.chars().take(12).collect();
            (name, line.bytes / bytes)
        })
        .collect();
    Chart::new(&format!("Largest tables, in {unit}"), &bars)
}

/// Makes the chart of the changes of each day, which is named by its month and day.
fn by_day(days: Vec<(String, u64)>) -> Chart {
    let short = |(day, count): (String, u64)| (day.get(5..).unwrap_or_default().to_string(), count);
    let bars: Vec<_> = days.into_iter().map(short).collect();
    Chart::new("Changes on each of the last thirty days", &bars)
}

impl Dashboard<'_> {
    /// Returns the growth in rows with its sign; empty when it is 0 or not known.
    fn growth(&self, line: &Line) -> String {
        match line.growth {
            None | Some(0) => String::new(),
            Some(rows) if rows > 0 => format!("+{}", grouped(&rows.to_string())),
            Some(rows) => grouped(&rows.to_string()),
        }
    }
}
