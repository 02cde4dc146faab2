//! Reads Rails' `structure.sql`: a dump of the database, with the versions that it stands for.
//!
//! Must not know any database.

use crate::sql;

/// Returns the versions that the dump inserts into `schema_migrations`; none if it is no dump of
/// Rails' or dbmate's.
pub(super) fn versions(text: &str) -> Vec<String> {
    let Ok(statements) = sql::statements(text, 0..text.len()) else {
        return Vec::new();
    };
    let inserts = statements.iter().filter(|one| one.keyword() == "insert");
    let sent = inserts.map(|one| &text[one.span.clone()]);
    let values = sent.filter_map(|sent| {
        let (into, values) = sent.split_once(['(', '\n']).unwrap_or((sent, ""));
        into.contains("schema_migrations").then_some(values)
    });
    let mut versions: Vec<String> = values
        .flat_map(|values| values.split('\'').skip(1).step_by(2))
        .filter(|one| !one.is_empty() && one.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_string)
        .collect();
    versions.sort_by_key(|version| (version.len(), version.clone()));
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_a_dump_are_read() {
        let rails = "create table t (a int default '1');\n\nSET search_path TO \"$user\", public;\n\n\
                     INSERT INTO \"schema_migrations\" (version) VALUES\n('20260102000000'),\n('20260101000000');\n";
        assert_eq!(versions(rails), ["20260101000000", "20260102000000"]);
        let dbmate = "-- Dbmate schema migrations\n\nINSERT INTO public.schema_migrations (version) VALUES\n    ('1');\n";
        assert_eq!(versions(dbmate), ["1"]);
        assert!(versions("insert into t values ('1');").is_empty());
    }
}
