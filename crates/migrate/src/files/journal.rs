//! Reads `meta/_journal.json`, in which drizzle lists its files in their order.
//!
//! Must not read the files themselves.

use super::problems::Problem;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Reads the names of the files without their extension, in order; `None` if there is no journal.
///
/// # Errors
/// What is wrong with the journal.
pub(super) fn read(dir: &Path) -> Result<Option<Vec<String>>, Problem> {
    let path = dir.join("meta/_journal.json");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    let journal: Value = serde_json::from_str(&text)
        .map_err(|error| Problem::of(&path, format!("it is not JSON: {error}")))?;
    // Other tools may have such a file.
    let Some(entries) = journal["entries"].as_array() else {
        return Ok(None);
    };
    let tags: Option<Vec<String>> = entries
        .iter()
        .map(|entry| entry["tag"].as_str().map(str::to_string))
        .collect();
    match tags {
        Some(tags) if tags.is_empty() => Ok(None),
        Some(tags) => Ok(Some(tags)),
        None => Err(Problem::of(&path, "an entry has no tag")),
    }
}
