//! The pages for the rows of any table: listing, showing, changing, errors, and the audit.

mod edit;
mod export;
mod hostile;
mod list;
mod memory;
mod rights;
mod scale;
mod secrets;
mod types;

use crate::support::{Answer, Database, Local, Person};

/// A database with the project's tables and rows, `local`, and a signed-in admin.
struct Desk {
    database: Database,
    local: Local,
    admin: Person,
}

impl Desk {
    #[track_caller]
    fn new() -> Desk {
        Desk::with("")
    }

    /// Runs SQL after `new`, such as to make further tables.
    #[track_caller]
    fn with(sql: &str) -> Desk {
        let database = Database::new();
        let local = Local::start(&database);
        let admin = local.workshop();
        let desk = Desk {
            database,
            local,
            admin,
        };
        desk.sql(sql);
        desk
    }

    #[track_caller]
    fn sql(&self, sql: &str) {
        let done = self.database.client().batch_execute(sql);
        done.unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    }

    /// Returns the only value of a statement, as text.
    #[track_caller]
    fn value(&self, sql: &str) -> String {
        let row = self.database.client().query_one(sql, &[]);
        row.unwrap_or_else(|error| panic!("{error:?} in {sql}"))
            .get(0)
    }

    /// Gets a page with status 200.
    #[track_caller]
    fn page(&self, path: &str) -> String {
        let answer = self.admin.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Gets the form of a row and sends it with its version and these fields.
    #[track_caller]
    fn save(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = self.admin.get(path);
        assert_eq!(form.status, 200, "{path}: {}", form.body);
        let version = form.field("version");
        let mut all = vec![("version", version.as_str())];
        all.extend_from_slice(fields);
        self.admin.post(path, &all)
    }
}

/// Returns the rows of a list page, as the texts of their cells.
fn rows(page: &str) -> Vec<Vec<String>> {
    let Some((_, table)) = page.split_once("<tbody>") else {
        return Vec::new();
    };
    let (table, _) = table.split_once("</tbody>").expect("it ends");
    let rows = table.split("<tr>").skip(1);
    rows.map(|row| row.split("<td").skip(1).map(cell).collect())
        .collect()
}

/// Returns the text of a cell, whose HTML begins after `<td`.
fn cell(html: &str) -> String {
    let (_, inner) = html.split_once('>').expect("it is a tag");
    text(inner.split("</td>").next().expect("it ends"))
}

/// Returns a piece of HTML without its tags.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(character),
            _ => {}
        }
    }
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#60;", "<");
    let text = text
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'");
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .trim()
        .to_string()
}

/// Returns the target of the first link with a `rel`.
fn link(page: &str, rel: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("rel=\"{rel}\" href=\""))?;
    let href = rest.split('"').next()?;
    Some(href.replace("&#38;", "&").replace("&amp;", "&"))
}
