//! Reads the text of a file: its encoding, the placeholders of Flyway's in it, and its sections.
//!
//! Must not know the file's name or version.

use super::problems::Problem;
use super::sections::{self, Sections};
use crate::sql::Place;
use std::fs;
use std::path::Path;

/// The values of Flyway's placeholders; `None` where files have none.
pub(super) type Variables = Option<Vec<(String, String)>>;

/// Reads a file's text, without a byte order mark, and its sections.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(
    path: &Path,
    is_down_file: bool,
    variables: &Variables,
) -> Result<(String, Sections), Problem> {
    let mut text = read_text(path)?;
    let at_place = |text: &str, (at, reason): (usize, String)| Problem {
        place: format!("{}:{}", path.display(), Place::of(text, at)),
        reason,
    };
    if let Some(variables) = variables.as_ref().filter(|_| text.contains("${")) {
        text = replace(&text, variables).map_err(|refused| at_place(&text, refused))?;
    }
    let sections =
        sections::read(&text, is_down_file).map_err(|refused| at_place(&text, refused))?;
    Ok((text, sections))
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let bytes =
        fs::read(path).map_err(|error| Problem::of(path, format!("it cannot be read: {error}")))?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Problem::of(path, "it is UTF-16: save it as UTF-8"));
    }
    let at_line = |end: usize, reason: &str| {
        let line = bytes[..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Problem {
            place: format!("{}:{line}", path.display()),
            reason: reason.to_string(),
        }
    };
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(at_line(at, "it holds a zero byte: save it as UTF-8"));
    }
    match str::from_utf8(&bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_string()),
        Err(error) => Err(at_line(
            error.valid_up_to(),
            "it is not UTF-8: save it as UTF-8",
        )),
    }
}

/// Replaces each `${name}` by its value. `${` without a name is left as it is.
///
/// # Errors
/// The byte of a name without a value, and what to do.
fn replace(text: &str, variables: &[(String, String)]) -> Result<String, (usize, String)> {
    let mut replaced = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let begin = at + found;
        let is_part = |c: char| c.is_alphanumeric() || "_.:-".contains(c);
        let name = text[begin + 2..].split(|c: char| !is_part(c)).next();
        let name = name.unwrap_or_default();
        let end = begin + 2 + name.len();
        replaced.push_str(&text[at..begin]);
        at = end + 1;
        if name.is_empty() || !text[end..].starts_with('}') {
            replaced.push_str("${");
            at = begin + 2;
            continue;
        }
        match variables
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            Some((_, value)) => replaced.push_str(value),
            None => {
                let reason = format!(
                    "`${{{name}}}` is a placeholder of Flyway without a value: write \
                     `flyway.placeholders.{name} = …` in flyway.conf beside the files, or the value here"
                );
                return Err((begin, reason));
            }
        }
    }
    replaced.push_str(&text[at..]);
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_or_refused_with_their_place() {
        let variables = vec![("owner".to_string(), "me".to_string())];
        let replaced = replace("a ${owner}, '${Owner}' ${} ${x", &variables);
        assert_eq!(replaced.as_deref(), Ok("a me, 'me' ${} ${x"));
        let (at, reason) = replace("a;\n${flyway:user}", &variables).expect_err("it has no value");
        assert_eq!(at, 3);
        assert!(
            reason.contains("flyway.placeholders.flyway:user"),
            "{reason}"
        );
    }
}
