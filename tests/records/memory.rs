//! Memory has a bound: hostile values, wide rows, large rows, exports, searches and filters stay far
//! below what a function has. The peak is the kernel's own (`VmHWM`), of the process's life until then.

use super::{Desk, link, rows, text};
use crate::support::{Local, wait_for};
use std::fs;
use std::time::Instant;

/// Resident memory at most, in kB: a quarter of a function of 512 MB, less 8 MB by which the peak
/// differs from run to run.
const MOST: usize = 120 * 1024;

impl Desk {
    /// Asks for a page, and takes the peak of the function's resident memory meanwhile.
    #[track_caller]
    fn peak_of(&self, what: &str, path: &str, statuses: &[u16]) -> String {
        self.peak(what, || {
            let answer = self.admin.get(path);
            let begin: String = answer.body.chars().take(2000).collect();
            assert!(
                statuses.contains(&answer.status),
                "{what}: {} {begin}",
                answer.status
            );
            answer.body
        })
    }

    #[track_caller]
    fn peak<T>(&self, what: &str, run: impl FnOnce() -> T) -> T {
        let pids = self.local.environments();
        let started = Instant::now();
        let done = run();
        let after = self.local.environments();
        assert!(
            pids.is_empty() || after == pids,
            "{what}: the function died"
        );
        let peak = after.iter().map(|&pid| peak_kb(pid)).max();
        let peak = peak.expect("a function has answered");
        println!(
            "{peak:>7} kB {:>6.2} s  {what}",
            started.elapsed().as_secs_f64()
        );
        assert!(peak < MOST, "{what}: {peak} kB of {MOST} kB");
        done
    }
}

/// The peak of a process's resident memory.
fn peak_kb(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    let peak = peak.and_then(|peak| peak.parse().ok());
    peak.expect("Linux has it")
}

#[test]
fn hostile_rows_and_pages_stay_below_a_quarter_of_the_functions_memory() {
    let columns = |value: &str, count: usize| -> String {
        let columns: Vec<String> = (0..count).map(|at| format!("{value} AS c{at}")).collect();
        columns.join(", ")
    };
    let mut desk = Desk::new();
    // A function that has checked no password: that alone takes 19 MB.
    let cookie = desk.admin.cookie();
    desk.local = Local::start(&desk.database);
    desk.admin = desk.local.visitor();
    desk.admin.set_cookie(&cookie);
    let started = Instant::now();
    desk.sql(&format!(
        "CREATE TABLE deep (id int PRIMARY KEY, j json, jb jsonb);
         INSERT INTO deep SELECT i, v::json, v::jsonb
         FROM (VALUES (6000), (5000)) d (i), LATERAL (SELECT repeat('[', i) || repeat(']', i)) t (v);
         INSERT INTO deep SELECT 1, v::json, v::jsonb
         FROM (SELECT repeat('[', 50) || repeat('1,', 200000) || '1' || repeat(']', 50)) t (v);
         CREATE TABLE half (id int PRIMARY KEY, body text);
         INSERT INTO half SELECT i, repeat('\"abc', 125000) FROM generate_series(1, 300) i;
         CREATE TABLE huge (id int PRIMARY KEY, name text NOT NULL, body text, j jsonb, n numeric, y bytea);
         INSERT INTO huge VALUES
             (1, repeat('ü\"', 20000000), repeat('x', 60000000), to_jsonb(repeat('y', 20000000)), 10::numeric ^ 131000,
              decode(repeat('ab', 20000000), 'hex')),
             (2, 'small', 'b', '1', 1, '\\x00'), (3, 'middle', repeat('a', 900000), '1', 1, '\\x00');
         CREATE TABLE refers (id int PRIMARY KEY, huge_id int REFERENCES huge);
         INSERT INTO refers VALUES (1, 1);
         CREATE VIEW wide AS SELECT i AS id, {} FROM generate_series(1, 60) i;
         CREATE TABLE numbers AS SELECT i AS id, {} FROM generate_series(1, 60) i;
         ALTER TABLE numbers ADD PRIMARY KEY (id)",
        columns("repeat('😀', 50)", 1500),
        columns("(10::numeric ^ 100000)", 20)
    ));
    println!(
        "{:>19.2} s  making the rows",
        started.elapsed().as_secs_f64()
    );
    let peak_of = |what: &str, path: &str, statuses: &[u16]| desk.peak_of(what, path, statuses);
    peak_of("an ordinary list", "/tables/public/orders", &[200]);
    for id in [6000, 5000, 1] {
        peak_of(
            "deep JSON",
            &format!("/tables/public/deep/row/{id}"),
            &[200],
        );
    }
    peak_of("its list", "/tables/public/deep", &[200]);

    for format in ["csv", "json"] {
        let mut next = Some(format!("/tables/public/half/export?as={format}"));
        let mut parts = 0;
        while let Some(path) = next.take().filter(|_| parts < 3) {
            let what = format!("rows of 500 kB as {format}");
            next = desk.peak(&what, || {
                let file = desk.admin.get(&path);
                assert_eq!(file.status, 200, "{path}");
                let link = file.header("link").strip_prefix('<');
                link.and_then(|link| Some(link.split_once('>')?.0.to_string()))
            });
            parts += 1;
        }
        assert_eq!(parts, 3, "it has several parts");
        let path = format!("/tables/public/huge/export?as={format}");
        let file = peak_of(&format!("a row of 150 MB as {format}"), &path, &[200]);
        assert!(file.contains("60000000 bytes, too many for an export"));
        assert!(file.contains("small") && file.contains(&"a".repeat(900_000)));
    }

    let list = peak_of("a list with a row of 150 MB", "/tables/public/huge", &[200]);
    assert!(list.contains("20000000 bytes"), "{list}");
    for sort in ["body", "-body", "name", "-j", "n"] {
        let path = format!("/tables/public/huge?sort={sort}");
        peak_of(&format!("sorted by {sort}"), &path, &[200]);
    }
    let row = peak_of("a row of 150 MB", "/tables/public/huge/row/1", &[200]);
    assert!(row.contains("This row has more than 1 MB"));
    let edit = peak_of("its form", "/tables/public/huge/edit/1", &[200]);
    assert!(
        edit.contains("left as they are: name, body, j, y."),
        "{edit}"
    );
    peak_of("a form of 900 kB", "/tables/public/huge/edit/3", &[200]);
    peak_of(
        "a row that refers to it",
        "/tables/public/refers/row/1",
        &[200],
    );
    peak_of(
        "its choices",
        "/tables/public/refers/choices/huge_id?q=a",
        &[200],
    );
    peak_of("its deletion", "/tables/public/huge/delete/1", &[200]);

    peak_of("1,500 columns", "/tables/public/wide", &[200, 500]);
    let filters = "c=c1&o=not&v=".to_string() + &"&".repeat(90).replace('&', "%26");
    let filters = vec![filters; 20].join("&");
    let path = format!("/tables/public/wide?{filters}");
    peak_of("1,500 columns and 20 filters", &path, &[200, 500]);
    peak_of(
        "1,500 columns as a file",
        "/tables/public/wide/export?as=json",
        &[200],
    );
    peak_of(
        "numbers of 100,000 digits",
        "/tables/public/numbers",
        &[200],
    );
    peak_of("as a file", "/tables/public/numbers/export?as=csv", &[200]);

    let search = format!("/tables/public/huge?q={}b", "a".repeat(199));
    let page = peak_of("a search of 200 characters", &search, &[200]);
    assert!(
        page.contains("Texts of more than 1 MB are not searched."),
        "{page}"
    );
    let filter = format!("c=body&o=has&v={}b", "a".repeat(199));
    let path = format!("/tables/public/huge?{filter}");
    peak_of("a filter of 200 characters", &path, &[200]);
    let long = format!("/tables/public/huge?q={}b", "a".repeat(5999));
    let refused = peak_of("a search of 6,000 characters", &long, &[400]);
    assert!(
        text(&refused).contains("A search has at most 200 characters"),
        "{refused}"
    );
    let many = vec!["c=n&o=set"; 400].join("&");
    let refused = peak_of(
        "400 filters",
        &format!("/tables/public/huge?{many}"),
        &[400],
    );
    assert!(refused.contains("at most 20 filters"), "{refused}");

    let long = "abcd".repeat(240_000);
    let saved = desk.peak("a form of 960 kB is saved", || {
        desk.save("/tables/public/huge/edit/2", &[("v:body", &long)])
    });
    assert_eq!(saved.status, 303, "{}", saved.body);
    for id in [1, 2] {
        let path = format!("/tables/public/huge/delete/{id}");
        desk.sql("DELETE FROM refers");
        let deleted = desk.peak("a large row is deleted", || desk.save(&path, &[]));
        assert_eq!(deleted.status, 303, "{}", deleted.body);
    }
    let kept = "SELECT string_agg(left(before ->> 'name', 3) || length(before ->> 'body') || right(before ->> 'body', 10), ' '
                                  ORDER BY id)
                FROM plain_lambda.audit WHERE action = 'delete'";
    let kept = desk.value(kept);
    assert!(kept.starts_with("ü\"ü") && kept.contains("166"), "{kept}");
    peak_of("the audit", "/audit", &[200]);
}

#[test]
fn a_list_sorted_by_long_texts_has_short_links_and_every_row_once() {
    let desk = Desk::with(
        "CREATE TABLE long (id int PRIMARY KEY, body text);
         INSERT INTO long SELECT i, CASE WHEN i % 11 = 0 THEN NULL WHEN i % 3 = 0 THEN 'short' || i % 4
             ELSE repeat('ä/%', 7000) || i % 20 END FROM generate_series(1, 260) i;
         CREATE TABLE keyless AS SELECT body, id FROM long;
         CREATE TABLE address (url text PRIMARY KEY, n int);
         INSERT INTO address SELECT repeat('http/', 500) || i, i % 3 FROM generate_series(1, 120) i",
    );
    for (table, sort, id) in [
        ("long", "body", 0),
        ("long", "-body", 0),
        ("keyless", "body", 1),
        ("address", "", 1),
        ("address", "url", 0),
        ("address", "-n", 0),
    ] {
        let count: usize = desk
            .value(&format!("SELECT count(*)::text FROM {table}"))
            .parse()
            .expect("it is a number");
        for rel in ["next", "prev"] {
            let minus = if sort.starts_with('-') { " DESC" } else { "" };
            let path = match sort {
                "" => format!("/tables/public/{table}"),
                sort => format!("/tables/public/{table}?sort={sort}"),
            };
            let (mut next, mut seen) = (Some(path), Vec::new());
            if rel == "prev" {
                while let Some(path) = next
                    .clone()
                    .and_then(|path| link(&desk.page(&path), "next"))
                {
                    next = Some(path);
                }
            }
            while let Some(path) = next {
                assert!(path.len() < 9000, "{} bytes: {path}", path.len());
                let page = desk.page(&path);
                let ids = rows(&page).into_iter().map(|mut row| row.swap_remove(id));
                match rel {
                    "next" => seen.extend(ids),
                    _ => seen.splice(0..0, ids).for_each(drop),
                }
                next = link(&page, rel);
            }
            assert_eq!(seen.len(), count, "{table} {sort} {rel}");
            if table == "long" {
                let order = format!("body{minus}, id{minus}");
                let sql = format!("SELECT string_agg(id::text, ' ' ORDER BY {order}) FROM long");
                assert_eq!(seen.join(" "), desk.value(&sql), "{sort} {rel}");
            }
        }
    }
    let page = desk.page("/tables/public/long?sort=-body");
    let next = link(&page, "next").expect("there is a second page");
    let next = link(&desk.page(&next), "next").expect("there is a third page");
    assert!(next.len() < 100, "{next}");
    let (_, id) = next.rsplit_once("%2F").expect("the key is its end");
    desk.sql(&format!(
        "UPDATE long SET body = body || '!' WHERE id = {id}"
    ));
    let lost = desk.page(&next);
    assert!(lost.contains("was changed or deleted meanwhile"), "{lost}");
    assert!(rows(&lost).is_empty() && link(&lost, "next").is_none());
}

#[test]
fn a_place_with_a_value_or_a_hash_is_found_by_the_index() {
    let desk = Desk::with(
        "SET max_parallel_maintenance_workers = 0;
         CREATE TABLE sorted (id int PRIMARY KEY, short text NOT NULL, long text);
         INSERT INTO sorted
         SELECT i, 'text ' || i % 5000, repeat(md5((i % 5000)::text), 8) FROM generate_series(1, 30000) i;
         CREATE INDEX ON sorted (short, id);
         CREATE INDEX ON sorted (long, id);
         ANALYZE sorted",
    );
    let scans = |what: &str| -> i64 {
        let sql = format!(
            "SELECT coalesce(sum({what}), 0)::text FROM pg_stat_user_tables WHERE relname = 'sorted'"
        );
        desk.value(&sql).parse().expect("it is a number")
    };
    // Each of the three indexes is built by one process, which reads the table once.
    let before = wait_for("the statistics of making it", || {
        Some(scans("seq_scan")).filter(|scans| *scans == 3)
    });
    let mut lists = 0;
    for sort in ["short", "-short", "long", "-long"] {
        let mut path = format!("/tables/public/sorted?sort={sort}");
        for _ in 0..3 {
            let page = desk.page(&path);
            assert_eq!(rows(&page).len(), 50);
            path = link(&page, "next").expect("there are more");
            lists += 1;
        }
        let back = link(&desk.page(&path), "prev").expect("it has come from there");
        assert_eq!(rows(&desk.page(&back)).len(), 50);
        lists += 2;
    }
    wait_for("the statistics of the lists", || {
        (scans("idx_scan") >= lists).then_some(())
    });
    assert_eq!(scans("seq_scan"), before, "a list has read all rows");
}
