//! The tests that `docs/security.md` names as proofs are there.
//!
//! Knows names only: whether a test proves what the document says is for people to read.

use crate::support::root;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_that_the_document_names_is_there() {
    let document = fs::read_to_string(root().join("docs/security.md")).expect("it is there");
    let quoted = document.split('`').skip(1).step_by(2);
    let names: Vec<&str> = quoted.filter(|text| text.contains("::")).collect();
    assert!(names.len() > 50, "the document names tests: {names:?}");
    let missing: Vec<&&str> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

/// Returns whether a file of the name's module has a function of that name.
fn is_there(name: &str) -> bool {
    let (module, function) = name.rsplit_once("::").expect("it has a module");
    let function = format!("fn {function}()");
    let sources = match module.strip_suffix("::tests") {
        // A unit test, which `cargo test` names without its crate.
        Some(module) => of_each_crate(&format!("{}.rs", module.replace("::", "/"))),
        None => vec![root().join(format!("tests/{}.rs", module.replace("::", "/")))],
    };
    let mut texts = sources
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    texts.any(|text| text.contains(&function))
}

fn of_each_crate(file: &str) -> Vec<PathBuf> {
    let crates = fs::read_dir(root().join("crates")).expect("it is a folder");
    let source = |folder: &Path| folder.join("src").join(file);
    crates
        .filter_map(|entry| Some(source(&entry.ok()?.path())))
        .collect()
}
