//! The report of a run, as a table or as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

use super::BenchArgs;
use super::phase::{Measured, Phase};
use crate::inspect::table::table;

/// The report of a run.
pub(super) struct Report<'a> {
    pub(super) args: &'a BenchArgs,
    pub(super) measured: Measured,
    /// Delay of each moved route at each subscriber, in nanoseconds.
    pub(super) delays: Histogram<u64>,
}

impl Report<'_> {
    /// Returns the number of routes, and how many were advertised to all subscribers together.
    fn counts(&self) -> [u64; 2] {
        let routes = u64::from(self.args.routes);
        [routes, routes * u64::from(self.args.subscribers)]
    }

    fn delay(&self, part: f64) -> Duration {
        Duration::from_nanos(self.delays.value_at_quantile(part))
    }

    /// Returns how many moves a subscriber did not see because a later move of the same route replaced them.
    fn overtaken(&self, moved: u64) -> u64 {
        (moved * u64::from(self.args.subscribers)).saturating_sub(self.delays.len())
    }

    pub(super) fn as_text(&self) -> String {
        let Measured { connect, announce, moves, withdraw } = &self.measured;
        let row = |name: &str, phase: &Phase, counts: Option<[u64; 2]>| {
            let rates = counts.map(|counts| counts.map(|count| rate(phase.per_second(count))));
            let [routes, delivered] = rates.unwrap_or_else(|| ["-".to_owned(), "-".to_owned()]);
            [name.to_owned(), time(phase.took), routes, delivered, time(phase.cpu)]
        };
        let mut rows = vec![row("connect", connect, None), row("announce", announce, Some(self.counts()))];
        if let Some((phase, moved)) = moves {
            rows.push(row("move", phase, Some([*moved, self.delays.len()])));
        }
        rows.push(row("withdraw", withdraw, Some(self.counts())));
        let mut text = table(["PHASE", ">TIME", ">ROUTES/S", ">DELIVERED/S", ">OWN CPU TIME"], rows);
        if let Some((_, moved)) = moves {
            let [half, most, all] = [0.5, 0.99, 1.0].map(|part| time(self.delay(part)));
            text += &format!("\n{moved} moves came to a subscriber within: p50 {half}, p99 {most}, max {all}");
            let (overtaken, wanted) = (self.overtaken(*moved), self.args.moves_wanted());
            if overtaken > 0 {
                text += &format!("; {overtaken} were overtaken by the next");
            }
            // The moves of one tick may be missing.
            if moved * 20 < wanted * 19 {
                text += &format!("; {wanted} were wanted");
            }
            text.push('\n');
        }
        text
    }

    pub(super) fn as_json(&self) -> String {
        let BenchArgs { server, routes, announcers, subscribers, vni, .. } = self.args;
        let Measured { connect, announce, moves, withdraw } = &self.measured;
        let moves = moves.as_ref().map(|(phase, moved)| {
            let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| self.delay(part).as_secs_f64());
            let mut moves = phase.as_json();
            moves["routes"] = (*moved).into();
            moves["delivered"] = self.delays.len().into();
            moves["overtaken"] = self.overtaken(*moved).into();
            moves["delay_seconds"] = json!({ "p50": p50, "p99": p99, "max": max });
            moves
        });
        let report = json!({
            "server": server.as_str(), "vni": vni, "routes": routes,
            "announcers": announcers, "subscribers": subscribers,
            "connect": connect.as_json(), "announce": announce.as_json(), "move": moves, "withdraw": withdraw.as_json(),
        });
        format!("{report:#}\n")
    }
}

/// Formats a duration with three digits: `0.21 ms`, `41.3 ms`, `2.50 s`.
fn time(duration: Duration) -> String {
    let (value, unit) = match duration.as_secs_f64() {
        seconds if seconds < 1.0 => (seconds * 1e3, "ms"),
        seconds => (seconds, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// Formats a rate: `950`, `41.3 k`, `2.05 M`.
fn rate(per_second: f64) -> String {
    match per_second {
        ..1e3 => three_digits(per_second),
        ..1e6 => format!("{} k", three_digits(per_second / 1e3)),
        _ => format!("{} M", three_digits(per_second / 1e6)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::super::subscriber;
    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn report_of(args: &[&str], check: impl FnOnce(Report<'_>)) {
        let args = &CommandLine::parse_from([&["bench", "--server", "192.0.2.1:4711"], args].concat()).args;
        let phase = |ms, cpu| Phase { took: Duration::from_millis(ms), cpu: Duration::from_millis(cpu) };
        let mut delays = subscriber::delays();
        for ms in 1..=99 {
            delays.record(ms * 1_000_000).unwrap();
        }
        let measured = Measured {
            connect: phase(3, 1),
            announce: phase(50, 90),
            moves: (args.moves_wanted() > 0).then(|| (phase(10_000, 2_000), 10)),
            withdraw: phase(1_500, 0),
        };
        check(Report { args, measured, delays });
    }

    #[test]
    fn a_report_is_a_table() {
        let expected = "\
PHASE        TIME  ROUTES/S  DELIVERED/S  OWN CPU TIME
connect   3.00 ms         -       -       1.00 ms
announce  50.0 ms    2.00 M  20.0 M       90.0 ms
withdraw   1.50 s    66.7 k   667 k       0.00 ms
";
        report_of(&[], |report| assert_eq!(report.as_text(), expected));
        report_of(&["--rate", "2"], |report| assert!(report.as_text().ends_with("the next; 20 were wanted\n")));
        report_of(&["--rate", "1"], |report| {
            let text = report.as_text();
            assert_eq!(text.lines().nth(3).unwrap(), "move       10.0 s      1.00    9.90        2.00 s");
            let delays = text.lines().last().unwrap();
            let within = "p50 50.0 ms, p99 99.0 ms, max 99.0 ms; 1 were overtaken by the next";
            assert_eq!(delays, format!("10 moves came to a subscriber within: {within}"));
        });
    }

    #[test]
    fn json_has_seconds_and_what_was_asked_for() {
        report_of(&["--rate", "1", "--routes", "7"], |report| {
            let json: Value = serde_json::from_str(&report.as_json()).unwrap();
            assert_eq!((&json["routes"], &json["vni"]), (&7.into(), &16_777_215.into()));
            assert_eq!(json["announce"], json!({ "seconds": 0.05, "own_cpu_seconds": 0.09 }));
            assert_eq!((&json["move"]["delivered"], &json["move"]["overtaken"]), (&99.into(), &1.into()));
        });
        report_of(&[], |report| assert!(report.as_json().contains("\"move\": null")));
    }

    #[test]
    fn figures_have_three_digits() {
        let times = [0, 213, 9_999, 41_260, 999_000, 61_000_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!(times, ["0.00 ms", "0.21 ms", "10.0 ms", "41.3 ms", "999 ms", "61.0 s"]);
        assert_eq!([0.5, 950.0, 41_300.0, 2_050_000.0].map(rate), ["0.50", "950", "41.3 k", "2.05 M"]);
    }
}
