//! The shipped executable under `cargo lambda watch`. Its Runtime API has an address with a scheme and a
//! path, sends deadlines in 1970, and answers 204 while there is no event.

use crate::support::{
    Database, Part, Program, SECRET, bootstrap, free_port, migrations, needs, wait_for,
};
use std::net::TcpStream;
use std::process::Command;

/// cargo-lambda with one function, which is called `_` in this mode, and the executable that serves it.
struct Watch {
    port: u16,
    _watch: Program,
    bootstrap: Program,
}

impl Watch {
    fn start(database: &Database, handler: &str) -> Watch {
        let port = free_port();
        let watch = Program::start(
            Command::new(Part::CargoLambda.path())
                .args(["lambda", "watch", "--only-lambda-apis"])
                .args([
                    "--invoke-address",
                    "127.0.0.1",
                    "--invoke-port",
                    &port.to_string(),
                ]),
        );
        wait_for("cargo-lambda to listen", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let bootstrap = Program::start(
            Command::new(bootstrap())
                .env(
                    "AWS_LAMBDA_RUNTIME_API",
                    format!("http://127.0.0.1:{port}/.rt/_"),
                )
                .env("_HANDLER", handler)
                .env("DATABASE_URL", database.url())
                .env("SECRET_KEY_BASE", SECRET)
                .env("MIGRATIONS_DIR", migrations()),
        );
        Watch {
            port,
            _watch: watch,
            bootstrap,
        }
    }

    fn invoke(&self, event: &str) -> String {
        let url = format!(
            "http://127.0.0.1:{}/2015-03-31/functions/_/invocations",
            self.port
        );
        // cargo-lambda answers a function's error with 500.
        let request = ureq::post(url).config().http_status_as_error(false).build();
        let mut reply = request.send(event).expect("cargo-lambda answers");
        reply
            .body_mut()
            .read_to_string()
            .expect("the body is whole")
    }

    fn get(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut page = ureq::get(url).call().expect("it is a page");
        page.body_mut().read_to_string().expect("the body is whole")
    }
}

#[test]
fn pages_errors_and_migrations_pass_through_cargo_lambda() {
    needs!(CargoLambda);
    let database = Database::new();
    let migrations = Watch::start(&database, "migrate");
    let applied = migrations.invoke(r#"{"action":"migrate"}"#);
    assert!(
        applied.contains("create_orders"),
        "{applied}\n{}",
        migrations.bootstrap.log()
    );
    let unknown = migrations.invoke(r#"{"action":"x"}"#);
    assert!(unknown.contains("Function.UnknownAction"), "{unknown}");

    let web = Watch::start(&database, "http");
    assert_eq!(web.get("/up"), "up\n");
    assert_eq!(web.get("/up?db"), "up\n", "{}", web.bootstrap.log());
}
