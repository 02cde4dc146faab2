//! Walks over the tokens of one statement: takes phrases and names, splits lists at their commas.
//!
//! Must not know what any statement does.

use crate::sql::{Token, TokenKind, identifier};

/// The tokens of a statement that are still to be read.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(pub(super) &'a [Token<'a>]);

/// The name of a table, an index or another relation, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    /// The schema; `None` if the search path decides.
    pub schema: Option<String>,
    /// The name in the schema.
    pub name: String,
}

impl<'a> Words<'a> {
    /// Takes the words of a phrase if they come next; returns whether they do.
    pub(super) fn eat(&mut self, phrase: &str) -> bool {
        let mut rest = self.0;
        for word in phrase.split(' ') {
            match rest.split_first() {
                Some((token, after)) if token.is(word) => rest = after,
                _ => return false,
            }
        }
        self.0 = rest;
        true
    }

    /// Takes one of some words; returns whether one came next.
    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    /// Takes a symbol if it comes next; returns whether it does.
    pub(super) fn eat_symbol(&mut self, symbol: u8) -> bool {
        match self.0.split_first() {
            Some((token, after)) if token.kind == TokenKind::Symbol(symbol) => {
                self.0 = after;
                true
            }
            _ => false,
        }
    }

    /// Takes a name, of which the last two parts count.
    pub(super) fn name(&mut self) -> Option<Name> {
        let (mut schema, mut name) = (None, self.identifier()?);
        while self.eat_symbol(b'.') {
            schema = Some(name);
            name = self.identifier()?;
        }
        Some(Name { schema, name })
    }

    /// Takes a word or a quoted name.
    pub(super) fn identifier(&mut self) -> Option<String> {
        let (token, after) = self.0.split_first()?;
        let is_name = matches!(token.kind, TokenKind::Word | TokenKind::Name);
        is_name.then(|| {
            self.0 = after;
            identifier(token)
        })
    }

    /// Takes all tokens until a phrase that stands in no parentheses, and the phrase; returns whether
    /// there is one. Takes nothing if there is none.
    pub(super) fn skip_past(&mut self, phrase: &str) -> bool {
        let mut ahead = *self;
        while !ahead.0.is_empty() {
            if ahead.eat(phrase) {
                *self = ahead;
                return true;
            }
            ahead.skip_one();
        }
        false
    }

    /// Returns whether a phrase follows that stands in no parentheses.
    pub(super) fn has(mut self, phrase: &str) -> bool {
        self.skip_past(phrase)
    }

    /// Takes the next token, or all that the next parentheses enclose, and returns the latter.
    pub(super) fn skip_one(&mut self) -> Words<'a> {
        let mut depth = 0_usize;
        let tokens = self.0;
        for (at, token) in tokens.iter().enumerate() {
            match token.kind {
                TokenKind::Symbol(b'(' | b'[') => depth += 1,
                TokenKind::Symbol(b')' | b']') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                self.0 = &tokens[at + 1..];
                return Words(tokens.get(1..at).unwrap_or(&[]));
            }
        }
        self.0 = &[];
        Words(tokens.get(1..).unwrap_or(&[]))
    }

    /// Takes the parentheses that come next, if they do, and returns what they enclose.
    pub(super) fn group(&mut self) -> Words<'a> {
        match self.0.first() {
            Some(token) if token.kind == TokenKind::Symbol(b'(') => self.skip_one(),
            _ => Words(&[]),
        }
    }

    /// Splits the rest at the commas that stand in no parentheses.
    pub(super) fn parts(mut self) -> Vec<Words<'a>> {
        let (mut parts, mut start) = (Vec::new(), self.0);
        while !self.0.is_empty() {
            let length = start.len() - self.0.len();
            if self.eat_symbol(b',') || self.eat_symbol(b';') {
                parts.push(Words(&start[..length]));
                start = self.0;
            } else {
                self.skip_one();
            }
        }
        if !start.is_empty() {
            parts.push(Words(start));
        }
        parts
    }

    /// Takes a list of names that commas separate.
    pub(super) fn names(&mut self) -> Vec<Name> {
        let mut names = Vec::new();
        loop {
            self.eat("only");
            names.extend(self.name());
            self.eat_symbol(b'*');
            if !self.eat_symbol(b',') {
                return names;
            }
        }
    }

    /// Returns the names that follow a word anywhere in the rest, such as each table after `from`.
    pub(super) fn names_after(self, word: &str) -> Vec<Name> {
        let places = self.0.iter().enumerate();
        let found = places.filter(|(_, token)| token.is(word));
        let mut names = Vec::new();
        for (at, _) in found {
            let mut rest = Words(&self.0[at + 1..]);
            rest.eat("only");
            names.extend(rest.name());
        }
        names
    }

    /// Returns the names before an opening parenthesis anywhere in the rest: functions, and words
    /// of the grammar.
    pub(super) fn called(self) -> Vec<String> {
        let pairs = self.0.windows(2);
        let calls = pairs.filter(|pair| {
            matches!(pair[0].kind, TokenKind::Word | TokenKind::Name)
                && pair[1].kind == TokenKind::Symbol(b'(')
        });
        calls.map(|pair| identifier(&pair[0])).collect()
    }
}

/// Returns whether a name is one of the words of a list.
pub(super) fn is_in(list: &str, name: &str) -> bool {
    list.split(' ').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Tokens;

    #[test]
    fn phrases_names_and_lists_are_taken_where_they_stand() {
        let tokens: Vec<Token> =
            Tokens::new("If Not Exists a.\"B\" (x, y), c int, d[1, 2];", 0, false).collect();
        let mut words = Words(&tokens);
        assert!(!words.eat("if exists"));
        assert!(words.eat("if not exists"));
        let name = words.name().expect("it is one");
        assert_eq!(
            (name.schema.as_deref(), name.name.as_str()),
            (Some("a"), "B")
        );
        assert_eq!(words.parts().len(), 3);
        assert!(words.has("c int") && !words.has("x"));
        assert_eq!(words.skip_one().parts().len(), 2);
    }
}
