//! Checks the invariants of ARCHITECTURE.md that can be read from the sources: which crate may import
//! which, which file may name what, and how a file begins. Reads text; runs nothing of the project.

use crate::support::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the project that each crate may import.
const ALLOWED_IMPORTS: &[(&str, &[&str])] = &[
    ("crates/handler", &[]),
    ("crates/database", &["handler"]),
    ("crates/web", &["handler"]),
    ("crates/migrate", &["database", "handler"]),
    ("crates/records", &["database", "handler", "web"]),
    (
        "crates/admin",
        &["database", "handler", "migrate", "records", "web"],
    ),
    ("app", &["admin", "database", "handler", "records", "web"]),
    ("bootstrap", &["app", "handler"]),
    ("local", &[]),
];

/// A Rust source of the project.
struct Source {
    /// Its path, relative to the checkout.
    path: String,
    text: String,
    /// Its lines without comments and unit tests.
    code: String,
}

/// Reads the Rust sources below directories.
fn sources(dirs: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for dir in dirs {
        collect(&root().join(dir), &mut found);
    }
    assert!(!found.is_empty(), "no sources in {dirs:?}");
    found
}

fn collect(dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("the checkout has it") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(source(path));
        }
    }
}

fn source(path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).expect("it is UTF-8");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let shown = path.strip_prefix(root()).expect("it is in the checkout");
    Source {
        path: shown.display().to_string(),
        code: lines.collect::<Vec<_>>().join("\n"),
        text,
    }
}

/// Returns the paths of the sources whose code holds one of the texts.
fn holding(sources: &[Source], texts: &[&str]) -> Vec<String> {
    let holds = |source: &&Source| texts.iter().any(|text| source.code.contains(text));
    let found = sources.iter().filter(holds);
    found.map(|source| source.path.clone()).collect()
}

/// Returns the crates of the project that a manifest depends on, without those for its tests.
fn imports(dir: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(dir).join("Cargo.toml")).expect("it has one");
    let (_, dependencies) = manifest
        .split_once("\n[dependencies]\n")
        .expect("it has some");
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    let names = dependencies
        .lines()
        .filter_map(|line| line.split('.').next());
    let ours: BTreeSet<&str> = ALLOWED_IMPORTS
        .iter()
        .filter_map(|(dir, _)| dir.rsplit('/').next())
        .collect();
    names
        .filter(|name| ours.contains(name))
        .map(str::to_string)
        .collect()
}

#[test]
fn crates_import_only_the_crates_that_the_list_allows() {
    for (dir, allowed) in ALLOWED_IMPORTS {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_string()).collect();
        let imports = imports(dir);
        let more: Vec<&String> = imports.difference(&allowed).collect();
        assert!(more.is_empty(), "{dir} imports {more:?}");
    }
    let dirs = fs::read_dir(root().join("crates")).expect("the checkout has it");
    for dir in dirs {
        let name = dir.expect("it is readable").file_name();
        let path = format!("crates/{}", name.to_string_lossy());
        assert!(
            ALLOWED_IMPORTS.iter().any(|(known, _)| *known == path),
            "{path} is not in ALLOWED_IMPORTS"
        );
    }
}

#[test]
fn modules_of_a_crate_do_not_import_each_other_in_a_circle() {
    for (dir, _) in ALLOWED_IMPORTS {
        let sources = sources(&[&format!("{dir}/src")]);
        let names: BTreeSet<String> = sources.iter().map(|source| module(&source.path)).collect();
        let imports = sources
            .iter()
            .map(|source| (module(&source.path), modules(source, &names)));
        if let Some(circle) = circle(&imports.collect()) {
            panic!("{dir}: {}", circle.join(" -> "));
        }
    }
}

/// Returns the module of a file as a path from the crate's root, such as `pages::list`.
fn module(path: &str) -> String {
    let (_, path) = path.split_once("src/").expect("it is a source");
    let path = path.trim_end_matches(".rs").replace('/', "::");
    path.trim_end_matches("::mod").to_string()
}

/// Returns the modules that the `use crate::…` and `use super::…` statements of a file name.
fn modules(source: &Source, names: &BTreeSet<String>) -> BTreeSet<String> {
    let own = module(&source.path);
    let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut found = BTreeSet::new();
    let statements = source.code.split("use ").skip(1);
    for statement in statements.filter_map(|rest| rest.split(';').next()) {
        let (base, rest) = match statement.split_once("::") {
            Some(("crate", rest)) => ("", rest),
            Some(("super", rest)) => (parent, rest),
            _ => continue,
        };
        let rest: String = rest.split_whitespace().collect();
        let first = rest.trim_start_matches('{');
        // `a::{b, c}` names `a`, `a::b` and `a::c`; `{a, b::c}` names `a`, `b` and `b::c`.
        let parts: Vec<&str> = match rest.starts_with('{') {
            true => first.trim_end_matches('}').split(',').collect(),
            false => vec![first],
        };
        for part in parts {
            let segments: Vec<&str> = part.split(['{', '}', ',']).next().map_or(vec![], |path| {
                path.split("::")
                    .filter(|segment| !segment.is_empty())
                    .collect()
            });
            for length in 1..=segments.len() {
                let path = segments[..length].join("::");
                let path = match base {
                    "" => path,
                    base => format!("{base}::{path}"),
                };
                if names.contains(&path) && path != own {
                    found.insert(path);
                }
            }
        }
    }
    found
}

/// Returns a circle of imports, with its first module repeated at the end, if there is one.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    // Modules without an import that is left cannot be in a circle. Remove them until none is found.
    let mut left = imports.clone();
    loop {
        let leaves = left
            .iter()
            .filter(|(_, imported)| !imported.iter().any(|name| left.contains_key(name)));
        let leaves: Vec<String> = leaves.map(|(name, _)| name.clone()).collect();
        if leaves.is_empty() {
            break;
        }
        left.retain(|name, _| !leaves.contains(name));
    }
    let mut path = vec![left.keys().next()?.clone()];
    loop {
        let last = path.last().expect("it has a first module");
        let next = left[last].iter().find(|name| left.contains_key(*name));
        let next = next.expect("the leaves are removed").clone();
        if let Some(at) = path.iter().position(|name| *name == next) {
            path.push(next);
            return Some(path.split_off(at));
        }
        path.push(next);
    }
}

#[test]
fn only_the_runtimes_main_names_the_application() {
    let sources = sources(&["bootstrap/src", "crates", "local/src"]);
    let naming = holding(&sources, &["app::", "use app;", "extern crate app"]);
    assert_eq!(naming, ["bootstrap/src/main.rs"]);
}

#[test]
fn only_the_runtime_names_the_runtime_api() {
    let rest = sources(&["app/src", "crates"]);
    let words = ["ureq", "2018-06-01", "lambda-runtime-", "Lambda-Runtime-"];
    assert_eq!(holding(&rest, &words), Vec::<String>::new());
    let runtime = sources(&["bootstrap/src"]);
    let naming = holding(&runtime, &["2018-06-01", "lambda-runtime-"]);
    assert_eq!(naming, ["bootstrap/src/api.rs"], "only api.rs names URLs");
}

#[test]
fn the_runtime_names_no_database_and_no_page() {
    let runtime = sources(&["bootstrap/src", "crates/handler/src"]);
    let words = ["SELECT ", "INSERT ", "r2d2", "rustls", "<html", "\"/up"];
    assert_eq!(holding(&runtime, &words), Vec::<String>::new());
    let manifest = fs::read_to_string(root().join("bootstrap/Cargo.toml")).expect("it has one");
    assert!(!manifest.contains("\npostgres"), "{manifest}");
}

#[test]
fn only_calls_that_may_wait_for_ever_have_no_timeout() {
    let api = sources(&["bootstrap/src"]);
    let api = api
        .iter()
        .find(|source| source.path.ends_with("src/api.rs"));
    let code = &api.expect("the file is there").code;
    let body = |name: &str| {
        let (_, rest) = code
            .split_once(&format!("fn {name}("))
            .expect("it is there");
        rest.split("\n    }\n").next().expect("it ends").to_string()
    };
    assert!(!body("wait_for").contains("timeout"));
    let send = body("send");
    assert!(send.contains("timeout_recv_response") && send.contains("timeout_recv_body"));
    // Only `wait_for` and `send` make requests.
    assert_eq!(
        code.matches(".agent").count(),
        2,
        "another call of the agent"
    );
}

#[test]
fn no_source_of_the_project_is_async() {
    let all = sources(&["app/src", "bootstrap/src", "crates", "local/src"]);
    let words = ["async fn", "async move", ".await;", ".await?", ".await)"];
    assert_eq!(holding(&all, &words), Vec::<String>::new());
}

#[test]
fn one_function_quotes_identifiers() {
    let all = sources(&["app/src", "crates"]);
    let quoting = holding(&all, &["replace('\"', \"\\\"\\\"\")"]);
    // export.rs quotes a field of CSV.
    let expected = [
        "crates/database/src/quote.rs",
        "crates/records/src/export.rs",
    ];
    assert_eq!(
        BTreeSet::from_iter(quoting.iter().map(String::as_str)),
        BTreeSet::from(expected)
    );
}

#[test]
fn the_users_migrations_do_not_name_the_tools_schema() {
    for entry in fs::read_dir(root().join("migrations")).expect("the checkout has it") {
        let path = entry.expect("it is readable").path();
        let text = fs::read_to_string(&path).expect("it is UTF-8");
        assert!(!text.contains("plain_lambda"), "{}", path.display());
    }
}

#[test]
fn app_has_at_most_400_lines() {
    let lines = |source: &Source| source.text.lines().count();
    let total: usize = sources(&["app/src"]).iter().map(lines).sum();
    assert!(total <= 400, "app/src has {total} lines");
}

#[test]
fn every_source_opens_with_a_short_module_comment() {
    let all = sources(&["app", "bootstrap", "crates", "local", "tests"]);
    for source in all {
        let lines = source.text.lines();
        let lines = lines.take_while(|line| line.starts_with("//!")).count();
        assert!((1..=8).contains(&lines), "{}: {lines} lines", source.path);
    }
}

#[test]
fn the_conformance_of_this_version_is_written_down() {
    let document = fs::read_to_string(root().join("docs/conformance.md")).expect("it is there");
    let version = concat!("Plain Lambda ", env!("CARGO_PKG_VERSION"), " beside");
    assert!(document.contains(version), "run `make conformance`");
}
