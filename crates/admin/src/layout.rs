//! The layout around every page: the head, the navigation, and who is signed in. Knows no page.

use crate::assets;
use crate::users::User;
use askama::Template;
use web::Response;

/// The parts of the layout that differ between pages.
#[derive(Default)]
pub(crate) struct Layout<'a> {
    /// The entries of the navigation; empty where nobody is signed in.
    pub navigation: &'a [Entry],
    /// The path of the entry that is marked as the current one.
    pub section: &'static str,
    /// The user who is signed in.
    pub user: Option<&'a User>,
    /// The message about what the last request did.
    pub notice: Option<&'a str>,
}

/// An entry of the navigation.
pub(crate) struct Entry {
    /// The path that the entry links to.
    pub path: &'static str,
    /// The text of the entry.
    pub name: &'static str,
}

/// The place of the page in the document. No text of Postgres and no path has this character.
const MAIN: &str = "\0";

#[derive(Template)]
#[template(path = "layout.html")]
struct Document<'a> {
    layout: &'a Layout<'a>,
    style: String,
    script: String,
    title: &'a str,
    main: &'static str,
}

impl Layout<'_> {
    /// Returns a page in the layout.
    pub(crate) fn around(&self, status: u16, title: &str, main: &impl Template) -> Response {
        self.document(status, title, render(main))
    }

    /// Not generic, unlike `around`, so that the executable does not hold a copy for each page. The
    /// rest is put around `main` in place: a page of a wide table has tens of megabytes.
    fn document(&self, status: u16, title: &str, mut main: String) -> Response {
        let document = Document {
            layout: self,
            style: assets::style(),
            script: assets::script(),
            title,
            main: MAIN,
        };
        let around = render(&document);
        let (before, after) = around.split_once(MAIN).expect("the template has it");
        main.reserve_exact(around.len());
        main.insert_str(0, before);
        main.push_str(after);
        Response::html(status, main)
    }
}

fn render(page: &impl Template) -> String {
    // Rendering to a string fails only when the `Display` of a value fails, and none here does.
    page.render().expect("no value fails to display")
}
