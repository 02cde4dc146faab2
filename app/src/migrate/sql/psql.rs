//! The backslash commands of psql that a file of SQL may hold. Pure.
//!
//! Those that change nothing but psql itself are passed over. All others are refused, because a
//! file without them is another file.

/// Why a command cannot be passed over; `None` when it can. `line` begins with the backslash and
/// ends where the line does.
pub fn refusal(line: &str) -> Option<String> {
    let mut words = line[1..].split_ascii_whitespace();
    let command = words.next().unwrap_or("");
    let only_command = !line[1..].contains('\\');
    let harmless = match command {
        // What pg_dump writes around a dump since 17.6.
        "restrict" | "unrestrict" => true,
        "echo" | "qecho" | "warn" | "timing" | "pset" => true,
        "set" => is_harmless(words.next().unwrap_or(""), words.next()),
        _ => false,
    };
    if harmless && only_command {
        return None;
    }
    Some(format!(
        "`\\{command}` is a command of psql, not SQL: {}",
        advice(command)
    ))
}

/// Why a command cannot stand inside a statement.
pub fn refusal_inside(line: &str) -> String {
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

fn is_harmless(variable: &str, value: Option<&str>) -> bool {
    match variable {
        // To go on after an error is what no migration does.
        "ON_ERROR_STOP" => value.is_none_or(|value| {
            let value = value.trim_matches('\'').to_ascii_lowercase();
            matches!(value.as_str(), "on" | "1" | "true" | "yes")
        }),
        "ECHO" | "ECHO_HIDDEN" | "QUIET" | "SHOW_CONTEXT" | "VERBOSITY" => true,
        _ => false,
    }
}

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
    fn commands_that_change_only_psql_are_passed_over() {
        for line in [
            r"\restrict abc",
            r"\unrestrict abc",
            r"\set ON_ERROR_STOP on",
            r"\set ON_ERROR_STOP 1",
            r"\set ON_ERROR_STOP",
            r"\set  ON_ERROR_STOP 'on'",
            r"\set QUIET 1",
            r"\set VERBOSITY verbose",
            r"\echo Making tables",
            r"\timing",
        ] {
            assert_eq!(refusal(line), None, "{line}");
        }
    }

    #[test]
    fn other_commands_are_refused_by_their_name_with_what_to_do() {
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
            let refusal = refusal(line).expect("it is refused");
            assert!(refusal.contains(says), "{refusal}");
        }
        assert!(refusal_inside(r"\gexec").contains("a DO block"));
        assert!(refusal_inside(r"\; select 2").contains(r"`\`"));
    }
}
