//! Columns whose names say that they hold secrets: hidden everywhere, and changed without being shown.

use super::{Desk, rows, text};

const SECRET: &str = "s3cr3t-v4lue";

#[test]
fn a_secret_is_on_no_page_and_in_no_file_and_no_question_finds_it() {
    let desk = Desk::with(&format!(
        "CREATE TABLE accounts (
             id int PRIMARY KEY, api_token text NOT NULL, name text NOT NULL, password_digest bytea,
             \"privateKey\" text, private_key text, token_count int, secret_at date, email text);
         INSERT INTO accounts VALUES
             (1, '{SECRET}', 'Ada', '{SECRET}', 'x', '{SECRET}', 7, '2026-01-02', 'ada@x.example'),
             (2, '{SECRET}2', 'Bo', NULL, NULL, NULL, 8, NULL, NULL);
         CREATE TABLE tokens (token text PRIMARY KEY, secret_code text UNIQUE, account_token text);
         INSERT INTO tokens VALUES ('tok', 'code', '{SECRET}');
         CREATE TABLE uses (id int PRIMARY KEY, token text REFERENCES tokens, code text REFERENCES tokens (secret_code));
         INSERT INTO uses VALUES (1, 'tok', 'code')"
    ));
    for path in [
        "accounts",
        "accounts?q=Ada",
        "accounts/row/1",
        "accounts/edit/1",
        "accounts/delete/1",
        "accounts/export",
        "accounts/export?as=csv",
        "accounts/export?as=json",
        "tokens",
        "tokens/row/tok",
    ] {
        let page = desk.page(&format!("/tables/public/{path}"));
        assert!(!page.contains(SECRET), "{path}: {page}");
        // The bytes in hexadecimal.
        assert!(!page.contains("733363723374"), "{path}: {page}");
    }
    let list = desk.page("/tables/public/accounts");
    assert!(
        text(&list).contains("[hidden] stands for a value whose column's name"),
        "{list}"
    );
    let row = &rows(&list)[0];
    assert_eq!(row[1], "[hidden]");
    assert_eq!(row[3..6], ["[hidden]"; 3]);
    assert_eq!(row[6..], ["7", "2026-01-02", "ada@x.example"]);
    assert_eq!(rows(&list)[1][3], "null", "that there is none is no secret");
    // What identifies rows stands in addresses, and is shown.
    assert!(
        desk.page("/tables/public/tokens")
            .contains("/tables/public/tokens/row/tok")
    );
    assert_eq!(
        rows(&desk.page("/tables/public/uses"))[0][1..],
        ["tok", "code"]
    );

    assert!(rows(&desk.page("/tables/public/accounts?q=s3cr3t")).is_empty());
    for (query, status) in [
        ("c=api_token&o=begins&v=s", 400),
        ("c=api_token&o=is&v=s", 400),
        ("c=api_token&o=gt&v=s", 400),
        ("sort=api_token", 400),
        ("c=private_key&o=null", 200),
    ] {
        let path = format!("/tables/public/accounts?{query}");
        assert_eq!(desk.admin.get(&path).status, status, "{query}");
    }
}

#[test]
fn a_secret_changes_only_when_its_field_is_filled() {
    let desk = Desk::with(&format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, name text NOT NULL, api_token text NOT NULL, salt text);
         INSERT INTO accounts VALUES (1, 'Ada', '{SECRET}', 'pepper')"
    ));
    let now =
        || desk.value("SELECT concat_ws(' ', name, api_token, salt) FROM accounts WHERE id = 1");
    let save = |fields: &[(&str, &str)]| {
        let saved = desk.save("/tables/public/accounts/edit/1", fields);
        assert_eq!(saved.leads_to(), "/tables/public/accounts/row/1");
    };
    let form = desk.page("/tables/public/accounts/edit/1");
    assert!(form.contains("An empty field changes nothing."), "{form}");
    assert!(
        !form.contains("[hidden]") && !form.contains("pepper"),
        "{form}"
    );
    save(&[("v:name", "Bo"), ("v:api_token", ""), ("v:salt", "")]);
    assert_eq!(now(), format!("Bo {SECRET} pepper"));
    save(&[("v:name", "Bo"), ("v:api_token", "new"), ("v:salt", "")]);
    assert_eq!(now(), "Bo new pepper");
    save(&[
        ("v:name", "Bo"),
        ("v:api_token", ""),
        ("v:salt", ""),
        ("n:salt", "on"),
    ]);
    assert_eq!(now(), "Bo new");
    let added = desk.admin.post(
        "/tables/public/accounts/new",
        &[
            ("v:id", "2"),
            ("v:name", "Cy"),
            ("v:api_token", ""),
            ("v:salt", ""),
        ],
    );
    assert_eq!(
        added.status, 422,
        "a secret that is needed is not an empty text"
    );
    assert!(
        text(&added.body).contains("This is needed."),
        "{}",
        added.body
    );
}

#[test]
fn a_row_that_breaks_a_rule_shows_nothing_that_is_hidden() {
    let desk = Desk::with(&format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, name text, api_token text);
         ALTER TABLE accounts ADD CHECK (accounts IS NOT NULL);
         CREATE TABLE kept (api_token text, name text CHECK (length(name) < 9));
         CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO kept VALUES (NEW.api_token, NEW.name); RETURN NEW; END $$;
         CREATE TRIGGER keep AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION keep();
         INSERT INTO accounts VALUES (1, 'Ada', '{SECRET}')"
    ));
    for (name, rule) in [
        ([("v:name", ""), ("n:name", "on")], "accounts_check"),
        (
            [("v:name", "Ada Byrne of Cork"), ("n:name", "")],
            "kept_name_check",
        ),
    ] {
        let answer = desk.save("/tables/public/accounts/edit/1", &name);
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert!(answer.body.contains(rule), "{}", answer.body);
        assert!(!answer.body.contains(SECRET), "{}", answer.body);
    }
}

#[test]
fn the_version_of_a_row_tells_nothing_of_what_is_hidden() {
    let desk = Desk::with(
        "CREATE TABLE accounts (id int PRIMARY KEY, name text, otp text);
         INSERT INTO accounts VALUES (1, 'Ada', '4711')",
    );
    let version = || {
        let form = desk.admin.get("/tables/public/accounts/edit/1");
        form.field("version")
    };
    let change = |set: &str| {
        let statement = format!("UPDATE accounts SET {set}");
        desk.database
            .client()
            .batch_execute(&statement)
            .expect("it may");
    };
    let before = version();
    change("otp = '0815'");
    assert_eq!(version(), before);
    change("name = 'Bo'");
    assert_ne!(version(), before);
}

#[test]
fn json_that_jsonb_cannot_hold_is_shown_changed_and_deleted() {
    let desk = Desk::with(
        r#"CREATE TABLE odd (id int PRIMARY KEY, name text, j json, many json[]);
           INSERT INTO odd VALUES (1, 'a', '{"a": "\u0000", "b": "\ud800", "n": 1e999999}', ARRAY['"\u0000"'::json])"#,
    );
    assert!(desk.page("/tables/public/odd").contains("u0000"));
    let row = desk.page("/tables/public/odd/row/1");
    assert!(text(&row).contains("\"a\": \"\\u0000\""), "{row}");
    for format in ["csv", "json"] {
        let path = format!("/tables/public/odd/export?as={format}");
        assert!(desk.page(&path).contains("u0000"));
    }
    let saved = desk.save("/tables/public/odd/edit/1", &[("v:name", "b")]);
    assert_eq!(saved.status, 303, "{}", saved.body);
    let deleted = desk.save("/tables/public/odd/delete/1", &[]);
    assert_eq!(deleted.status, 303, "{}", deleted.body);
    let kept = desk.value("SELECT before ->> 'j' FROM plain_lambda.audit WHERE action = 'delete'");
    assert!(
        kept.contains("\\u0000") && kept.contains("1e999999"),
        "{kept}"
    );
    assert!(desk.page("/audit").contains("u0000"));
}
