//! Texts with `*` in them.

/// A pattern in which `*` stands for any characters; `\*` and `\\` stand for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    first: Box<str>,
    /// What follows each `*`. Empty: there is none, and the text has to be equal.
    rest: Box<[Box<str>]>,
}

impl Wildcard {
    /// None when two `*` follow each other or a backslash escapes another character (EventBridge's rules).
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut pieces = vec![String::new()];
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '*' if characters.peek() == Some(&'*') => return None,
                '*' => pieces.push(String::new()),
                '\\' => pieces.last_mut()?.push(characters.next().filter(|next| matches!(next, '*' | '\\'))?),
                other => pieces.last_mut()?.push(other),
            }
        }
        let mut pieces = pieces.into_iter().map(String::into_boxed_str);
        Some(Self { first: pieces.next()?, rest: pieces.collect() })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let Some(mut rest) = text.strip_prefix(&*self.first) else { return false };
        let Some((last, middle)) = self.rest.split_last() else { return rest.is_empty() };
        // The leftmost place of each piece leaves the most for those after it.
        for piece in middle {
            let Some(at) = rest.find(&**piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(&**last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(Wildcard::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        check("dir/*.png", "dir/a/b.png", true);
        check("dir/*.png", "dir/.png", true);
        check("dir/*.png", "dir/.pngx", false);
        check("*", "", true);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b*", "xxbxxa", false);
        check("a*a", "a", false);
        check("ab*bc", "abc", false);
        check("*aba*aba", "aababa", false);
        check("", "", true);
        check("", "a", false);
    }

    #[test]
    fn escapes_stand_for_themselves() {
        check(r"a\*b", "a*b", true);
        check(r"a\*b", "axb", false);
        check(r"a\\*", r"a\x", true);
        check(r"\**", "*x", true);
        for bad in ["a**b", r"a\", r"a\x", r"**"] {
            assert_eq!(Wildcard::parse(bad), None, "{bad}");
        }
    }
}
