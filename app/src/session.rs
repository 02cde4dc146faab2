//! Who a browser says it is: an encrypted, signed cookie, and nothing on our side.
//!
//! Tampered with, expired or of another key, it is no session, and no error. Whether the person is
//! still welcome is `people`'s. AES-256-GCM (NIST SP 800-38D) by a key that HKDF (RFC 5869) makes
//! of SECRET_KEY_BASE; prefixes of names: RFC 6265bis.

use crate::http::Request;
use crate::settings::Settings;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds that a session lives without a request, and at most.
const IDLE: i64 = 12 * 60 * 60;
const LONGEST: i64 = 14 * 24 * 60 * 60;

/// A session is written anew when this many seconds of `IDLE` are over, not by every page.
const RENEWED_AFTER: i64 = 60 * 60;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The person's id.
    pub person: i64,
    /// The person's generation of sessions when it began: signing out everywhere begins another.
    pub generation: i64,
    /// When the password, or the link, was given; in seconds since 1970.
    signed_in_at: i64,
    /// What the next page says once.
    pub notice: Option<String>,
    expires_at: i64,
}

impl Session {
    /// A session that begins now.
    pub fn begin(person: i64, generation: i64) -> Session {
        Session {
            person,
            generation,
            signed_in_at: now(),
            notice: None,
            expires_at: now() + IDLE,
        }
    }

    /// The same session, whose next page says something, or no longer does.
    #[must_use]
    pub fn saying(&self, notice: Option<String>) -> Session {
        Session {
            notice,
            ..self.clone()
        }
    }

    /// The request's session, if it has one.
    #[inline(never)]
    pub fn read(settings: &Settings, request: &Request) -> Option<Session> {
        let name = name(settings);
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(request.cookie(name)?).ok()?;
        let secrets = settings.secrets.iter();
        let text = { secrets }.find_map(|secret| open(secret, name, sealed.clone()))?;
        living(&text, now())
    }

    /// Whether its cookie should be written anew.
    pub fn is_due(&self) -> bool {
        self.expires_at() - self.expires_at > RENEWED_AFTER
    }

    /// The `Set-Cookie` that keeps it.
    pub fn cookie(&self, settings: &Settings) -> String {
        let name = name(settings);
        let expires_at = self.expires_at();
        let notice = self.notice.as_deref().unwrap_or_default();
        let text = format!(
            "{} {} {} {expires_at} {notice}",
            self.person, self.generation, self.signed_in_at
        );
        let sealed =
            BASE64_URL_SAFE_NO_PAD.encode(seal(&settings.secrets[0], name, text.into_bytes()));
        format!("{name}={sealed}; {}", attributes(settings))
    }

    /// When it ends if its cookie is written now.
    fn expires_at(&self) -> i64 {
        (now() + IDLE).min(self.signed_in_at + LONGEST)
    }

    /// The `Set-Cookie` that ends any session.
    pub fn end(settings: &Settings) -> String {
        format!("{}=; Max-Age=0; {}", name(settings), attributes(settings))
    }
}

/// On plain HTTP, as on a developer's machine, Safari keeps no cookie that is for TLS only.
fn name(settings: &Settings) -> &'static str {
    match settings.is_local() {
        true => "session",
        false => "__Host-session",
    }
}

fn attributes(settings: &Settings) -> &'static str {
    match settings.is_local() {
        true => "Path=/; HttpOnly; SameSite=Lax",
        false => "Path=/; HttpOnly; SameSite=Lax; Secure",
    }
}

fn living(text: &str, now: i64) -> Option<Session> {
    parse(text).filter(|session| session.expires_at > now)
}

fn parse(text: &str) -> Option<Session> {
    let mut parts = text.splitn(5, ' ');
    let mut number = || parts.next()?.parse().ok();
    let (person, generation) = (number()?, number()?);
    let (signed_in_at, expires_at) = (number()?, number()?);
    let notice = parts.next().filter(|notice| !notice.is_empty());
    Some(Session {
        person,
        generation,
        signed_in_at,
        expires_at,
        notice: notice.map(str::to_string),
    })
}

/// A nonce, then what only the key opens. The cookie's name is sealed with it: what is one cookie's
/// cannot be another's.
fn seal(secret: &str, name: &str, mut text: Vec<u8>) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    let filled = SystemRandom::new().fill(&mut nonce);
    filled.expect("the kernel gives random bytes");
    let aad = Aad::from(name.as_bytes());
    let sealed =
        key(secret).seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text);
    sealed.expect("a cookie is far from AES-GCM's limit");
    [&nonce[..], &text].concat()
}

fn open(secret: &str, name: &str, mut sealed: Vec<u8>) -> Option<String> {
    let nonce = Nonce::try_assume_unique_for_key(sealed.get(..NONCE_LEN)?).ok()?;
    let aad = Aad::from(name.as_bytes());
    let text = key(secret)
        .open_within(nonce, aad, &mut sealed, NONCE_LEN..)
        .ok()?;
    String::from_utf8(text.to_vec()).ok()
}

fn key(secret: &str) -> LessSafeKey {
    let material = Salt::new(HKDF_SHA256, b"plain-lambda").extract(secret.as_bytes());
    let okm = material.expand(&[b"session cookie"], &AES_256_GCM);
    LessSafeKey::new(UnboundKey::from(okm.expect("one key is no long output")))
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of thirty-two bytes and more";

    #[test]
    fn what_was_sealed_is_opened_by_its_key_and_for_its_name_only() {
        let sealed = seal(SECRET, "session", b"1 2 3 saved".to_vec());
        let opened = |secret, name, sealed: &[u8]| open(secret, name, sealed.to_vec());
        assert_eq!(
            opened(SECRET, "session", &sealed).as_deref(),
            Some("1 2 3 saved")
        );
        assert_eq!(opened("another secret", "session", &sealed), None);
        assert_eq!(opened(SECRET, "other", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opened(SECRET, "session", &changed), None, "byte {at}");
            assert_eq!(opened(SECRET, "session", &sealed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn the_same_session_is_never_the_same_cookie() {
        let sealed = || seal(SECRET, "session", b"1 2 3 ".to_vec());
        assert_ne!(sealed(), sealed());
    }

    #[test]
    fn a_session_ends_when_the_sealed_text_says_and_after_two_weeks_at_the_latest() {
        assert!(living("7 1 10 20 ", 19).is_some());
        assert!(living("7 1 10 20 ", 20).is_none());
        let since = now() - LONGEST + 60;
        let text = format!("7 1 {since} {} ", now() + 30);
        let session = living(&text, now()).expect("it lives");
        assert!(session.expires_at() <= since + LONGEST);
        assert!(!session.is_due(), "no cookie makes it longer");
        assert!(
            living(&format!("7 1 {since} {} ", now() + 60), now())
                .is_some_and(|session| !session.is_due())
        );
        let fresh = format!("7 1 {} {} ", now() - 7200, now() + IDLE - 7200);
        assert!(living(&fresh, now()).is_some_and(|session| session.is_due()));
    }

    #[test]
    fn a_session_says_who_since_when_until_when_and_what() {
        let session = Session {
            person: 7,
            generation: 1,
            signed_in_at: 10,
            expires_at: 20,
            notice: Some("Saved: a b".to_string()),
        };
        assert_eq!(parse("7 1 10 20 Saved: a b"), Some(session.clone()));
        let notice = None;
        assert_eq!(parse("7 1 10 20 "), Some(Session { notice, ..session }));
        for text in ["", "7", "7 1 10", "x 1 10 20 ", "7 1 10 x "] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
