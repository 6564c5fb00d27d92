//! The table of cases, one file for each subject. Code lives in `index.js`, or in `index.mjs` for ES modules.

mod context;
mod errors;
mod flow;
mod logs;
mod modules;
mod results;
mod streaming;

/// One function and the events that it gets, one after the other, in one process.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) handler: &'static str,
    /// Name and text of the file with the handler.
    pub(crate) main: (&'static str, &'static str),
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) events: &'static [&'static str],
    /// Further headers of every event.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Shows words of Node.js itself, which other versions than the recorded one say otherwise.
    pub(crate) is_of_recorded_node: bool,
}

impl Case {
    /// The code, for messages.
    pub(crate) fn code(&self) -> String {
        let files = self.files.iter().chain([&self.main]);
        files.map(|(name, text)| ["// ", name, "\n", text, "\n"].concat()).collect::<Vec<_>>().concat()
    }

    const fn file(self, name: &'static str) -> Self {
        Self { main: (name, self.main.1), ..self }
    }

    const fn files(self, files: &'static [(&'static str, &'static str)]) -> Self {
        Self { files, ..self }
    }

    const fn handler(self, handler: &'static str) -> Self {
        Self { handler, ..self }
    }

    const fn events(self, events: &'static [&'static str]) -> Self {
        Self { events, ..self }
    }

    const fn of_recorded_node(self) -> Self {
        Self { is_of_recorded_node: true, ..self }
    }

    const fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }
}

/// A `CommonJS` function that gets one event.
const fn common(name: &'static str, code: &'static str) -> Case {
    Case {
        name,
        handler: "index.handler",
        main: ("index.js", code),
        files: &[],
        events: &["{}"],
        headers: &[],
        is_of_recorded_node: false,
    }
}

/// The same as an ES module.
const fn module(name: &'static str, code: &'static str) -> Case {
    common(name, code).file("index.mjs")
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let subjects = [
        flow::cases(),
        results::cases(),
        errors::cases(),
        modules::cases(),
        context::cases(),
        logs::cases(),
        streaming::cases(),
    ];
    subjects.into_iter().flatten().collect()
}
