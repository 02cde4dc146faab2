//! `make image`, and the image as Lambda runs it: read-only, as another user, without capabilities.

use crate::emulator::{Emulator, get};
use crate::support::podman::{self, podman};
use crate::support::{
    BUILT_IN, Database, MIGRATIONS, Part, SECRET, bootstrap, needs, root, run, run_with, said,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const IMAGE: &str = "plain-lambda-test";
const SCRATCH: &str = "plain-lambda-test-scratch";
const ANEW: &str = "plain-lambda-test-anew";
const BASE: &str = "public.ecr.aws/lambda/provided:al2023";

/// The user and group of Lambda's `sbx_user1051`.
const USER: &str = "993:990";

/// Returns a command that runs an image with `podman` as Lambda does, with a database.
pub(crate) fn lambda(mut podman: Command, database: &Database, more: &[&str]) -> Command {
    let command = podman.args(["run", "--rm", "--interactive", "--network", "host"]);
    command.args([
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "all",
        "--user",
        USER,
    ]);
    command
        .args(["--env", &format!("DATABASE_URL={}", database.url())])
        .args(["--env", &format!("SECRET_KEY_BASE={SECRET}")])
        .args(more);
    podman
}

/// Builds the image once; returns its name.
pub(crate) fn image() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| build(IMAGE, BASE));
    IMAGE
}

fn build(image: &str, base: &str) {
    run(&mut make(image, base));
}

fn make(image: &str, base: &str) -> Command {
    let mut make = Command::new("make");
    podman::be_known_to(&mut make);
    make.args(["image", "CONTAINER=podman"])
        .arg(format!("IMAGE={image}"))
        .arg(format!("BASE={base}"))
        .current_dir(root());
    make
}

/// Pipes the files of an image to `tar`; returns its output.
fn tar(image: &str, arguments: &[&str]) -> Vec<u8> {
    let id = run(&mut podman(&["create", image, "-"]));
    let id = id.trim();
    let mut export = podman(&["export", id])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let archive = export.stdout.take().expect("it is piped");
    let output = Command::new("tar").args(arguments).stdin(archive).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    assert!(export.wait().expect("it ends").success());
    run(&mut podman(&["rm", id]));
    output.stdout
}

/// Returns the paths of all files and directories of an image.
fn files(image: &str) -> BTreeSet<String> {
    let listed = String::from_utf8(tar(image, &["-t"])).expect("paths are UTF-8");
    listed
        .lines()
        .map(|path| path.trim_end_matches('/').to_string())
        .collect()
}

#[test]
fn the_image_holds_the_executable_and_the_migrations_and_nothing_else() {
    needs!(Podman, Shipped);
    let ours: BTreeSet<String> = files(image()).difference(&files(BASE)).cloned().collect();
    let mut expected: BTreeSet<String> = ["var/runtime/bootstrap", "var/task/migrations"]
        .map(str::to_string)
        .into();
    for file in root()
        .join("migrations")
        .read_dir()
        .expect("the checkout has it")
    {
        let name = file
            .expect("it is readable")
            .file_name()
            .into_string()
            .expect("it is UTF-8");
        expected.insert(format!("var/task/migrations/{name}"));
    }
    assert_eq!(ours, expected);
}

#[test]
fn the_image_starts_the_executable_as_the_web_function() {
    needs!(Podman, Shipped);
    let format = "{{json .Config.Entrypoint}} {{json .Config.Cmd}}";
    let said = run(&mut podman(&[
        "image",
        "inspect",
        "--format",
        format,
        image(),
    ]));
    assert_eq!(said.trim(), r#"["/var/runtime/bootstrap"] ["http"]"#);

    let size = run(&mut podman(&[
        "image",
        "inspect",
        "--format",
        "{{.Size}}",
        IMAGE,
    ]));
    let base = run(&mut podman(&[
        "image",
        "inspect",
        "--format",
        "{{.Size}}",
        BASE,
    ]));
    let bytes = |text: &str| text.trim().parse::<u64>().expect("a size is a number");
    let added = bytes(&size) - bytes(&base);
    let report = format!("the image adds {added} bytes to its base\n");
    fs::write(root().join("target/tests/image-size.txt"), report).expect("there is room");
}

#[test]
fn the_same_sources_make_the_same_image() {
    needs!(Podman, Shipped);
    let built = tar(image(), &["-x", "--to-stdout", "var/runtime/bootstrap"]);
    let shipped = fs::read(bootstrap()).expect("it is built");
    assert!(built == shipped, "`make shipped` makes another executable");
    let listed = tar(image(), &["-t", "--verbose", "--full-time", "--utc"]);
    let listed = String::from_utf8(listed).expect("paths are UTF-8");
    let ours = ["var/runtime/bootstrap", "var/task/migrations/"];
    let ours = listed
        .lines()
        .filter(|line| ours.iter().any(|path| line.contains(path)));
    assert!(ours.clone().count() > 3, "{listed}");
    for line in ours {
        assert!(line.contains(" 1970-01-01 00:00:00 "), "{line}");
    }
    let created = run(&mut podman(&[
        "image",
        "inspect",
        "--format",
        "{{.Created}}",
        image(),
    ]));
    assert!(created.starts_with("1970-01-01"), "{created}");
}

#[test]
fn a_rebuild_without_a_cache_makes_the_same_image() {
    needs!(Podman, Shipped);
    run(make(ANEW, BASE).arg("ARGS=--no-cache"));
    let id = |image| {
        run(&mut podman(&[
            "image", "inspect", "--format", "{{.Id}}", image,
        ]))
    };
    assert_eq!(id(ANEW), id(image()));
}

#[test]
fn the_image_answers_as_the_web_function() {
    needs!(Podman, Shipped);
    check_answers(podman(&[]), image());
}

#[test]
fn the_image_runs_without_a_base_image() {
    needs!(Podman, Shipped);
    build(SCRATCH, "scratch");
    check_answers(podman(&[]), SCRATCH);
}

/// Checks that an image handles one event as the web function, with a database.
pub(crate) fn check_answers(podman: Command, image: &str) {
    let database = Database::new();
    let mut command = lambda(podman, &database, &[image]);
    let reply = run_with(&mut command, &get("/up?db").to_string());
    let reply: Value = serde_json::from_str(&reply).expect("the reply is JSON");
    assert_eq!(
        reply["body"],
        format!("{} migrations are pending\n", MIGRATIONS + BUILT_IN)
    );
}

#[test]
fn both_functions_of_the_image_answer_in_awss_emulator() {
    needs!(Podman, Shipped, Emulator);
    let database = Database::new();
    let rie = format!("{}:/rie:ro", Part::Emulator.path().display());
    let start = |handler: &str| {
        let mut command = lambda(
            podman(&[]),
            &database,
            &["--volume", &rie, "--entrypoint", "/rie", image()],
        );
        Emulator::start(&mut command, &["/var/runtime/bootstrap", handler])
    };
    let migrations = start("migrate");
    let applied = migrations.invoke(&json!({"action": "migrate"}));
    assert_eq!(
        applied["applied"].as_array().map(Vec::len),
        Some(MIGRATIONS),
        "{applied}"
    );
    let web = start("http");
    let page = web.invoke(&get("/up?db"));
    assert_eq!(page["statusCode"], 200, "{page}");
    assert_eq!(page["body"], "up\n");
}
