//! `/sign-in`, `/sign-in/{token}`, `/sign-out` and `/sign-out-everywhere`: begin and end sessions.
//! Knows no SQL: `users` checks the passwords and the links.

use crate::error_pages;
use crate::layout::Layout;
use crate::session::Session;
use crate::users::sign_in::{Attempt, attempt, record_sign_in, set_password};
use crate::users::{end_sessions, link as links, password};
use crate::{PageError, PublicRequest, SignedInRequest, User};
use askama::Template;
use database::{Access, Connection};
use web::{Response, field};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    to: &'a str,
    email: &'a str,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "link.html")]
struct Choose<'a> {
    email: &'a str,
    wrong: Option<&'a str>,
}

/// Shows the form.
pub(super) fn show(request: &PublicRequest) -> Result<Response, PageError> {
    let parameters = request.http.parameters()?;
    Ok(form(200, field(&parameters, "to"), "", None))
}

/// Signs a user in, and redirects the browser to the page that it had asked for.
pub(super) fn sign_in(request: &PublicRequest) -> Result<Response, PageError> {
    let fields = request.http.form()?;
    let (email, password) = (field(&fields, "email").trim(), field(&fields, "password"));
    let to = field(&fields, "to");
    let mut connection = request.connection()?;
    let (invocation, address) = (request.invocation, &request.http.source_ip);
    Ok(
        match attempt(&mut connection, invocation, email, password, address)? {
            Attempt::User(user) => {
                let session = Session::begin(user.id, user.generation);
                begin(request, own_path(to), &session)
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

/// Asks the holder of a one-time link to choose a password. A GET does not use the link up, because
/// a mail scanner follows every link.
pub(super) fn show_link(request: &PublicRequest) -> Result<Response, PageError> {
    let token: String = request.capture("token")?;
    let mut connection = request.connection()?;
    let mut transaction = connection.transaction(request.invocation, Access::ReadOnly)?;
    Ok(match links::holder(&mut transaction, &token, false)? {
        Some(user) => choose(200, &user, None),
        None => void(request),
    })
}

/// Sets the password that the holder of a one-time link chose, and signs the user in.
pub(super) fn use_link(request: &PublicRequest) -> Result<Response, PageError> {
    let token: String = request.capture("token")?;
    let fields = request.http.form()?;
    let new = field(&fields, "new");
    let mut connection = request.connection()?;
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let Some(user) = links::holder(&mut transaction, &token, true)? else {
        return Ok(void(request));
    };
    if let Some(weakness) = password::weakness(new, &user.email) {
        return Ok(choose(422, &user, Some(weakness)));
    }
    let generation = set_password(&mut transaction, &user, new)?;
    record_sign_in(&mut transaction, &user)?;
    transaction.commit()?;
    log::info!("user {} chose a password by a link", user.id);
    let session = Session::begin(user.id, generation);
    Ok(begin(request, "/".to_string(), &session))
}

/// Gives the browser a session, and redirects it to a page.
fn begin(request: &PublicRequest, to: String, session: &Session) -> Response {
    let mut response = Response::redirect(to);
    let cookie = session.cookie(&request.shared.secrets);
    response.cookies.push(cookie);
    response
}

/// Returns the form for a new password.
fn choose(status: u16, user: &User, wrong: Option<&str>) -> Response {
    let email = &user.email;
    let page = Choose { email, wrong };
    let response = Layout::default().around(status, "Choose a password", &page);
    response.with("cache-control", "no-store")
}

/// Returns the page for a link that cannot be used.
fn void(request: &PublicRequest) -> Response {
    let text =
        "It was used already, a newer one was made, or its hour is over. Ask for another one.";
    error_pages::notice(request.http, 404, "This link is void", text, "")
}

/// Removes the session from the browser.
pub(super) fn sign_out(
    request: &SignedInRequest,
    _: &mut Connection,
) -> Result<Response, PageError> {
    let mut response = Response::redirect("/sign-in");
    response.cookies.push(Session::end(&request.shared.secrets));
    Ok(response)
}

/// Ends every session of the user, this one too.
pub(super) fn sign_out_everywhere(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    end_sessions(&mut transaction, &request.user)?;
    transaction.commit()?;
    sign_out(request, connection)
}

fn form(status: u16, to: &str, email: &str, wrong: Option<String>) -> Response {
    let page = SignIn { to, email, wrong };
    let response = Layout::default().around(status, "Sign in", &page);
    match status {
        200 => response,
        _ => response.with("cache-control", "no-store"),
    }
}

/// Returns the path to go to after signing in; `/` when `to` leads to another site, as `//` does
/// and, in a browser, a backslash.
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
    fn signing_in_leads_to_a_page_of_this_site_only() {
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
