//! Decides which backslash commands of psql a file of SQL may hold.
//!
//! A command that changes only psql's own behaviour is ignored. Any other is refused, because the
//! file would do something else without it. Must not run a command.

/// Returns the reason to refuse a command between two statements; `None` if the command can be
/// ignored. `line` is the rest of the line, from the backslash on.
pub(super) fn refuse(line: &str) -> Option<String> {
    let mut words = line[1..].split_ascii_whitespace();
    let command = words.next().unwrap_or("");
    let is_only_command = !line[1..].contains('\\');
    let is_harmless = match command {
        // pg_dump writes these two around a dump since 17.6.
        "restrict" | "unrestrict" => true,
        "echo" | "qecho" | "warn" | "timing" | "pset" => true,
        "set" => is_harmless_variable(words.next().unwrap_or(""), words.next()),
        // Files restore psql's default with it. A migration stops at an error all the same.
        "unset" => is_harmless_variable(words.next().unwrap_or(""), None),
        _ => false,
    };
    if is_harmless && is_only_command {
        return None;
    }
    Some(format!(
        "`\\{command}` is a command of psql, not SQL: {}",
        advice(command)
    ))
}

/// Returns the reason to refuse a command inside a statement.
pub(super) fn refuse_inside(line: &str) -> String {
    let command: String = line[1..]
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let advice = match command.as_str() {
        "" => "remove it, or end the statement before it",
        command => advice(command),
    };
    format!("`\\{command}` is a command of psql, not SQL: {advice}")
}

/// Returns whether `\set` of this variable can be ignored.
fn is_harmless_variable(variable: &str, value: Option<&str>) -> bool {
    match variable {
        // A migration always stops at an error.
        "ON_ERROR_STOP" => value.is_none_or(|value| {
            let value = value.trim_matches('\'').to_ascii_lowercase();
            matches!(value.as_str(), "on" | "1" | "true" | "yes")
        }),
        "ECHO" | "ECHO_HIDDEN" | "QUIET" | "SHOW_CONTEXT" | "VERBOSITY" => true,
        _ => false,
    }
}

/// Returns what to do instead of a command.
fn advice(command: &str) -> &'static str {
    match command {
        "." => "it ends the data of a COPY FROM STDIN, and there is none before it",
        "c" | "connect" => "a migration runs in one database, so remove it",
        "copy" => "write COPY … FROM STDIN; with the data in the lines after it, and `\\.`",
        "g" | "gx" => "end the statement with a semicolon",
        "gexec" | "gset" | "if" | "elif" | "else" | "endif" => "write a DO block",
        "i" | "include" | "include_relative" | "ir" => "write that file's statements here",
        "set" => "write the value where the variable is used",
        _ => "remove it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_change_only_psql_are_ignored() {
        for line in [
            r"\restrict abc",
            r"\unrestrict abc",
            r"\set ON_ERROR_STOP on",
            r"\set ON_ERROR_STOP 1",
            r"\set ON_ERROR_STOP",
            r"\unset ON_ERROR_STOP",
            r"\set  ON_ERROR_STOP 'on'",
            r"\set QUIET 1",
            r"\set VERBOSITY verbose",
            r"\echo Making tables",
            r"\timing",
        ] {
            assert_eq!(refuse(line), None, "{line}");
        }
    }

    #[test]
    fn other_commands_are_refused_with_their_name_and_what_to_do() {
        for (line, says) in [
            (r"\connect other", r"`\connect` is a command of psql"),
            (r"\i x.sql", "write that file's statements here"),
            (r"\set ON_ERROR_STOP off", r"`\set`"),
            (r"\set ON_ERROR_STOP 0", r"`\set`"),
            (r"\set x 1", "write the value"),
            (r"\set", r"`\set`"),
            (r"\.", "ends the data of a COPY"),
            (r"\echo Use CREATE EXTENSION. \quit", r"`\echo`"),
            (r"\", "remove it"),
        ] {
            let reason = refuse(line).expect("it is refused");
            assert!(reason.contains(says), "{reason}");
        }
        assert!(refuse_inside(r"\gexec").contains("a DO block"));
        assert!(refuse_inside(r"\; select 2").contains(r"`\`"));
    }
}
