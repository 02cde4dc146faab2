//! What is around every page: the head, the way to the other pages, who is signed in.

use super::{SECTIONS, assets};
use crate::http::Response;
use crate::people::Person;
use askama::Template;

/// What differs from page to page.
#[derive(Default)]
pub struct Frame<'a> {
    /// Which of `SECTIONS` this is, by its path.
    pub section: &'static str,
    /// Who is signed in.
    pub person: Option<&'a Person>,
    /// What the last request has done.
    pub notice: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "layout.html")]
struct Layout<'a> {
    frame: &'a Frame<'a>,
    style: String,
    script: String,
    title: &'a str,
    main: &'a str,
}

impl Frame<'_> {
    /// The page with what is around it.
    pub fn around(&self, status: u16, title: &str, main: &impl Template) -> Response {
        self.with(status, title, &render(main))
    }

    /// Not generic, or each page would have a copy in the executable.
    fn with(&self, status: u16, title: &str, main: &str) -> Response {
        let layout = Layout {
            frame: self,
            style: assets::style(),
            script: assets::script(),
            title,
            main,
        };
        Response::html(status, render(&layout))
    }

    fn sections(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let role = self.person.map(|person| person.role);
        let seen = SECTIONS
            .iter()
            .filter(move |(_, _, wanted)| role >= Some(*wanted));
        seen.map(|(path, name, _)| (*path, *name))
    }
}

fn render(page: &impl Template) -> String {
    // Writing to a string fails only when a value's own Display does, and ours do not.
    page.render().expect("templates render what they are given")
}
