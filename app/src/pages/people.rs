//! `/people`: who may use this, for admins.

use super::errors::{self, Stop};
use super::gate::Visit;
use crate::database::{Access, Connection, Transaction};
use crate::http::{Response, field};
use crate::people::{self, Person, Role, link};
use askama::Template;

#[derive(Template)]
#[template(path = "people.html")]
struct People<'a> {
    people: Vec<Person>,
    own_id: i64,
    link: Option<String>,
    wrong: Option<&'a str>,
    email: &'a str,
}

impl People<'_> {
    fn roles(&self) -> [Role; 3] {
        Role::ALL
    }
}

/// Everybody; by POST, somebody new.
pub fn show(visit: &Visit, connection: &mut Connection, _: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadWrite)?;
    if visit.request.method != "POST" {
        return list(visit, &mut transaction, 200, None, None, "");
    }
    let fields = visit.request.form()?;
    let email = field(&fields, "email").trim();
    let Some(role) = Role::named(field(&fields, "role")) else {
        let wrong = Some("Choose a role.");
        return list(visit, &mut transaction, 422, None, wrong, email);
    };
    if !people::is_email(email) {
        let wrong = Some("This is no address.");
        return list(visit, &mut transaction, 422, None, wrong, email);
    }
    let Some(person) = people::add(&mut transaction, email, role)? else {
        let wrong = Some("Somebody with this address is here already.");
        return list(visit, &mut transaction, 422, None, wrong, email);
    };
    log::info!(
        "person {} added person {} as {}",
        visit.person.id,
        person.id,
        role.name()
    );
    show_link(visit, transaction, &person)
}

/// Changes somebody: a role, a new link, the end of all sessions, removal.
pub fn change(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let fields = visit.request.form()?;
    let mut transaction = connection.transaction(visit.invocation, Access::ReadWrite)?;
    let person = people::find(&mut transaction, path[1])?.ok_or(Stop::NotFound)?;
    let action = field(&fields, "action");
    let (done, notice) = match (action, Role::named(field(&fields, "role"))) {
        ("role", Some(role)) => (
            people::set_role(&mut transaction, &person, role)?,
            format!("{} is {} now.", person.email, role.name()),
        ),
        ("remove", _) => (
            people::remove(&mut transaction, &person)?,
            format!("{} is removed.", person.email),
        ),
        ("sign-out", _) => {
            people::end_sessions(&mut transaction, &person)?;
            (true, format!("Every session of {} is over.", person.email))
        }
        ("link", _) => return show_link(visit, transaction, &person),
        _ => {
            let text = "There is no such change.";
            return Ok(errors::notice(visit.request, 400, "Not known", text, ""));
        }
    };
    if !done {
        let wrong = Some("This is the only admin: make somebody else one first.");
        return list(visit, &mut transaction, 422, None, wrong, "");
    }
    transaction.commit()?;
    log::info!(
        "person {} did `{action}` to person {}",
        visit.person.id,
        person.id
    );
    Ok(visit.go("/people".to_string(), &notice))
}

/// The one page that ever shows a link.
fn show_link(
    visit: &Visit,
    mut transaction: Transaction,
    person: &Person,
) -> Result<Response, Stop> {
    let link = link::make(&mut transaction, person)?;
    let origin = visit.app.settings.origin().unwrap_or_else(|| {
        let host = visit.request.header("host").unwrap_or_default();
        format!("https://{host}")
    });
    let link = format!("{}: {origin}{}", person.email, link.path);
    let response = list(visit, &mut transaction, 200, Some(link), None, "")?;
    transaction.commit()?;
    Ok(response.with("cache-control", "no-store"))
}

fn list(
    visit: &Visit,
    transaction: &mut Transaction,
    status: u16,
    link: Option<String>,
    wrong: Option<&str>,
    email: &str,
) -> Result<Response, Stop> {
    let page = People {
        people: people::list(transaction)?,
        own_id: visit.person.id,
        link,
        wrong,
        email,
    };
    Ok(visit.page_with(status, "/people", "People", &page))
}
