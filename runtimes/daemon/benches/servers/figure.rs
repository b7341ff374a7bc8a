//! Figures, their goals, and the table of all of them.

use std::fmt;

/// A number with its unit.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    unit: &'static str,
    goal: Goal,
}

/// The goal of a figure.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Goal {
    None,
    AtMost(f64),
    /// At most this many times the relay's figure.
    TimesRelay(f64),
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, goal: Goal::None }
    }

    pub(crate) fn at_most(self, value: f64) -> Self {
        Self { goal: Goal::AtMost(value), ..self }
    }

    pub(crate) fn times_relay(self, times: f64) -> Self {
        Self { goal: Goal::TimesRelay(times), ..self }
    }

    /// Removes the goal, for runs that are too small to be meaningful.
    pub(crate) fn without_goal(self) -> Self {
        Self { goal: Goal::None, ..self }
    }

    /// Returns the median of the same figure from several rounds.
    pub(crate) fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|a, b| a.value.total_cmp(&b.value));
        rounds.swap_remove(rounds.len() / 2)
    }

    fn shown(&self) -> String {
        let digits = if self.value.abs() < 10.0 { 2 } else { usize::from(self.value.abs() < 1000.0) };
        format!("{:.digits$} {}", self.value, self.unit)
    }

    fn is_reached(&self, relay: Option<&Self>) -> bool {
        match (self.goal, relay) {
            (Goal::AtMost(most), _) => self.value <= most,
            (Goal::TimesRelay(times), Some(relay)) => self.value <= relay.value * times,
            _ => true,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::AtMost(value) => write!(f, "{value}"),
            Self::TimesRelay(times) => write!(f, "{times} x relay"),
        }
    }
}

/// Prints the head of a table with these columns.
pub(crate) fn print_head(columns: &[String]) {
    print!("| | to reach |");
    columns.iter().for_each(|column| print!(" {column} |"));
    print!("\n|---|---|");
    columns.iter().for_each(|_| print!("---|"));
    println!();
}

/// Prints a line for each figure with the value in each column. The second column is our server's; `(!)` marks a value
/// that misses the goal.
pub(crate) fn print_lines(columns: &[Option<Vec<Figure>>]) {
    let ours = columns.iter().flatten().last().expect("a server was measured");
    let ours = columns.get(1).and_then(Option::as_ref).unwrap_or(ours);
    for figure in ours {
        let of =
            |column: &Option<Vec<Figure>>| column.as_ref()?.iter().find(|other| other.name == figure.name).cloned();
        print!("| {} | {} |", figure.name, figure.goal);
        let relay = columns.first().and_then(of);
        for (n, column) in columns.iter().enumerate() {
            let Some(each) = of(column) else {
                print!(" - |");
                continue;
            };
            let ratio = match &relay {
                Some(relay) if n > 0 && relay.value > 0.0 => format!(" ({:.2} x)", each.value / relay.value),
                _ => String::new(),
            };
            let mark = if n == 1 && !each.is_reached(relay.as_ref()) { " (!)" } else { "" };
            print!(" {}{ratio}{mark} |", each.shown());
        }
        println!();
    }
}
