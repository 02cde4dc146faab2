//! Checks that docs/troubleshooting.md has every error that the sources can print. Reads text; runs
//! nothing of the project.

use crate::support::root;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_error_is_in_the_troubleshooting_document() {
    let document = root().join("docs/troubleshooting.md");
    let document = fs::read_to_string(document).expect("the checkout has it");
    let document = document.replace('`', "");
    let mut errors = BTreeSet::new();
    for dir in ["app/src", "bootstrap/src", "crates", "local/src", "deploy"] {
        read(&root().join(dir), &mut errors);
    }
    assert!(errors.len() > 80, "{errors:?}");
    let is_missing = |error: &&String| !document.contains(*error);
    let missing: Vec<&String> = errors.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "not in the document: {missing:#?}");
}

fn read(dir: &Path, errors: &mut BTreeSet<String>) {
    for entry in dir.read_dir().expect("the checkout has it") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            read(&path, errors);
        } else if let Ok(source) = fs::read_to_string(&path) {
            let source = source.split("#[cfg(test)]").next().unwrap_or_default();
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            let code: Vec<&str> = source.lines().filter(is_code).collect();
            for text in code.join("\n").split('"') {
                errors.extend(error(text));
            }
        }
    }
}

/// Returns the error type that a text is, or the fixed beginning of the error message that it is.
fn error(text: &str) -> Option<String> {
    if let Some((origin @ ("Function" | "Runtime" | "Sandbox"), name)) = text.split_once('.') {
        let is_name = name.starts_with(|letter: char| letter.is_ascii_uppercase())
            && name.chars().all(|letter| letter.is_ascii_alphabetic());
        return is_name.then(|| format!("{origin}.{name}"));
    }
    let text = text.replace('`', "");
    let fixed = text.strip_prefix("failed to ")?;
    let fixed = fixed
        .split(|letter| "{$:(\\\n0123456789".contains(letter))
        .next()?
        .trim();
    (!fixed.is_empty()).then(|| format!("failed to {fixed}"))
}
