//! The pages of ten million rows: their times and their plans. `make bench` runs it, as it takes long. It
//! asserts no time, only that each plan uses an index, which holds on any machine.

use crate::support::{Database, Local, Person};
use std::time::Instant;

const ROWS: u32 = 10_000_000;

/// Requests of each page.
const TIMES: usize = 200;

const TABLE: &str = "
    CREATE UNLOGGED TABLE sales (
        id bigint PRIMARY KEY, customer int NOT NULL, at timestamptz, amount numeric(10, 2), note text);
    INSERT INTO sales
    SELECT i, i % 100000, '2020-01-01'::timestamptz + i * interval '13 s', i % 9999 / 7.0, 'sale ' || i
    FROM generate_series(1, 10000000) i;
    CREATE INDEX ON sales (customer, id);
    CREATE INDEX ON sales (at, id);
    ANALYZE sales";

/// The name and the query of each page, and the index that its plan has to use.
const PAGES: [(&str, &str, &str); 8] = [
    ("first page", "", "sales_pkey"),
    ("last page", "?sort=-id", "sales_pkey"),
    ("sorted by a time", "?sort=-at", "sales_at_id_idx"),
    ("next page, in the middle", "?after=5000000", "sales_pkey"),
    (
        "previous page, in the middle",
        "?before=5000000",
        "sales_pkey",
    ),
    (
        "sorted, in the middle",
        "?sort=at&after=2022-01-22%252013%253A46%253A40%252B00/5000000",
        "sales_at_id_idx",
    ),
    (
        "filter on an indexed column",
        "?c=customer&o=is&v=4711",
        "sales_customer_id_idx",
    ),
    (
        "filter, and a range of the key",
        "?c=id&o=between&v=7000000&w=7100000",
        "sales_pkey",
    ),
];

#[test]
#[ignore = "takes a minute and 1.5 GB: `make bench` runs it"]
fn ten_million_rows_are_paged_by_their_indexes() {
    let database = Database::new();
    let local = Local::start(&database);
    let admin = local.workshop();
    println!("making {ROWS} rows");
    database
        .client()
        .batch_execute(TABLE)
        .expect("there is room");
    println!(
        "{:<32} {:>8} {:>8} {:>8} {:>9}",
        "ms in the function", "median", "p95", "most", "pages/s"
    );
    measure(&local, &admin, "a page without the database", "/sign-in");
    for (name, query, _) in PAGES {
        measure(
            &local,
            &admin,
            name,
            &format!("/tables/public/sales{query}"),
        );
    }
    drop(local);
    explain(&database, &admin);
}

/// Requests a page many times; prints the durations of the function's REPORT lines.
fn measure(local: &Local, admin: &Person, name: &str, path: &str) {
    let before = local.log().len();
    let started = Instant::now();
    for _ in 0..TIMES {
        assert_eq!(admin.get(path).status, 200, "{path}");
    }
    let a_second = TIMES as f64 / started.elapsed().as_secs_f64();
    let log = local.log();
    let durations = log[before..].split("\tDuration: ").skip(1);
    let mut took: Vec<f64> = durations
        .filter_map(|rest| rest.split(' ').next()?.parse().ok())
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{name:<32} {:>8.1} {:>8.1} {:>8.1} {a_second:>9.0}",
        at(0.5),
        at(0.95),
        at(1.0)
    );
}

/// Prints the plan of each page, which Postgres's auto_explain sends as a notice, and checks its index.
fn explain(database: &Database, admin: &Person) {
    let told = format!(
        "ALTER DATABASE {0} SET session_preload_libraries = 'auto_explain';
         ALTER DATABASE {0} SET auto_explain.log_min_duration = 0;
         ALTER DATABASE {0} SET auto_explain.log_analyze = on;
         ALTER DATABASE {0} SET auto_explain.log_level = notice",
        database.name()
    );
    database
        .client()
        .batch_execute(&told)
        .expect("the administrator may");
    let local = Local::with(database).start();
    let person = local.visitor();
    person.set_cookie(&admin.cookie());
    for (name, query, index) in PAGES {
        let before = local.log().len();
        assert_eq!(
            person.get(&format!("/tables/public/sales{query}")).status,
            200
        );
        let log = local.log();
        // A notice is logged as one line.
        let mut lines = log[before..].lines();
        let plan = lines.find(|line| line.contains("Query Text: SELECT t.\"id\""));
        let plan = plan.expect("auto_explain is there: install postgresql-contrib");
        let (_, plan) = plan
            .split_once(" LIMIT 51")
            .expect("it is a page of a list");
        println!("\n{name}\n    {}", plan.trim().replace("  ", "\n    "));
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{plan}");
    }
}
