//! Colours and widths, for terminals only.

use std::io::IsTerminal as _;

/// Columns where nobody says how many there are.
const COLUMNS_DEFAULT: usize = 100;

/// How to print for whoever reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    is_coloured: bool,
    pub(super) columns: usize,
}

impl Paint {
    /// Colours only where the standard output is a terminal that shows them, and nobody has set `NO_COLOR`.
    pub(super) fn of_stdout() -> Self {
        let output = std::io::stdout();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = set("TERM").is_some_and(|term| term == "dumb");
        let size = rustix::termios::tcgetwinsize(&output).ok();
        let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        Self {
            is_coloured: output.is_terminal() && set("NO_COLOR").is_none() && !is_dumb,
            columns: columns.unwrap_or(COLUMNS_DEFAULT),
        }
    }

    /// Without colours, in so many columns.
    #[cfg(test)]
    pub(super) fn plain(columns: usize) -> Self {
        Self { is_coloured: false, columns }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns as wide as their widest cell, two blanks between them. The last one has any width.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A length of time as people say it: 250ms, 12s, 5m 3s, 2h 10m, 3d 4h.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 if !millis.is_multiple_of(1000) && seconds < 10 => format!("{seconds}.{}s", millis % 1000 / 100),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `1 record`, `2 records`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_two_units() {
        for (millis, told) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1500, "1.5s"),
            (12_999, "12s"),
            (303_000, "5m 3s"),
            (7_800_000, "2h 10m"),
            (273_600_000, "3d 4h"),
        ] {
            assert_eq!(span(millis), told);
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let lines = table(&[row(["A", "LONG", "Z"]), row(["größe", "1", ""])]);
        assert_eq!(lines, ["A      LONG  Z", "größe  1"]);
    }
}
