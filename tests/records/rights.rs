//! The database's roles that docs/operate.md advises: its own SQL, and the tool behind it.

use super::{Desk, rows};
use crate::support::{Database, Local, root};
use std::fs;

/// The statements of docs/operate.md that create a role.
fn documented(role: &str, database: &Database) -> String {
    let text = fs::read_to_string(root().join("docs/operate.md")).expect("it is there");
    let mut blocks = text.split("```sql\n").skip(1);
    let block = blocks.find(|block| block.starts_with(&format!("CREATE ROLE {role} ")));
    let block = block.unwrap_or_else(|| panic!("no SQL for {role}"));
    let (sql, _) = block.split_once("```").expect("the block ends");
    sql.replace("DATABASE app ", &format!("DATABASE {} ", database.name()))
}

fn url_as(role: &str, database: &Database) -> String {
    let url = database.url();
    let (_, rest) = url.split_once('@').expect("it has a user");
    format!("postgres://{role}:change-me@{rest}")
}

#[test]
fn the_documented_roles_may_what_the_tool_needs_and_no_more() {
    let database = Database::new();
    let sql = |sql: &str| {
        let done = database.client().batch_execute(sql);
        done.unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    };
    // Roles of a run that was killed.
    sql("DROP ROLE IF EXISTS plain_lambda_pages; DROP ROLE IF EXISTS plain_lambda_owner");
    sql("CREATE SCHEMA cron; CREATE TABLE cron.job (id int PRIMARY KEY, command text)");
    sql(&documented("plain_lambda_owner", &database));
    let url = url_as("plain_lambda_owner", &database);
    let local = Local::with(&database).env("DATABASE_URL", &url).start();
    let migrated = local.invoke("migrations", r#"{"action":"migrate"}"#);
    migrated.expect("the role may");
    let admin = local.sign_in("admin");
    let desk = Desk {
        database,
        local,
        admin,
    };
    let tables = desk.page("/tables");
    assert!(
        tables.contains("customers") && !tables.contains("cron"),
        "{tables}"
    );
    for path in ["/tables/cron/job", "/tables/cron/job/new"] {
        assert_eq!(desk.admin.get(path).status, 404, "{path}");
    }
    let fields = [("v:id", "1"), ("v:command", "DROP TABLE customers")];
    let added = desk.admin.post("/tables/cron/job/new", &fields);
    assert_eq!(added.status, 404);

    desk.sql(&documented("plain_lambda_pages", &desk.database));
    desk.sql(
        "INSERT INTO customers (name, email) VALUES ('Ada', 'ada@x.example');
         INSERT INTO orders (customer_id) SELECT id FROM customers",
    );
    let url = url_as("plain_lambda_pages", &desk.database);
    let local = Local::with(&desk.database)
        .env("DATABASE_URL", &url)
        .start();
    let pages = local.visitor();
    pages.set_cookie(&desk.admin.cookie());
    assert_eq!(local.get("/up?db").1, "up\n");
    let form = pages.get("/tables/public/orders/edit/1");
    let version = form.field("version");
    let fields = [
        ("version", version.as_str()),
        ("v:note", "by the pages' role"),
    ];
    let saved = pages.post("/tables/public/orders/edit/1", &fields);
    assert_eq!(saved.status, 303, "{}", saved.body);
    let added = [
        ("v:name", "Mo"),
        ("v:email", "mo@x.example"),
        ("v:city", ""),
    ];
    let added = pages.post("/tables/public/customers/new", &added);
    assert_eq!(added.status, 303, "{}", added.body);
    assert!(pages.get("/audit").body.contains("by the pages"));
    let visitor = local.visitor();
    let wrong = [("email", "admin@example.com"), ("password", "wrong")];
    assert_eq!(visitor.post("/sign-in", &wrong).status, 422);
    let mut client = postgres::Client::connect(&url, postgres::NoTls).expect("the role may");
    for refused in [
        "UPDATE plain_lambda.audit SET email = 'x'",
        "UPDATE plain_lambda.audit SET after = '{}'",
        "DELETE FROM plain_lambda.audit",
        "DELETE FROM plain_lambda.migrations",
        "CREATE TABLE public.mine (id int)",
        "SELECT * FROM cron.job",
    ] {
        let error = client.batch_execute(refused).expect_err(refused);
        let code = error.code().map(postgres::error::SqlState::code);
        assert_eq!(code, Some("42501"), "{refused}: {error:?}");
    }
    let mut owner = postgres::Client::connect(
        &url_as("plain_lambda_owner", &desk.database),
        postgres::NoTls,
    )
    .expect("the role may");
    let later = "CREATE TABLE later (id serial PRIMARY KEY, name text)";
    owner.batch_execute(later).expect("it migrates");
    drop((owner, client, local));
    let local = Local::with(&desk.database)
        .env("DATABASE_URL", &url)
        .start();
    let pages = local.visitor();
    pages.set_cookie(&desk.admin.cookie());
    let added = pages.post("/tables/public/later/new", &[("v:name", "x")]);
    assert_eq!(added.status, 303, "{}", added.body);
    assert_eq!(rows(&pages.get("/tables/public/later").body).len(), 1);
    drop(local);
    let Desk {
        database, local, ..
    } = desk;
    drop(local);
    let dropped = database.client().batch_execute(
        "DROP OWNED BY plain_lambda_pages; DROP OWNED BY plain_lambda_owner;
         DROP ROLE plain_lambda_pages; DROP ROLE plain_lambda_owner",
    );
    dropped.expect("nothing else is theirs");
}
