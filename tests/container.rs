//! The image with `local` as an ordinary container: built from the Dockerfile in docs/operate.md, and run
//! with as few rights as on Lambda.

use crate::image::{image, lambda};
use crate::support::podman::podman;
use crate::support::{Database, Program, local, needs, root, run, run_with};
use serde_json::{Value, json};
use std::fs;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

const SERVER: &str = "plain-lambda-test-server";
const HOST: &str = "app.example.com";

#[test]
fn the_image_serves_behind_local_as_an_ordinary_container() {
    needs!(Podman, Shipped);
    build();
    let database = Database::new();
    let address = format!("LAMBDA_FUNCTION_URL=https://{HOST}");
    let container = |image| lambda(podman(&[]), &database, &["--env", &address, image]);
    let once = |event: Value| {
        let event = event.to_string();
        let said = run(container(image()).args(["migrate", &event]));
        serde_json::from_str::<Value>(&said).unwrap_or_else(|_| panic!("no JSON: {said}"))
    };
    assert_eq!(once(json!({"action": "migrate"}))["status"], "done");
    let user = json!({"action": "user", "email": "ada@example.com", "role": "admin"});
    let link = once(user)["link"].as_str().map(str::to_owned);
    let link = link.expect("it makes one");

    // Port 0 is any free port. The last `--public` counts.
    let mut server = Program::start(container(SERVER).args(["--public", "0.0.0.0:0"]));
    let url = server.first_line().replace("0.0.0.0", "127.0.0.1");

    let up = ask(&url, "10.0.0.1:8080", "/up?db", None);
    assert_eq!(up.status(), StatusCode::OK, "{}", server.log());
    assert_eq!(
        ask(&url, "127.0.0.1", "/", None).status(),
        StatusCode::FORBIDDEN
    );
    let (_, path) = link.split_once("/sign-in/").expect("it is a link");
    let form = "new=correct+horse+battery";
    let inside = ask(&url, HOST, &format!("/sign-in/{path}"), Some(form));
    assert_eq!(inside.status(), StatusCode::SEE_OTHER, "{}", server.log());
    let invoked = "/2015-03-31/functions/web/invocations";
    let invoked = ask(&url, HOST, invoked, Some("{}"));
    assert!(invoked.status().is_client_error(), "{}", invoked.status());

    server.signal("TERM");
    assert!(server.wait().success(), "{}", server.log());
    let log = server.whole_log();
    assert!(log.contains("GET / 403 for 203.0.113.7"), "{log}");
}

/// Builds the image from the Dockerfile in docs/operate.md.
fn build() {
    let document = fs::read_to_string(root().join("docs/operate.md")).expect("the checkout has it");
    let (_, rest) = document
        .split_once("<<'END'\n")
        .expect("it has a Dockerfile");
    let (dockerfile, _) = rest.split_once("\nEND\n").expect("it ends");
    let dockerfile = dockerfile.replace("FROM plain-lambda\n", &format!("FROM {}\n", image()));
    let context = tempfile::tempdir().expect("there is room");
    fs::copy(local(), context.path().join("local")).expect("it is built");
    let mut build = podman(&["build", "--tag", SERVER, "--file", "-"]);
    run_with(build.arg(context.path()), &dockerfile);
}

/// Sends a request as a proxy would for a browser.
#[track_caller]
fn ask(url: &str, host: &str, path: &str, form: Option<&str>) -> Response<Body> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .build()
        .into();
    let request = ureq::http::Request::builder()
        .uri(format!("{url}{path}"))
        .header("Host", host)
        .header("X-Forwarded-For", "forged, 203.0.113.7");
    let response = match form {
        None => agent.run(request.body(()).expect("a valid request")),
        Some(form) => agent.run(
            request
                .method("POST")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Sec-Fetch-Site", "same-origin")
                .body(form.to_owned())
                .expect("a valid request"),
        ),
    };
    response.unwrap_or_else(|error| panic!("{path}: {error}"))
}
