//! Somebody at a browser: keeps the cookie of a session, gets pages and sends forms.

use super::Local;
use form_urlencoded::Serializer;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

/// The password of every user in the tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Somebody at a browser.
pub(crate) struct Person {
    url: String,
    agent: Agent,
    cookie: Mutex<String>,
}

/// The answer to a request.
pub(crate) struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Returns the value of a header; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("it is ASCII"))
    }

    /// Returns the target of a redirect with status 303.
    #[track_caller]
    pub(crate) fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.body);
        self.header("location")
    }

    /// Returns the value of a hidden field of the form.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> String {
        let begin = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&begin).expect("it has the field");
        rest.split('"').next().expect("it ends").to_string()
    }
}

impl Local {
    /// Returns a person who is not signed in.
    pub(crate) fn visitor(&self) -> Person {
        Person {
            url: self.url().to_string(),
            agent: self.agent(),
            cookie: Mutex::default(),
        }
    }

    /// Adds a user with a role and signs in. The migrations have to be applied.
    #[track_caller]
    pub(crate) fn sign_in(&self, role: &str) -> Person {
        let person = self.visitor();
        let event = json!({"action": "user", "email": format!("{role}@example.com"), "role": role});
        let answer = self.invoke("migrations", &event.to_string());
        let answer = answer.expect("the migrations are applied");
        let link = answer["link"].as_str().expect("local knows its address");
        let (_, path) = link.split_once("/sign-in/").expect("it is a link");
        let answer = person.post(&format!("/sign-in/{path}"), &[("new", PASSWORD)]);
        assert_eq!(answer.leads_to(), "/");
        person
    }

    /// Makes the project's tables with their rows; returns a signed-in admin.
    #[track_caller]
    pub(crate) fn workshop(&self) -> Person {
        for action in ["migrate", "seed"] {
            let event = json!({"action": action});
            let done = self.invoke("migrations", &event.to_string());
            done.expect("the project's migrations apply");
        }
        self.sign_in("admin")
    }
}

impl Person {
    /// Gets a page.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    /// Sends a form.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &headers, Some(form))
    }

    /// Sends a request with the cookie, and keeps the cookie that the answer sets.
    #[track_caller]
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookie = self.cookie();
        if !cookie.is_empty() {
            request = request.header("cookie", &cookie);
        }
        let response = match body {
            Some(body) => self.agent.run(request.body(body).expect("it is valid")),
            None => self.agent.run(request.body(()).expect("it is valid")),
        };
        self.keep(response.unwrap_or_else(|error| panic!("{method} {path}: {error}")))
    }

    /// Returns the cookie as `name=value`; empty when there is none.
    pub(crate) fn cookie(&self) -> String {
        self.cookie
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the cookie.
    pub(crate) fn set_cookie(&self, cookie: &str) {
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = cookie.to_string();
    }

    fn keep(&self, mut response: Response<Body>) -> Answer {
        let headers = response.headers().clone();
        // The session's is the last one.
        if let Some(cookie) = headers.get_all("set-cookie").iter().next_back() {
            let cookie = cookie.to_str().expect("it is ASCII");
            let pair = cookie.split(';').next().unwrap_or_default();
            self.set_cookie(match pair.ends_with('=') {
                true => "",
                false => pair,
            });
        }
        Answer {
            status: response.status().as_u16(),
            headers,
            body: response.body_mut().read_to_string().expect("it is whole"),
        }
    }
}
