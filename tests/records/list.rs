//! Lists of rows: search, filters, order and paging.

use super::{Desk, link, rows};

/// Follows the links with a `rel` from page to page; returns the rows of each page.
#[track_caller]
fn walk(desk: &Desk, path: &str, rel: &str) -> Vec<Vec<Vec<String>>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_string()));
    while let Some(path) = next {
        let page = desk.page(&path);
        pages.push(rows(&page));
        next = link(&page, rel);
        assert!(pages.len() < 50, "it goes on for ever");
    }
    pages
}

#[test]
fn paging_forward_and_back_shows_every_row_once_in_order() {
    let desk = Desk::with(
        "CREATE TABLE many (a text, b int, id int, n numeric, t timestamptz, PRIMARY KEY (b, id));
         INSERT INTO many
         SELECT CASE WHEN i % 7 = 0 THEN NULL ELSE chr(97 + i % 5) || ' ä/&' END, i % 3, i,
                CASE WHEN i % 4 = 0 THEN NULL ELSE (i % 10) * 1.5 END,
                CASE WHEN i % 6 = 0 THEN NULL ELSE '2026-01-01'::timestamptz + i % 9 * interval '1.5 s' END
         FROM generate_series(1, 220) i",
    );
    for sort in ["", "a", "-a", "b", "-b", "id", "-id", "n", "-n", "t", "-t"] {
        let order = match sort.strip_prefix('-') {
            None if sort.is_empty() => "b, id".to_string(),
            None => format!("{sort}, b, id"),
            Some(column) => format!("{column} DESC, b DESC, id DESC"),
        };
        let ids = format!("SELECT string_agg(id::text, ' ' ORDER BY {order}) FROM many");
        let expected = desk.value(&ids);
        let path = match sort {
            "" => "/tables/public/many".to_string(),
            sort => format!("/tables/public/many?sort={sort}"),
        };
        let forward = walk(&desk, &path, "next");
        let seen: Vec<&str> = forward
            .iter()
            .flatten()
            .map(|row| row[2].as_str())
            .collect();
        assert_eq!(seen.join(" "), expected, "sort={sort}");
        assert_eq!(
            forward.iter().map(Vec::len).collect::<Vec<_>>(),
            [50, 50, 50, 50, 20]
        );

        let mut last = path;
        while let Some(next) = link(&desk.page(&last), "next") {
            last = next;
        }
        let mut back = walk(&desk, &last, "prev");
        back.reverse();
        let seen: Vec<&str> = back.iter().flatten().map(|row| row[2].as_str()).collect();
        assert_eq!(seen.join(" "), expected, "sort={sort}, back");
    }
}

#[test]
fn rows_without_a_key_are_paged_too_and_cannot_be_changed() {
    let desk = Desk::with(
        "CREATE TABLE keyless (a int, b text);
         INSERT INTO keyless SELECT i, CASE WHEN i % 2 = 0 THEN 'x' END FROM generate_series(1, 120) i;
         CREATE VIEW odd AS SELECT * FROM keyless WHERE a % 2 = 1",
    );
    for (path, count) in [
        ("keyless", 120),
        ("keyless?sort=b", 120),
        ("odd?sort=-a", 60),
    ] {
        let pages = walk(&desk, &format!("/tables/public/{path}"), "next");
        let mut seen: Vec<&str> = pages.iter().flatten().map(|row| row[0].as_str()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count, "{path}");
    }
    assert_eq!(desk.admin.get("/tables/public/keyless/row/1").status, 404);
    assert_eq!(desk.admin.get("/tables/public/keyless/edit/1").status, 404);
    assert_eq!(desk.admin.get("/tables/public/keyless/new").status, 200);
}

#[test]
fn each_filter_finds_the_rows_of_its_condition() {
    let desk = Desk::new();
    let found = |query: &str| rows(&desk.page(&format!("/tables/public/orders?{query}"))).len();
    let count = |condition: &str| -> usize {
        let sql = format!("SELECT count(*)::text FROM orders WHERE {condition}");
        desk.value(&sql).parse().expect("it is a number")
    };
    for (query, condition) in [
        ("c=status&o=is&v=paid", "status = 'paid'"),
        ("c=status&o=not&v=paid", "status <> 'paid'"),
        ("c=note&o=null", "note IS NULL"),
        ("c=note&o=set", "note IS NOT NULL"),
        ("c=note&o=has&v=GIFT", "note ILIKE '%gift%'"),
        ("c=note&o=begins&v=inv", "note ILIKE 'inv%'"),
        ("c=id&o=gt&v=20", "id > 20"),
        ("c=id&o=lt&v=5", "id < 5"),
        ("c=id&o=between&v=3&w=7", "id BETWEEN 3 AND 7"),
        ("c=placed_at&o=gt&v=2026-01-20", "placed_at > '2026-01-20Z'"),
        (
            "c=status&o=is&v=paid&c=customer_id&o=is&v=5",
            "status = 'paid' AND customer_id = 5",
        ),
        ("q=wrap", "note ILIKE '%wrap%'"),
        ("q=100%25", "false"),
        ("q=_", "false"),
    ] {
        assert_eq!(found(query), count(condition), "{query}");
    }
}

#[test]
fn an_invalid_filter_is_an_error_that_names_it() {
    let desk = Desk::new();
    for (query, status, says) in [
        (
            "c=id&o=is&v=abc",
            422,
            "invalid input syntax for type bigint",
        ),
        ("c=status&o=is&v=gone", 422, "invalid input value for enum"),
        (
            "c=placed_at&o=gt&v=yesterday%20noonish",
            422,
            "invalid input syntax",
        ),
        ("c=nothing&o=is&v=1", 400, "no column `nothing`"),
        ("c=id&o=like&v=1", 400, "cannot compare by `like`"),
        ("c=status&o=has&v=pai", 400, "cannot be filtered"),
        ("sort=nothing", 400, "no column `nothing`"),
        ("page=2", 400, "no parameter `page`"),
        ("q=%zz", 400, "hexadecimal"),
    ] {
        let answer = desk.admin.get(&format!("/tables/public/orders?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert!(
            super::text(&answer.body).contains(says),
            "{query}: {}",
            answer.body
        );
    }
}

#[test]
fn empty_filters_redirect_to_the_address_without_them() {
    let desk = Desk::new();
    let form = "q=&c=id&o=is&v=&w=&c=status&o=is&v=paid&c=note&o=has&v=";
    let answer = desk.admin.get(&format!("/tables/public/orders?{form}"));
    assert_eq!(
        answer.leads_to(),
        "/tables/public/orders?c=status&o=is&v=paid"
    );
}

#[test]
fn a_foreign_key_shows_the_name_of_its_row_and_is_linked_both_ways() {
    let desk = Desk::new();
    let list = desk.page("/tables/public/orders?c=id&o=is&v=2");
    assert!(
        list.contains(r#"<a href="/tables/public/customers/row/1">Ada Byrne</a>"#),
        "{list}"
    );
    let row = desk.page("/tables/public/customers/row/1");
    assert!(row.contains("<h1>Ada Byrne</h1>"), "{row}");
    let (_, rest) = row
        .split_once("orders by customer_id")
        .expect("orders refer to it");
    assert!(rest.contains(&desk.value("SELECT count(*)::text FROM orders WHERE customer_id = 1")));
    let back = desk.page("/tables/public/orders?c=customer_id&o=is&v=1");
    assert!(!rows(&back).is_empty());
    let line = desk.page("/tables/public/order_lines/row/1/2");
    assert!(line.contains("/tables/public/orders/row/1"), "{line}");
    let choices = desk.page("/tables/public/orders/choices/customer_id?q=ad");
    assert_eq!(choices, r#"[["1","Ada Byrne"],["6","Farid Haddad"]]"#);
}

#[test]
fn rows_of_a_large_table_are_chosen_by_their_key_only() {
    let desk = Desk::with(
        "CREATE TABLE large (id int PRIMARY KEY, name text NOT NULL);
         INSERT INTO large SELECT i, 'row ' || i FROM generate_series(1, 150000) i;
         ANALYZE large;
         CREATE TABLE small (id int PRIMARY KEY, large_id int REFERENCES large);
         INSERT INTO small VALUES (1, 140000)",
    );
    let choices = |query: &str| desk.page(&format!("/tables/public/small/choices/large_id{query}"));
    assert_eq!(choices("?q=140000"), r#"[["140000","row 140000"]]"#);
    assert_eq!(choices("?q=row"), "[]");
    assert_eq!(choices(""), "[]");
    let form = desk.page("/tables/public/small/edit/1");
    assert!(form.contains("row 140000"), "{form}");
    assert!(desk.page("/tables/public/small").contains("row 140000"));
}

#[test]
fn a_long_text_is_cut_in_a_list_and_bytes_are_shown_as_a_size() {
    let desk = Desk::with(
        "CREATE TABLE long (id int PRIMARY KEY, body text, data bytea, doc jsonb);
         INSERT INTO long VALUES (1, repeat('lorem ü ', 400), decode(repeat('ab', 3000), 'hex'),
             '{\"a\": [1.00, 2], \"b\": {}}')",
    );
    let list = desk.page("/tables/public/long");
    let cells = &rows(&list)[0];
    assert_eq!(cells[1].chars().count(), 121, "{cells:?}");
    assert!(cells[1].ends_with('…'));
    assert_eq!(cells[2], "3000 bytes");
    let row = desk.page("/tables/public/long/row/1");
    assert!(
        row.contains(&"lorem ü ".repeat(400).trim_end().to_string()),
        "{row}"
    );
    assert!(row.contains("3000 bytes"));
    assert!(
        super::text(&row).contains("\"a\": [\n    1.00,\n    2\n  ]"),
        "{row}"
    );
}

#[test]
fn the_row_count_is_exact_for_one_page_and_estimated_beyond() {
    let desk = Desk::with(
        "CREATE TABLE many (id int PRIMARY KEY);
         INSERT INTO many SELECT generate_series(1, 1234);
         ANALYZE many",
    );
    assert!(desk.page("/tables/public/orders").contains("24 rows"));
    assert!(
        desk.page("/tables/public/many")
            .contains("about 1,234 rows")
    );
    let filtered = desk.page("/tables/public/many?c=id&o=gt&v=1000");
    assert!(filtered.contains("about 2"), "{filtered}");
}

#[test]
fn a_dropped_table_is_an_error_once_and_then_a_404() {
    let desk = Desk::with("CREATE TABLE gone (id int PRIMARY KEY)");
    desk.page("/tables/public/gone");
    desk.sql("DROP TABLE gone");
    assert_eq!(desk.admin.get("/tables/public/gone").status, 500);
    assert_eq!(desk.admin.get("/tables/public/gone").status, 404);
}
