//! `/sign-in`, `/sign-in/{token}`, `/sign-out` and `/sign-out-everywhere`: begin and end sessions.
//! Knows no SQL: `users` checks the passwords and the links.

use crate::audit::{self, By, Deed};
use crate::layout::Layout;
use crate::session::Session;
use crate::shared::Shared;
use crate::users::sign_in::{Attempt, Client, attempt, forget_attempts, set_password, set_time};
use crate::users::{email, link as links, password, sessions};
use crate::{PageError, PublicRequest, SignedInRequest, User};
use crate::{device, error_pages};
use askama::Template;
use database::{Access, Connection, Transaction};
use web::{Request, Response, field};

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
    let client = client(request.shared, request.http, email);
    let wrong = || {
        let wrong = "There is no such address with this password.";
        form(422, to, email, Some(wrong.to_string()))
    };
    Ok(
        match attempt(
            &mut connection,
            request.invocation,
            email,
            password,
            &client,
        )? {
            Attempt::User(user, hash) => {
                let mut transaction =
                    connection.transaction(request.invocation, Access::ReadWrite)?;
                match set_time(&mut transaction, &user, Some(&hash))? {
                    true => begin(request, transaction, &user, &client, own_path(to))?,
                    false => wrong(),
                }
            }
            Attempt::Wrong => wrong(),
            Attempt::TooMany(seconds) => form(429, to, email, Some(too_many(seconds)))
                .with("retry-after", seconds.to_string()),
        },
    )
}

/// Returns the client of an attempt to sign in to the account of an address.
pub(super) fn client<'a>(shared: &Shared, http: &'a Request, address: &str) -> Client<'a> {
    let email = email::normalize(address).unwrap_or_default();
    Client {
        address: &http.source_ip,
        network: http.client_network(),
        device: device::read(&shared.secrets, http, &email),
    }
}

/// Says how long to wait, to a client that guesses or to one whose account others guess at.
pub(super) fn too_many(seconds: u64) -> String {
    format!(
        "There were too many attempts. Try again in {seconds} seconds. In a browser that has signed \
         in to this account before, the attempts of others do not count."
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
    set_password(&mut transaction, &user, new)?;
    set_time(&mut transaction, &user, None)?;
    let deed = Deed::Password { by_link: true };
    let request_id = &request.invocation.request_id;
    audit::record(&mut transaction, By::User(&user), request_id, &deed)?;
    log::info!("user {} chose a password by a link", user.id);
    let client = client(request.shared, request.http, &user.email);
    begin(request, transaction, &user, &client, "/".to_string())
}

/// Begins a session of a user, gives the browser its cookies, and redirects it to a page.
fn begin(
    request: &PublicRequest,
    mut transaction: Transaction,
    user: &User,
    client: &Client,
    to: String,
) -> Result<Response, PageError> {
    let session = Session::begin();
    forget_attempts(&mut transaction, user, client)?;
    sessions::begin(&mut transaction, user, &session.token)?;
    let deed = Deed::SignIn {
        address: client.address,
        from_known_browser: client.device.is_some(),
    };
    let request_id = &request.invocation.request_id;
    audit::record(&mut transaction, By::User(user), request_id, &deed)?;
    transaction.commit()?;
    log::info!("user {} signed in from {}", user.id, client.address);
    let secrets = &request.shared.secrets;
    let mut response = Response::redirect(to);
    // The session's comes last: a balancer with one value for each header sends that one.
    response.cookies.push(device::cookie(secrets, &user.email));
    response.cookies.push(session.cookie(secrets));
    Ok(response)
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

/// Ends the session, and removes it from the browser.
pub(super) fn sign_out(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    sessions::end(&mut transaction, &request.session.token)?;
    request.record(&mut transaction, &Deed::SignOut)?;
    transaction.commit()?;
    Ok(signed_out(request))
}

/// Ends every session of the user, this one too.
pub(super) fn sign_out_everywhere(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    sessions::end_all(&mut transaction, &request.user)?;
    request.record(&mut transaction, &Deed::SignOutEverywhere(&request.user))?;
    transaction.commit()?;
    Ok(signed_out(request))
}

fn signed_out(request: &SignedInRequest) -> Response {
    let mut response = Response::redirect("/sign-in");
    response.cookies.push(Session::end(&request.shared.secrets));
    response
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
