//! Who is asking: nobody sees a page without a session, and nobody one that is above their role.

use super::errors::{self, Stop};
use super::frame::Frame;
use crate::database::{Connection, Purpose};
use crate::http::{Request, Response, escape};
use crate::people::{self, Person, Role};
use crate::session::Session;
use crate::{App, Invocation};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Makes a page for who is signed in. Gets the path's parts.
pub type Page = fn(&Visit, &mut Connection, &[&str]) -> Result<Response, Stop>;

/// A request of a person.
pub struct Visit<'a, 'event> {
    /// The app.
    pub app: &'a App,
    /// The invocation.
    pub invocation: &'a Invocation,
    /// The request.
    pub request: &'a Request<'event>,
    /// Who asks.
    pub person: Person,
    /// The session that says so.
    pub session: Session,
    /// When the page was begun.
    pub started: Instant,
    /// Whether it is this process's first.
    pub is_first: bool,
}

/// Answers what is only for who is signed in.
///
/// # Errors
/// Those of connecting, and of the page.
pub fn answer(app: &App, invocation: &Invocation, request: &Request) -> Result<Response, Stop> {
    let started = Instant::now();
    let Some(segments) = request.segments() else {
        return Ok(errors::malformed_path(request));
    };
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    if let ["sign-in", token] = segments[..] {
        return super::sign_in::link(app, invocation, request, token);
    }
    let Some(session) = Session::read(&app.settings, request) else {
        return Ok(sign_in_first(request));
    };
    let mut connection = app.database.connection(invocation, Purpose::Pages)?;
    let Some(person) = people::of_session(&mut connection, invocation, &session)? else {
        return Ok(sign_in_first(request));
    };
    let visit = Visit {
        started,
        is_first: !app.has_visitors.swap(true, Ordering::Relaxed),
        app,
        invocation,
        request,
        person,
        session,
    };
    let (methods, role, page) = super::page(&segments).ok_or(Stop::NotFound)?;
    if !methods.split(", ").any(|method| method == request.method) {
        return Ok(errors::method_not_allowed(request, methods));
    }
    if visit.person.role < role {
        let text = format!(
            "This page is for {}s. An admin can make you one.",
            role.name()
        );
        return Ok(errors::notice(request, 403, "Not allowed", &text, ""));
    }
    let response = page(&visit, &mut connection, &segments)?;
    Ok(visit.keep(response))
}

/// A person is sent to sign in, and back afterwards; a program is told.
fn sign_in_first(request: &Request) -> Response {
    if errors::wants_json(request) {
        return errors::notice(
            request,
            401,
            "Not signed in",
            "Sign in at /sign-in first.",
            "",
        );
    }
    if !matches!(request.method.as_ref(), "GET" | "HEAD") {
        let text =
            "Your session is over. Nothing was saved: sign in in another tab, and send this again.";
        return errors::notice(request, 401, "Not signed in", text, "");
    }
    match (request.path.as_ref(), request.query.as_ref()) {
        ("/", "") => Response::redirect("/sign-in"),
        (path, "") => Response::redirect(format!("/sign-in?to={}", escape(path))),
        (path, query) => {
            let to = escape(&format!("{path}?{query}"));
            Response::redirect(format!("/sign-in?to={to}"))
        }
    }
}

impl Visit<'_, '_> {
    /// A page with what is around it.
    pub fn page(
        &self,
        section: &'static str,
        title: &str,
        main: &impl askama::Template,
    ) -> Response {
        self.page_with(200, section, title, main)
    }

    /// The same, of another status.
    pub fn page_with(
        &self,
        status: u16,
        section: &'static str,
        title: &str,
        main: &impl askama::Template,
    ) -> Response {
        let frame = Frame {
            section,
            person: Some(&self.person),
            notice: self.session.notice.as_deref(),
        };
        frame.around(status, title, main)
    }

    /// Another page, which says this once.
    pub fn go(&self, to: String, notice: &str) -> Response {
        let mut response = Response::redirect(to);
        let session = self
            .session
            .saying(Some(notice.chars().take(200).collect()));
        response.cookies.push(session.cookie(&self.app.settings));
        response
    }

    /// Whether the person may change rows.
    pub fn may_edit(&self) -> bool {
        self.person.role >= Role::Editor
    }

    /// Writes the session's cookie anew when it is time, or when its notice is said.
    fn keep(&self, mut response: Response) -> Response {
        let said = self.session.notice.is_some() && response.status == 200;
        if response.cookies.is_empty() && (said || self.session.is_due()) {
            let notice = self.session.notice.clone().filter(|_| !said);
            let session = self.session.saying(notice);
            response.cookies.push(session.cookie(&self.app.settings));
        }
        response.with("vary", "cookie")
    }
}
