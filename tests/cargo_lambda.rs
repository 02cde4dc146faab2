//! The shipped executable under `cargo lambda watch`, whose Runtime API has a scheme, a path, and
//! deadlines in 1970, and answers 204 while there is nothing to do.

use crate::stage::{Database, Program, bootstrap, free_port, migrations, tool, wait_for};
use std::net::TcpStream;
use std::process::Command;

#[test]
fn pages_errors_and_migrations_pass_through_cargo_lambda() {
    let database = Database::new();
    let port = free_port();
    let _watch = Program::start(
        Command::new(tool("cargo-lambda"))
            .args([
                "lambda",
                "watch",
                "--only-lambda-apis",
                "--invoke-address",
                "127.0.0.1",
            ])
            .args(["--invoke-port", &port.to_string()]),
    );
    wait_for("cargo-lambda to listen", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let start = |function: &str, handler: &str| {
        let address = format!("http://127.0.0.1:{port}/.rt/{function}");
        Program::start(
            Command::new(bootstrap())
                .env("AWS_LAMBDA_RUNTIME_API", address)
                .env("_HANDLER", handler)
                .env("DATABASE_URL", database.url())
                .env("MIGRATIONS_DIR", migrations()),
        )
    };
    let migrate = start("migrations", "migrate");
    let web = start("_", "http");

    let invoke = |function: &str, event: &str| {
        let url = format!("http://127.0.0.1:{port}/2015-03-31/functions/{function}/invocations");
        let mut reply = ureq::post(url).send(event).expect("cargo-lambda answers");
        reply
            .body_mut()
            .read_to_string()
            .expect("the body is whole")
    };
    let applied = invoke("migrations", r#"{"action":"migrate"}"#);
    assert!(
        applied.contains("create_orders"),
        "{applied}\n{}",
        migrate.log()
    );
    let unknown = invoke("migrations", r#"{"action":"x"}"#);
    assert!(unknown.contains("Function.UnknownAction"), "{unknown}");

    let mut page = ureq::get(format!("http://127.0.0.1:{port}/"))
        .call()
        .expect("it is a page");
    let page = page.body_mut().read_to_string().expect("the body is whole");
    assert!(page.contains("up to date"), "{page}\n{}", web.log());
}
