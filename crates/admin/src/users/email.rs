//! The addresses of users, each in the one form in which it is stored and looked for.
//!
//! RFC 4013 (SASLprep) maps full-width letters, ligatures and the like to plain ones (NFKC), and
//! says which characters are invisible, control the direction of text, or are no text. Letters of
//! two scripts that look alike cannot stand in one part of an address. Knows no user.

use stringprep::{saslprep, tables};

/// Characters that show nothing, beside those that RFC 3454 lists: the fillers of Hangul, two vowels
/// of Khmer, and Braille's blank.
const BLANKS: [char; 7] = [
    '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{2800}', '\u{3164}', '\u{ffa0}',
];

/// Returns an address as it is stored: trimmed, in NFKC, in lower case.
///
/// # Errors
/// A sentence that says what is wrong. That a text has the form of an address does not mean that
/// the address exists: only a mail could tell, and none is sent.
pub(crate) fn normalize(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.contains(|c| tables::commonly_mapped_to_nothing(c) || BLANKS.contains(&c)) {
        return Err("This address has a character that nobody sees. Type it anew.");
    }
    let prepared = saslprep(text).map_err(
        |_| "This address has a control character, or one that no address has. Type it anew.",
    )?;
    let email = prepared.to_lowercase();
    let is_plain =
        |part: &str| !part.is_empty() && !part.contains(['@', ' ', ',', ';', '<', '>', '"', '\\']);
    let parts = email.split_once('@');
    if email.len() > 254 || !parts.is_some_and(|(name, host)| is_plain(name) && is_plain(host)) {
        return Err("This is not an email address.");
    }
    if email.split(['@', '.']).any(mixes_scripts) {
        return Err("This address mixes letters that look alike, such as Latin and Cyrillic ones.");
    }
    Ok(email)
}

/// Returns whether a text has Latin letters, and letters of a script with which they are confused:
/// Greek, Cyrillic, Armenian or Cherokee.
fn mixes_scripts(text: &str) -> bool {
    let is_latin = |c: char| c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}');
    let is_like_latin = |c: char| matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{1f00}'..='\u{1fff}');
    text.contains(is_latin) && text.contains(is_like_latin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for (typed, stored) in [
            ("a@b", "a@b"),
            (
                " Ada.Byrne@NorthMill.example ",
                "ada.byrne@northmill.example",
            ),
            ("o'neill+x@a-b.example", "o'neill+x@a-b.example"),
            ("Ü@Ü.example", "ü@ü.example"),
            ("u\u{308}@b.example", "ü@b.example"),
            ("ａｄａ＠ｂ.example", "ada@b.example"),
            ("\u{fb01}@b.example", "fi@b.example"),
            ("иван@пример.example", "иван@пример.example"),
        ] {
            assert_eq!(normalize(typed).as_deref(), Ok(stored), "{typed}");
        }
    }

    #[test]
    fn an_address_has_one_at_sign_and_no_space() {
        let long = format!("{}@b", "x".repeat(254));
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b, c@d",
            "<a@b>",
            "a\u{a0}b@c",
            &long,
        ] {
            assert!(normalize(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_that_looks_like_another_is_refused() {
        for text in [
            "a\u{200b}da@b.example",
            "ada\u{ad}@b.example",
            "ada\u{feff}@b.example",
            "ada@b\u{2060}.example",
            "ada\u{3164}@b.example",
            "\u{202e}ada@b.example",
            "ada\u{200e}@b.example",
            "ada\n@b.example",
            "a\0da@b.example",
            "\u{430}da@b.example",
            "ad\u{3b1}@b.example",
            "ada@\u{440}aypal.example",
        ] {
            assert!(normalize(text).is_err(), "{}", text.escape_debug());
        }
    }
}
