//! SQL injection in every parameter that reaches a statement, HTML injection in every value that reaches a
//! page, and forged requests.

use super::Desk;
use form_urlencoded::byte_serialize;

/// Texts that would end a string, a name, a statement, a pattern or a cast.
const SQL: [&str; 9] = [
    "'; DROP TABLE orders; --",
    "\"; DROP TABLE orders; --",
    "') OR ('1'='1",
    "1) UNION SELECT password_hash FROM plain_lambda.users --",
    "$1; DELETE FROM orders",
    "\\'; DROP TABLE orders; --",
    "id); DROP TABLE orders; --",
    "%' OR '%'='",
    "::text; DROP TABLE orders",
];

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[test]
fn no_parameter_reaches_sql_as_sql() {
    let desk = Desk::new();
    let columns = "SELECT string_agg(table_name, ' ' ORDER BY 1) FROM information_schema.tables
                   WHERE table_schema IN ('public', 'plain_lambda')";
    let tables = desk.value(columns);
    let hash = desk.value("SELECT password_hash FROM plain_lambda.users LIMIT 1");
    for attack in SQL {
        let attack = encoded(attack);
        for path in [
            format!("/tables/{attack}/orders"),
            format!("/tables/public/{attack}"),
            format!("/tables/public/orders/row/{attack}"),
            format!("/tables/public/orders/edit/{attack}"),
            format!("/tables/public/orders/delete/{attack}"),
            format!("/tables/public/orders/choices/{attack}"),
            format!("/tables/public/orders/choices/customer_id?q={attack}"),
            format!("/tables/public/orders?q={attack}"),
            format!("/tables/public/orders?sort={attack}"),
            format!("/tables/public/orders?c={attack}&o=is&v=1"),
            format!("/tables/public/orders?c=id&o={attack}&v=1"),
            format!("/tables/public/orders?c=id&o=is&v={attack}"),
            format!("/tables/public/orders?c=note&o=has&v={attack}"),
            format!("/tables/public/orders?c=note&o=is&v={attack}"),
            format!("/tables/public/orders?c=id&o=between&v=1&w={attack}"),
            format!("/tables/public/orders?after={attack}"),
            format!("/tables/public/orders?sort=note&before={attack}/{attack}"),
            format!("/tables/public/orders/export?as=csv&after={attack}"),
            format!("/tables/public/orders/export?as={attack}"),
            format!("/audit?email={attack}&schema={attack}&table={attack}&key={attack}"),
            format!("/audit?from={attack}"),
            format!("/audit?before={attack}"),
            format!("/sign-in/{attack}"),
        ] {
            let answer = desk.admin.get(&path);
            assert!(
                answer.status < 500,
                "{path}: {} {}",
                answer.status,
                answer.body
            );
            assert!(!answer.body.contains(&hash), "{path}");
        }
    }
    for attack in SQL {
        let name = format!("v:{attack}");
        let fields = [
            ("v:name", attack),
            ("v:email", "a@b"),
            ("v:city", attack),
            (&*name, "x"),
        ];
        let added = desk.admin.post("/tables/public/customers/new", &fields);
        assert!(
            added.status == 303 || added.status == 422,
            "{attack}: {}",
            added.body
        );
        let edit = desk.save(
            "/tables/public/orders/edit/3",
            &[("v:note", attack), ("v:customer_id", attack)],
        );
        assert_eq!(edit.status, 422, "{attack}");
        let kept = desk.save("/tables/public/orders/edit/3", &[("v:note", attack)]);
        assert_eq!(kept.status, 303, "{attack}");
        assert_eq!(desk.value("SELECT note FROM orders WHERE id = 3"), attack);
        let people = desk
            .admin
            .post("/users", &[("email", attack), ("role", attack)]);
        assert_eq!(people.status, 422, "{attack}");
        let visitor = desk.local.visitor();
        let tried = visitor.post("/sign-in", &[("email", attack), ("password", attack)]);
        assert!(
            matches!(tried.status, 422 | 429),
            "{attack}: {}",
            tried.body
        );
    }
    assert_eq!(desk.value(columns), tables);
    assert_eq!(desk.value("SELECT count(*)::text FROM orders"), "24");
}

#[test]
fn no_value_reaches_a_page_as_html() {
    let attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let quoted = attack.replace('\'', "''");
    let desk = Desk::with(&format!(
        "UPDATE customers SET name = '{quoted}', city = '{quoted}';
         UPDATE orders SET note = '{quoted}';
         CREATE TYPE evil AS ENUM ('{quoted}');
         CREATE TABLE \"<i>t\" (id int PRIMARY KEY, \"<i>c\" text DEFAULT '{quoted}', e evil, j jsonb);
         COMMENT ON TABLE \"<i>t\" IS '{quoted}';
         COMMENT ON COLUMN \"<i>t\".\"<i>c\" IS '{quoted}';
         INSERT INTO \"<i>t\" VALUES (1, '{quoted}', '{quoted}', to_jsonb('{quoted}'::text))"
    ));
    let encoded_attack = encoded(attack);
    let saved = desk.save(
        "/tables/public/orders/edit/3",
        &[("v:note", &format!("{attack}!"))],
    );
    assert_eq!(saved.status, 303);
    for path in [
        "/".to_string(),
        "/tables".to_string(),
        "/tables/public/customers".to_string(),
        "/tables/public/customers/row/1".to_string(),
        "/tables/public/customers/edit/1".to_string(),
        "/tables/public/customers/delete/1".to_string(),
        "/tables/public/orders".to_string(),
        "/tables/public/orders/row/3".to_string(),
        "/tables/public/orders/edit/3".to_string(),
        "/tables/public/%3Ci%3Et".to_string(),
        "/tables/public/%3Ci%3Et/row/1".to_string(),
        "/tables/public/%3Ci%3Et/edit/1".to_string(),
        "/tables/public/%3Ci%3Et/new".to_string(),
        "/tables/public/%3Ci%3Et/export".to_string(),
        "/audit".to_string(),
        format!("/audit?email={encoded_attack}&table={encoded_attack}"),
        format!("/audit?key={encoded_attack}"),
        format!("/tables/public/orders?q={encoded_attack}"),
        format!("/tables/public/orders?c=note&o=is&v={encoded_attack}"),
        format!("/tables/public/orders/export?q={encoded_attack}"),
        format!("/tables/public/orders?sort={encoded_attack}"),
        format!("/{encoded_attack}"),
        format!("/sign-in?to={encoded_attack}"),
    ] {
        let page = desk.admin.get(&path).body;
        for tag in ["<script>alert", "<img src=x", "<i>t", "<i>c"] {
            assert!(!page.contains(tag), "{path} has {tag}: {page}");
        }
        // A quote that ends an attribute would let the attacker add another one.
        assert!(!page.contains("\"'>"), "{path}: {page}");
    }
    let refused = desk
        .local
        .visitor()
        .post("/sign-in", &[("email", attack), ("password", "x")]);
    assert!(!refused.body.contains("<script>alert"), "{}", refused.body);
    let json = desk.admin.get("/tables/public/orders/choices/customer_id");
    assert_eq!(json.header("content-type"), "application/json");
}

#[test]
fn another_site_cannot_send_a_form() {
    let desk = Desk::new();
    let version = desk
        .admin
        .get("/tables/public/orders/edit/3")
        .field("version");
    let body = format!("version={version}&v%3Anote=theirs");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for origin in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        let headers: Vec<(&str, &str)> = origin.iter().copied().chain([form]).collect();
        let path = "/tables/public/orders/edit/3";
        let answer = desk.admin.send("POST", path, &headers, Some(body.clone()));
        assert_eq!(answer.status, 403, "{origin:?}");
        let out = desk
            .admin
            .send("POST", "/sign-out", &headers, Some(String::new()));
        assert_eq!(out.status, 403, "{origin:?}");
    }
    assert_ne!(
        desk.value("SELECT coalesce(note, '') FROM orders WHERE id = 3"),
        "theirs"
    );
    assert_eq!(desk.admin.get("/").status, 200);
}

#[test]
fn a_forged_host_is_refused_before_anything_else() {
    let desk = Desk::new();
    let host = [("host", "evil.example")];
    assert_eq!(desk.admin.send("GET", "/", &host, None).status, 403);
    let forwarded = [("x-forwarded-host", "evil.example")];
    let page = desk.admin.send("GET", "/users", &forwarded, None);
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("evil.example"), "{}", page.body);
}
