//! Recognises a template: SQL with the places of a template engine in it, which no server understands.
//!
//! Must not know which tool fills a template.

use crate::sql::{Statement, symbols};

/// Returns the first place of a template engine in the statements, and what to do about it. Looks at
/// what is no string, name or comment, where SQL has no brace.
pub(super) fn find(text: &str, statements: &[Statement]) -> Option<(usize, &'static str)> {
    statements.iter().find_map(|statement| {
        let sent = &text[statement.span.clone()];
        if !sent.contains(['{', '#', '%']) {
            return None;
        }
        let at = symbols(sent).find(|&at| is_template(sent, at))?;
        let reason = match sent.as_bytes()[at] {
            b'#' => "`#` begins no statement or comment of SQL: write `--` before a comment",
            _ => {
                "it is a place of a template, which is not filled here: write the SQL that the \
                 template makes"
            }
        };
        Some((statement.span.start + at, reason))
    })
}

/// Returns whether a symbol begins a place of a template: `{{x}}`, `{% x %}`, `${x}`, `<%= x %>`; or
/// `# --- !Ups` at the statement's beginning.
fn is_template(sent: &str, at: usize) -> bool {
    let rest = &sent[at..];
    rest.starts_with('{')
        || rest.starts_with("${")
        || rest.starts_with("<%=")
        || at == 0 && (rest.starts_with("<%") || rest.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statements;

    #[track_caller]
    fn check(text: &str, expected: Option<usize>) {
        let statements = statements(text, 0..text.len()).expect("nothing is refused");
        let found = find(text, &statements).map(|(at, _)| at);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn places_of_templates_are_found() {
        check("select 1; create table {{.Schema}}.t ()", Some(23));
        check("{% if x %} select 1; {% endif %}", Some(0));
        check("grant all on t to ${owner}", Some(18));
        check("<% if x %> select 1", Some(0));
        check("select <%= x %>", Some(7));
        check("select 1;\n# --- !Downs\nselect 2", Some(10));
    }

    #[test]
    fn braces_in_strings_names_and_comments_and_operators_are_no_templates() {
        for text in [
            "select '{{1,2},{3,4}}'::int[], \"{{x}}\", $a${{x}} ${y}$a$",
            "select 1 /* {{x}} */ -- ${y}",
            "select a <% b, a %> b, 5 % 2, 1 # 2, a #> '{b}'",
            "do $$ begin perform '${x}'; end $$",
        ] {
            check(text, None);
        }
    }
}
