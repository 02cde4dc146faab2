//! The tests that `docs/security.md` names as proofs are there, and what compiles has no role on AWS.
//!
//! Reads files only: whether a test proves what the document says is for people to read.

use crate::support::root;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn every_test_that_the_document_names_is_there() {
    let document = fs::read_to_string(root().join("docs/security.md")).expect("it is there");
    let quoted = document.split('`').skip(1).step_by(2);
    let names: Vec<&str> = quoted.filter(|text| text.contains("::")).collect();
    assert!(names.len() > 50, "the document names tests: {names:?}");
    let missing: Vec<&&str> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn no_job_that_compiles_can_take_the_role_that_deploys() {
    for (file, role) in [
        (".github/workflows/deploy.yml", "id-token: write"),
        (".gitlab-ci.yml", "id_tokens:"),
    ] {
        let jobs = fs::read_to_string(root().join(file)).expect("it is there");
        let (before, deploy) = jobs.split_once("\n  needs: [build]").unwrap_or_else(|| {
            jobs.split_once("\n    needs: build")
                .expect("`deploy` comes after `build`")
        });
        assert!(
            before.contains("make zip") && !before.contains(role),
            "{file}"
        );
        assert!(deploy.contains(role), "{file}");
        assert!(deploy.contains("make --old-file=zip deploy"), "{file}");
    }
    let make = ["-n", "--old-file=zip", "deploy", "PACKAGE=zip"];
    let mut command = Command::new("make");
    // `make test` runs this test: its flags are not those of this `make`.
    command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    let said = command.args(make).current_dir(root()).output();
    let said = String::from_utf8(said.expect("make is there").stdout).expect("it is text");
    assert!(
        said.contains("deploy/deploy.sh") && !said.contains("cargo"),
        "{said}"
    );
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
