//! S3's XML: written by hand, and the little that clients send read into a tree.

use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;

use crate::answer::Answer;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// Deepest nesting of elements that is read; S3's own documents have four.
const DEPTH_MAX: usize = 16;
/// Most elements of a document that is read: ten thousand parts with a checksum have 40,001.
const ELEMENTS_MAX: usize = 50_000;

/// A document being written.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    /// Elements that are open, from the outermost.
    open: Vec<&'static str>,
}

impl Document {
    /// A document of S3's namespace.
    pub(super) fn new(root: &'static str) -> Self {
        let mut document = Self::bare("");
        document.open = vec![root];
        let _infallible = write!(document.text, "<{root} xmlns=\"{NAMESPACE}\">");
        document
    }

    /// The one document whose root has text.
    pub(super) fn location(region: &str) -> Self {
        let mut document = Self::new("LocationConstraint");
        escape(&mut document.text, region);
        document
    }

    /// A document without a namespace.
    pub(super) fn bare(root: &'static str) -> Self {
        let mut document = Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() };
        if !root.is_empty() {
            document.begin(root);
        }
        document
    }

    pub(super) fn begin(&mut self, name: &'static str) -> &mut Self {
        self.open.push(name);
        self.text.extend(["<", name, ">"]);
        self
    }

    pub(super) fn end(&mut self) -> &mut Self {
        let name = self.open.pop().expect("each end has a beginning");
        self.text.extend(["</", name, ">"]);
        self
    }

    pub(super) fn text(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.text.extend(["<", name, ">"]);
        escape(&mut self.text, text);
        self.text.extend(["</", name, ">"]);
        self
    }

    /// A user whom something is granted, by canonical id.
    pub(super) fn grantee(&mut self, id: &str) -> &mut Self {
        self.text
            .push_str("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">");
        self.text("ID", id);
        self.text.push_str("</Grantee>");
        self
    }

    /// Writes the element if there is a value.
    pub(super) fn optional(&mut self, name: &'static str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.text(name, text);
        }
        self
    }

    pub(super) fn answer(mut self, status: StatusCode) -> Answer {
        while !self.open.is_empty() {
            self.end();
        }
        Answer::new(status, "application/xml", Bytes::from(self.text))
    }
}

/// Characters that XML 1.0 cannot hold are written as references, as S3 does: clients that list such keys ask for
/// `encoding-type=url`.
fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' | '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {
                let _infallible = write!(out, "&#x{:X};", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
}

/// An element that was read. Attributes and namespaces are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Reads a document. `None` when it is not well-formed, nested too deeply, has too many elements, or a document type.
pub(super) fn read(document: &[u8]) -> Option<Element> {
    let text = std::str::from_utf8(document).ok()?;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut open: Vec<Element> = Vec::new();
    let (mut root, mut elements) = (None, 0);
    while !rest.is_empty() {
        let Some(markup) = rest.strip_prefix('<') else {
            let (characters, after) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            rest = after;
            match open.last_mut() {
                Some(element) => unescape(&mut element.text, characters)?,
                None if characters.trim().is_empty() => {}
                None => return None,
            }
            continue;
        };
        if let Some(after) = markup.strip_prefix('?') {
            rest = after.split_once("?>")?.1;
        } else if let Some(after) = markup.strip_prefix("!--") {
            rest = after.split_once("-->")?.1;
        } else if let Some(after) = markup.strip_prefix("![CDATA[") {
            let (characters, after) = after.split_once("]]>")?;
            open.last_mut()?.text.push_str(characters);
            rest = after;
        } else if let Some(after) = markup.strip_prefix('/') {
            let (name, after) = after.split_once('>')?;
            let element = open.pop().filter(|element| element.name == local(name.trim_end()))?;
            close(element, &mut open, &mut root)?;
            rest = after;
        } else {
            let (tag, after) = markup.split_at(end_of_tag(markup)?);
            rest = &after[1..];
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let name = tag.split(char::is_whitespace).next().filter(|name| is_name(name))?;
            let element = Element { name: local(name).to_owned(), ..Element::default() };
            elements += 1;
            if open.len() == DEPTH_MAX || elements > ELEMENTS_MAX {
                return None;
            }
            if is_empty {
                close(element, &mut open, &mut root)?;
            } else {
                open.push(element);
            }
        }
    }
    if open.is_empty() { root } else { None }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Option<()> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return None,
    }
    Some(())
}

/// Where the `>` of a tag is: not inside the values of its attributes.
fn end_of_tag(markup: &str) -> Option<usize> {
    let mut quote = None;
    for (place, letter) in markup.char_indices() {
        match (quote, letter) {
            (None, '>') => return Some(place),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(opening), letter) if opening == letter => quote = None,
            _ => {}
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':') || !byte.is_ascii();
    !name.is_empty() && name.bytes().all(plain)
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn unescape(out: &mut String, mut text: &str) -> Option<()> {
    while let Some((before, after)) = text.split_once('&') {
        out.push_str(before);
        let (entity, rest) = after.split_once(';')?;
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        text = rest;
    }
    out.push_str(text);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_send_is_read() {
        let document = br#"<?xml version="1.0" encoding="UTF-8"?>
            <!-- a list --><s:Delete xmlns:s="http://x/>" a='>'><Object><Key>a&amp;&#x41;&#66;</Key></Object>
            <Object><Key><![CDATA[<b>]]></Key><ETag/></Object><Quiet >true</Quiet></s:Delete>"#;
        let root = read(document).unwrap();
        assert_eq!(root.name, "Delete");
        let keys: Vec<_> = root.all("Object").map(|object| object.value("Key").unwrap()).collect();
        assert_eq!(keys, ["a&AB", "<b>"]);
        assert_eq!(root.value("Quiet"), Some("true"));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "</a>",
            "<a",
            "<a>&nope;</a>",
            "<a>&#xD800;</a>",
            "<!DOCTYPE a><a/>",
            "<a b=\"></a>",
            "< a/>",
            "<a>&amp</a>",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(&[b'<', 0xff, b'>']), None);
        let wide = |elements: usize| read(format!("<a>{}</a>", "<b/>".repeat(elements)).as_bytes());
        assert!(wide(ELEMENTS_MAX - 1).is_some() && wide(ELEMENTS_MAX).is_none());
        assert_eq!(read("<a>".repeat(DEPTH_MAX + 1).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "\\PC{0,20}|[\0-\u{ff}]{0,10}") {
            let mut document = Document::new("Root");
            document.begin("A").text("B", &text).end();
            while !document.open.is_empty() {
                document.end();
            }
            let root = read(document.text.as_bytes()).unwrap();
            prop_assert_eq!(root.child("A").unwrap().value("B"), Some(&text[..]));
        }

        #[test]
        fn nothing_sent_makes_the_reader_panic(text in "[<>/&;#x!\\[\\]a\"'? -]{0,40}") {
            let _any = read(text.as_bytes());
        }
    }
}
