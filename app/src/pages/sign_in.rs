//! `/sign-in`, `/sign-in/<token>`, `/sign-out`: in and out.

use super::errors::{self, Stop};
use super::frame::Frame;
use super::gate::Visit;
use crate::database::{Access, Connection, Purpose};
use crate::http::{Request, Response, field};
use crate::people::sign_in::{Attempt, attempt, set_password, welcome};
use crate::people::{end_sessions, link as links, password};
use crate::session::Session;
use crate::{App, Invocation};
use askama::Template;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    to: &'a str,
    email: &'a str,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "link.html")]
struct Chosen<'a> {
    email: &'a str,
    wrong: Option<&'a str>,
}

/// `/sign-in`.
///
/// # Errors
/// Those of connecting and asking.
pub fn show(app: &App, invocation: &Invocation, request: &Request) -> Result<Response, Stop> {
    match request.method.as_ref() {
        "GET" | "HEAD" => {
            let parameters = request.parameters()?;
            Ok(form(200, field(&parameters, "to"), "", None))
        }
        "POST" => try_in(app, invocation, request),
        _ => Ok(errors::method_not_allowed(request, super::BOTH)),
    }
}

fn try_in(app: &App, invocation: &Invocation, request: &Request) -> Result<Response, Stop> {
    let fields = request.form()?;
    let (email, password) = (field(&fields, "email").trim(), field(&fields, "password"));
    let to = field(&fields, "to");
    let mut connection = app.database.connection(invocation, Purpose::Pages)?;
    let address = &request.source_ip;
    Ok(
        match attempt(&mut connection, invocation, email, password, address)? {
            Attempt::Person(person) => {
                let mut response = Response::redirect(own_path(to));
                let session = Session::begin(person.id, person.generation);
                response.cookies.push(session.cookie(&app.settings));
                response
            }
            Attempt::Wrong => {
                let wrong = "There is no such address with this password.";
                form(422, to, email, Some(wrong.to_string()))
            }
            Attempt::TooMany(seconds) => {
                let wrong =
                    format!("There were too many attempts. Try again in {seconds} seconds.");
                form(429, to, email, Some(wrong)).with("retry-after", seconds.to_string())
            }
        },
    )
}

/// `/sign-in/<token>`: its holder chooses a password. Asking for the page uses nothing up, as
/// whatever scans a mail asks for every link in it.
///
/// # Errors
/// Those of connecting and asking.
pub fn link(
    app: &App,
    invocation: &Invocation,
    request: &Request,
    token: &str,
) -> Result<Response, Stop> {
    let posted = request.method == "POST";
    if !posted && !matches!(request.method.as_ref(), "GET" | "HEAD") {
        return Ok(errors::method_not_allowed(request, super::BOTH));
    }
    let fields = request.form()?;
    let mut connection = app.database.connection(invocation, Purpose::Pages)?;
    let mut transaction = connection.transaction(invocation, Access::ReadWrite)?;
    let Some(person) = links::holder(&mut transaction, token, posted)? else {
        let text =
            "It was used already, a newer one was made, or its hour is over. Ask for another one.";
        return Ok(errors::notice(request, 404, "This link is void", text, ""));
    };
    let chosen = |status, wrong| {
        let email = &person.email;
        let page = Chosen { email, wrong };
        let response = Frame::default().around(status, "Choose a password", &page);
        response.with("cache-control", "no-store")
    };
    let new = field(&fields, "new");
    if !posted {
        return Ok(chosen(200, None));
    }
    if let Some(weakness) = password::weakness(new, &person.email) {
        return Ok(chosen(422, Some(weakness)));
    }
    let generation = set_password(&mut transaction, &person, new)?;
    welcome(&mut transaction, &person)?;
    transaction.commit()?;
    log::info!("person {} chose a password by a link", person.id);
    let mut response = Response::redirect("/");
    let session = Session::begin(person.id, generation);
    response.cookies.push(session.cookie(&app.settings));
    Ok(response)
}

/// `/sign-out`.
pub fn sign_out(visit: &Visit, _: &mut Connection, _: &[&str]) -> Result<Response, Stop> {
    let mut response = Response::redirect("/sign-in");
    response.cookies.push(Session::end(&visit.app.settings));
    Ok(response)
}

/// `/sign-out-everywhere`: every session of the person ends, this one too.
pub fn sign_out_everywhere(
    visit: &Visit,
    connection: &mut Connection,
    path: &[&str],
) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadWrite)?;
    end_sessions(&mut transaction, &visit.person)?;
    transaction.commit()?;
    sign_out(visit, connection, path)
}

fn form(status: u16, to: &str, email: &str, wrong: Option<String>) -> Response {
    let page = SignIn { to, email, wrong };
    let response = Frame::default().around(status, "Sign in", &page);
    match status {
        200 => response,
        _ => response.with("cache-control", "no-store"),
    }
}

/// Where to go after signing in: never to another site, which `//` and, to a browser, a backslash
/// would be.
fn own_path(to: &str) -> String {
    let own = to.starts_with('/')
        && !to.starts_with("//")
        && !to.contains(['\\', '\r', '\n', '\t'])
        && !to.contains(|character: char| !character.is_ascii_graphic());
    if own { to.to_string() } else { "/".to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_leads_to_our_own_pages_only() {
        for own in ["/", "/tables/public/orders?q=a%20b", "/a//b"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: b=c",
            "/ü",
        ] {
            assert_eq!(own_path(other), "/", "{other}");
        }
    }
}
