//! Adding, changing and deleting rows: Postgres's errors, concurrent changes, and the audit.

use super::{Desk, text};
use crate::support::{Local, PgBouncer, needs};

#[test]
fn a_row_is_added_changed_and_deleted_and_each_change_is_in_the_audit() {
    let desk = Desk::new();
    let added = desk.admin.post(
        "/tables/public/customers/new",
        &[
            ("v:name", "Mo & Söhne"),
            ("v:email", "mo@x.example"),
            ("v:city", ""),
            ("n:city", "on"),
        ],
    );
    let path = added.leads_to().to_string();
    let id = path.rsplit('/').next().expect("it has one").to_string();
    let row = desk.page(&path);
    assert!(row.contains("The row was added."), "{row}");
    assert!(row.contains("Mo &#38; Söhne"), "{row}");
    let city = format!("SELECT (city IS NULL)::text FROM customers WHERE id = {id}");
    assert_eq!(desk.value(&city), "true");

    let edit = path.replace("/row/", "/edit/");
    let saved = desk.save(&edit, &[("v:city", "Köln"), ("v:name", "Mo & Söhne")]);
    assert_eq!(saved.leads_to(), path);
    let row = text(&desk.page(&path));
    assert!(row.contains("changed by admin@example.com"), "{row}");
    assert!(row.contains("Köln"), "{row}");
    let nothing = desk.save(&edit, &[("v:city", "Köln")]);
    assert_eq!(nothing.leads_to(), path);
    assert!(desk.page(&path).contains("nothing to change"));

    let delete = path.replace("/row/", "/delete/");
    assert!(desk.page(&delete).contains("Nothing refers to this row"));
    assert_eq!(
        desk.save(&delete, &[]).leads_to(),
        "/tables/public/customers"
    );
    assert_eq!(desk.admin.get(&path).status, 404);

    let entries = desk.value(
        "SELECT string_agg(concat_ws(' ', action, key = $$ID$$, before->>'city', after->>'city',
                before ? 'name', after ? 'name', email), '|' ORDER BY id)
         FROM plain_lambda.audit WHERE table_schema <> 'plain_lambda'"
            .replace("$$ID$$", &format!("'{id}'"))
            .as_str(),
    );
    assert_eq!(
        entries,
        "insert t t admin@example.com|update t Köln f f admin@example.com|\
         delete t Köln t admin@example.com"
    );
    let audit = text(&desk.page("/audit?table=customers&email=admin%40example.com"));
    for words in ["added", "changed", "deleted", "Köln"] {
        assert!(audit.contains(words), "{words}: {audit}");
    }
    assert!(!text(&desk.page("/audit?table=orders")).contains("Köln"));
    assert!(!text(&desk.page("/audit?to=2020-01-01")).contains("Köln"));
    assert_eq!(desk.admin.get("/audit?from=soon").status, 422);
}

#[test]
fn postgress_error_is_shown_at_its_field_and_the_input_is_kept() {
    let desk = Desk::with(
        "CREATE TABLE strict (
             id int PRIMARY KEY, needed text NOT NULL, short varchar(4), small smallint,
             pair_a int, pair_b int, price numeric(4, 1) CHECK (price > 0), at date,
             customer bigint REFERENCES customers, during int4range,
             later bigint REFERENCES customers DEFERRABLE INITIALLY DEFERRED,
             UNIQUE (pair_a, pair_b), CONSTRAINT a_before_b CHECK (pair_a < pair_b),
             EXCLUDE USING gist (during WITH &&));
         INSERT INTO strict VALUES (1, 'x', 'abcd', 1, 1, 2, 1, '2026-01-01', 1, '[1,5)');
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN RAISE EXCEPTION 'not on a Sunday' USING HINT = 'come on Monday'; END$$;
         CREATE TRIGGER sunday BEFORE INSERT ON strict FOR EACH ROW
             WHEN (NEW.needed = 'sunday') EXECUTE FUNCTION refuse()",
    );
    let check = |fields: &[(&str, &str)], wrong: &[&str], says: &str| {
        let mut all = vec![("v:id", "2"), ("v:needed", "typed <b>")];
        all.retain(|(name, _)| !fields.iter().any(|(known, _)| known == name));
        all.extend_from_slice(fields);
        let answer = desk.admin.post("/tables/public/strict/new", &all);
        let page = text(&answer.body);
        assert_eq!(answer.status, 422, "{fields:?}: {page}");
        assert!(page.contains("Nothing was saved"), "{page}");
        assert!(page.contains(says), "no {says:?} for {fields:?} in {page}");
        let fields_of_the_page = answer.body.split("name=\"v:").skip(1);
        let tags = fields_of_the_page.filter_map(|field| field.split('>').next());
        let marked: Vec<&str> = tags
            .filter(|tag| tag.contains("aria-invalid"))
            .filter_map(|tag| tag.split('"').next())
            .collect();
        assert_eq!(marked, wrong, "{fields:?}");
        for (_, value) in fields.iter().filter(|(name, _)| name.starts_with("v:")) {
            let escaped = value
                .replace('&', "&#38;")
                .replace('<', "&#60;")
                .replace('>', "&#62;");
            assert!(
                answer.body.contains(&escaped),
                "{value} is lost: {}",
                answer.body
            );
        }
    };
    check(
        &[("n:needed", "on"), ("v:needed", "")],
        &["needed"],
        "This is needed",
    );
    check(&[("v:id", "1")], &["id"], "Another row has this already");
    check(
        &[("v:pair_a", "1"), ("v:pair_b", "2")],
        &["pair_a", "pair_b"],
        "Another row",
    );
    check(
        &[("v:pair_a", "3"), ("v:pair_b", "2")],
        &["pair_a", "pair_b"],
        "a_before_b",
    );
    check(
        &[("v:short", "abcde")],
        &["short"],
        "5 characters; 4 is the most",
    );
    check(&[("v:small", "40000")], &["small"], "out of range");
    check(
        &[("v:small", "x"), ("v:at", "soon")],
        &["small", "at"],
        "nvalid input syntax",
    );
    check(&[("v:price", "-1")], &["price"], "CHECK");
    check(&[("v:price", "1000")], &["price"], "overflow");
    check(&[("v:customer", "999")], &["customer"], "no such row");
    check(&[("v:later", "999")], &["later"], "no such row");
    check(&[("v:during", "[4,6)")], &["during"], "EXCLUDE");
    check(&[("v:at", "2026-13-01")], &["at"], "out of range");
    check(
        &[("v:needed", "sunday")],
        &[],
        "Not on a Sunday. come on Monday",
    );
    assert_eq!(desk.value("SELECT count(*)::text FROM strict"), "1");
    assert_eq!(
        desk.value("SELECT count(*)::text FROM plain_lambda.audit WHERE table_name = 'strict'"),
        "0"
    );
    let fine = desk.admin.post(
        "/tables/public/strict/new",
        &[("v:id", "2"), ("v:needed", "")],
    );
    assert_eq!(
        fine.status,
        303,
        "an empty text is a text: {}",
        text(&fine.body)
    );
}

#[test]
fn a_row_that_changed_meanwhile_is_not_overwritten_and_both_versions_are_shown() {
    let desk = Desk::new();
    let path = "/tables/public/orders/edit/2";
    let form = desk.admin.get(path);
    let version = form.field("version");
    desk.sql("UPDATE orders SET note = 'theirs' WHERE id = 2");
    let mine = [
        ("version", version.as_str()),
        ("v:note", "mine"),
        ("v:status", "paid"),
    ];
    let conflict = desk.admin.post(path, &mine);
    assert_eq!(conflict.status, 409);
    let page = text(&conflict.body);
    assert!(
        page.contains("Somebody else has changed this row"),
        "{page}"
    );
    assert!(page.contains("mine") && page.contains("theirs"), "{page}");
    assert_eq!(desk.value("SELECT note FROM orders WHERE id = 2"), "theirs");
    let version = conflict.field("version");
    let again = [("version", version.as_str()), ("v:note", "mine")];
    assert_eq!(desk.admin.post(path, &again).status, 303, "now it was seen");
    assert_eq!(desk.value("SELECT note FROM orders WHERE id = 2"), "mine");

    let form = desk.admin.get("/tables/public/orders/delete/2");
    desk.sql("UPDATE orders SET note = 'theirs' WHERE id = 2");
    let version = form.field("version");
    let refused = desk
        .admin
        .post("/tables/public/orders/delete/2", &[("version", &version)]);
    assert_eq!(refused.status, 409, "{}", text(&refused.body));
    assert_eq!(
        desk.admin.post(path, &[("v:note", "x")]).status,
        409,
        "no version is an old one"
    );
    desk.sql("DELETE FROM orders WHERE id = 2");
    assert_eq!(desk.admin.post(path, &again).status, 404);
}

#[test]
fn saving_a_row_that_another_session_has_locked_is_an_error() {
    let desk = Desk::new();
    let mut other = desk.database.client();
    let form = desk
        .admin
        .get("/tables/public/orders/edit/2")
        .field("version");
    other
        .batch_execute("BEGIN; UPDATE orders SET note = 'held' WHERE id = 2")
        .expect("it is allowed");
    let fields = [("version", form.as_str()), ("v:note", "mine")];
    let answer = desk.admin.post("/tables/public/orders/edit/2", &fields);
    assert_eq!(answer.status, 422);
    assert!(
        text(&answer.body).contains("Somebody else is changing this row"),
        "{}",
        text(&answer.body)
    );
    assert!(answer.body.contains("mine"));
    other.batch_execute("ROLLBACK").expect("it is allowed");
    assert_eq!(
        desk.admin
            .post("/tables/public/orders/edit/2", &fields)
            .status,
        303
    );
}

#[test]
fn the_delete_page_counts_the_rows_that_go_too_and_those_that_prevent_it() {
    let desk = Desk::with(
        "CREATE TABLE a (id int PRIMARY KEY, parent int REFERENCES a ON DELETE CASCADE);
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);
         CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b ON DELETE SET NULL);
         CREATE TABLE d (id int PRIMARY KEY, b int REFERENCES b);
         INSERT INTO a VALUES (1, NULL), (2, 1), (3, NULL);
         INSERT INTO b SELECT i, 1 FROM generate_series(1, 150) i;
         INSERT INTO c SELECT i, 1 FROM generate_series(1, 3) i;
         INSERT INTO d VALUES (1, 5)",
    );
    let page = text(&desk.page("/tables/public/a/delete/1"));
    assert!(
        page.contains("at least 1 row of a will be deleted, too."),
        "{page}"
    );
    assert!(
        page.contains("at least 100 rows of b will be deleted, too."),
        "{page}"
    );
    assert!(
        page.contains("3 rows of c will refer to nothing."),
        "{page}"
    );
    assert!(page.contains("1 row of d will prevent it"), "{page}");
    let refused = desk.save("/tables/public/a/delete/1", &[]);
    assert_eq!(refused.status, 422);
    assert!(
        text(&refused.body).contains("Nothing was deleted"),
        "{}",
        text(&refused.body)
    );
    desk.sql("DELETE FROM d");
    assert_eq!(desk.save("/tables/public/a/delete/1", &[]).status, 303);
    assert_eq!(desk.value("SELECT count(*)::text FROM b"), "0");
    assert_eq!(desk.value("SELECT count(b)::text FROM c"), "0");
    assert!(text(&desk.page("/tables/public/a/delete/3")).contains("Nothing refers"));
}

#[test]
fn pages_work_behind_a_pooler_that_gives_each_transaction_another_session() {
    needs!(PgBouncer);
    let desk = Desk::new();
    let pooler = PgBouncer::start(&desk.database, "");
    let local = Local::with(&desk.database)
        .env("DATABASE_URL", &desk.database.url_at(pooler.port()))
        .start();
    let person = local.visitor();
    person.set_cookie(&desk.admin.cookie());
    for path in [
        "/",
        "/tables",
        "/tables/public/orders?q=gift",
        "/tables/public/orders/row/2",
    ] {
        assert_eq!(person.get(path).status, 200, "{path}");
    }
    let version = person.get("/tables/public/orders/edit/2").field("version");
    let fields = [("version", version.as_str()), ("v:note", "pooled")];
    assert_eq!(
        person.post("/tables/public/orders/edit/2", &fields).status,
        303
    );
    assert_eq!(desk.value("SELECT note FROM orders WHERE id = 2"), "pooled");
}

#[test]
fn a_change_and_its_audit_entry_are_one_transaction() {
    let desk = Desk::new();
    let form = desk
        .admin
        .get("/tables/public/orders/edit/2")
        .field("version");
    desk.sql("ALTER TABLE plain_lambda.audit ADD CONSTRAINT full_up CHECK (false) NOT VALID");
    let fields = [("version", form.as_str()), ("v:note", "unseen")];
    assert_eq!(
        desk.admin
            .post("/tables/public/orders/edit/2", &fields)
            .status,
        500
    );
    assert_eq!(
        desk.value("SELECT note FROM orders WHERE id = 2"),
        "gift wrap"
    );
}

#[test]
fn a_key_that_an_inheriting_table_has_too_is_refused() {
    let desk = Desk::with(
        "CREATE TABLE parent (id int PRIMARY KEY, v text);
         CREATE TABLE child () INHERITS (parent);
         INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 'c')",
    );
    let refused = desk.save("/tables/public/parent/edit/1", &[("v:v", "both")]);
    assert_eq!(refused.status, 422);
    assert!(
        text(&refused.body).contains("More than one row"),
        "{}",
        text(&refused.body)
    );
    assert_eq!(desk.save("/tables/public/parent/delete/1", &[]).status, 422);
    assert_eq!(
        desk.value("SELECT string_agg(v, '' ORDER BY v) FROM parent"),
        "cp"
    );
}

#[test]
fn the_audit_counts_the_rows_that_go_with_a_deleted_row() {
    let desk = Desk::with(
        "CREATE TABLE boss (id int PRIMARY KEY);
         CREATE TABLE hand (id int PRIMARY KEY, boss int REFERENCES boss ON DELETE CASCADE);
         CREATE TABLE tool (id int PRIMARY KEY, hand int REFERENCES hand ON DELETE SET NULL);
         CREATE TABLE idle (id int PRIMARY KEY, boss int REFERENCES boss ON DELETE CASCADE);
         INSERT INTO boss VALUES (1), (2);
         INSERT INTO hand SELECT i, 1 FROM generate_series(1, 150) i;
         INSERT INTO tool VALUES (1, 1), (2, 2), (3, NULL)",
    );
    let deleted = desk.save("/tables/public/boss/delete/1", &[]);
    assert_eq!(deleted.status, 303, "{}", deleted.body);
    let entries =
        "SELECT string_agg(format('%s %s %s %s', action, table_name, after ->> 'because of',
                                            after ->> 'rows before'), '; ' ORDER BY table_name)
                   FROM plain_lambda.audit WHERE action IN ('delete', 'update')";
    assert_eq!(
        desk.value(entries),
        "delete boss  ; delete hand public.boss 1 at least 100; update tool public.boss 1 2"
    );
    let page = text(&desk.page("/audit"));
    assert!(page.contains("because of"), "{page}");
}

#[test]
fn a_form_of_another_content_type_or_too_large_is_refused() {
    let desk = Desk::new();
    let path = "/tables/public/customers/new";
    let send = |content_type: &str, body: String| {
        let headers = [("content-type", content_type)];
        desk.admin.send("POST", path, &headers, Some(body)).status
    };
    let urlencoded = "application/x-www-form-urlencoded";
    assert_eq!(send("application/json", "{}".to_string()), 415);
    assert_eq!(
        send("multipart/form-data; boundary=x", "--x--".to_string()),
        415
    );
    assert_eq!(send(urlencoded, "v:name=%zz".to_string()), 400);
    assert_eq!(send(urlencoded, "v:name=%ff".to_string()), 400);
    assert_eq!(
        send(urlencoded, format!("v:name={}", "x".repeat(1024 * 1024))),
        413
    );
    assert_eq!(send(urlencoded, "a=1&".repeat(4001)), 413);
    assert_eq!(
        send(urlencoded, "v%3Aname=a%00b&v%3Aemail=a%40b".to_string()),
        400
    );
    assert_eq!(desk.value("SELECT count(*)::text FROM customers"), "12");
}
