//! `metalbond watch`: prints changes as they happen. A thread reads the event stream, so that the main task notices
//! when not even heartbeats arrive.

use std::io;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use clap::Args;
use metalbond::{Backoff, Route};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{Daemon, Failure, HttpPlace, to_stderr};
use crate::api::{PeerEvent, RouteEvent};
use crate::output;
use crate::signals::Stop;
use crate::spec;

/// The shortest and the longest wait before the next attempt to connect.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(5);
/// Without any data for this time, the connection is considered lost: heartbeats are sent every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
/// Maximum number of events that are printed together.
const BATCH: usize = 1024;

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    place: HttpPlace,
    /// Only routes of this VNI
    #[arg(long, value_parser = spec::parse_any_vni, allow_negative_numbers = true)]
    vni: Option<metalbond::Vni>,
    /// Print one JSON object on each line: {"event":"route","data":{...}}
    #[arg(long)]
    json: bool,
}

/// Prints changes until standard output is closed or a signal arrives. Reconnects if the daemon goes away.
pub(crate) async fn run(args: WatchArgs) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    tokio::select! {
        _ = stop.signalled() => Ok(()),
        followed = follow_on(&args) => followed,
    }
}

async fn follow_on(args: &WatchArgs) -> anyhow::Result<()> {
    let daemon = args.place.daemon()?;
    let mut backoff = Backoff::default();
    let mut was_there = false;
    loop {
        match follow(args, &daemon, &mut was_there).await {
            Lost::Reader => return Ok(()),
            Lost::Output(error) => return Err(error.into()),
            // A failure at the first attempt is most likely a mistake in the arguments.
            Lost::Daemon(failure) if !was_there => return Err(failure.into()),
            Lost::Daemon(failure) => to_stderr(format_args!("{failure}; trying again")),
            Lost::Stream(how) => {
                backoff.reset();
                to_stderr(format_args!("{}/ {how}; trying again", daemon.place()));
            }
        }
        sleep(backoff.fail(WAIT)).await;
    }
}

/// Why following ended.
enum Lost {
    Daemon(Failure),
    /// The stream ended after it had begun.
    Stream(&'static str),
    /// Standard output is closed.
    Reader,
    Output(io::Error),
}

/// What the reading thread reports.
enum Received {
    Event(String, String),
    Heartbeat,
    Failed(Failure),
}

async fn follow(args: &WatchArgs, daemon: &Daemon, was_there: &mut bool) -> Lost {
    let (sender, mut events) = mpsc::channel(BATCH);
    let query: Vec<_> = args.vni.iter().map(|vni| ("vni", vni.to_string())).collect();
    let asked = daemon.clone();
    // The thread ends with the stream, or when it has an event and the receiver is gone.
    thread::spawn(move || match asked.lines("/api/v1/events", &query) {
        Ok(lines) => read(lines, &sender),
        Err(failure) => drop(sender.blocking_send(Received::Failed(failure))),
    });
    let mut batch = Vec::new();
    loop {
        batch.clear();
        match timeout(SILENCE, events.recv_many(&mut batch, BATCH)).await {
            Ok(1..) => {}
            Ok(0) => return Lost::Stream("has ended its events"),
            Err(_) => return Lost::Stream("cannot be read any more"),
        }
        let mut text = String::new();
        for received in batch.drain(..) {
            match received {
                Received::Event(name, _) if name == "following" => {
                    *was_there = true;
                    to_stderr(format_args!("following {}/", daemon.place()));
                }
                Received::Event(name, data) => {
                    match if args.json { as_json(&name, &data) } else { as_text(&name, &data) } {
                        Ok(line) => text += &line,
                        Err(error) => return Lost::Daemon(Failure::Strange(daemon.place().clone(), error.to_string())),
                    }
                }
                Received::Heartbeat => {}
                Received::Failed(failure) => return Lost::Daemon(failure),
            }
        }
        // Written on another thread, so that a signal ends the program even if standard output blocks.
        let written = tokio::task::spawn_blocking(move || output::write_all(text.as_bytes())).await;
        match written.unwrap_or_else(|error| Err(error.into())) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Lost::Reader,
            Err(error) => return Lost::Output(error),
        }
    }
}

/// Reads a stream of events to its end.
fn read(lines: impl io::BufRead, events: &mpsc::Sender<Received>) {
    let mut event = String::new();
    for line in lines.lines().map_while(Result::ok) {
        let received = match line.split_once(": ") {
            Some(("event", name)) => {
                name.clone_into(&mut event);
                continue;
            }
            Some(("data", data)) => Received::Event(event.clone(), data.to_owned()),
            _ if line.starts_with(':') => Received::Heartbeat,
            _ => continue,
        };
        if events.blocking_send(received).is_err() {
            return;
        }
    }
}

fn as_json(event: &str, data: &str) -> serde_json::Result<String> {
    let data: Value = serde_json::from_str(data)?;
    Ok(format!("{}\n", serde_json::json!({ "event": event, "data": data })))
}

/// Formats an event as text. Additions come first, as a client prints them.
fn as_text(event: &str, data: &str) -> serde_json::Result<String> {
    match event {
        "route" => {
            let RouteEvent { vni, prefix, added, removed, .. } = serde_json::from_str(data)?;
            let route = |next_hop| Route { vni: metalbond::Vni(vni), prefix, next_hop };
            let added = added.into_iter().map(|hop| format!("+ {}\n", route(hop)));
            let removed = removed.into_iter().map(|hop| format!("- {}\n", route(hop)));
            Ok(added.chain(removed).collect())
        }
        "peer" => {
            let PeerEvent { name, address, state } = serde_json::from_str(data)?;
            let state = state.map_or_else(|| "gone".to_owned(), |state| state.to_string());
            Ok(format!("~ peer {name} {address} {state}\n"))
        }
        "missed" => {
            let missed: Value = serde_json::from_str(data)?;
            Ok(format!("! {} changes were not reported, because this reader is too slow\n", missed["missed"]))
        }
        "incomplete" => {
            let incomplete: Value = serde_json::from_str(data)?;
            Ok(format!("! {}\n", incomplete["why"].as_str().unwrap_or_default()))
        }
        _ => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_lines_like_a_clients() {
        let hop = |n| format!(r#"{{"addr":"2001:db8::{n}","target_vni":0,"kind":"STD"}}"#);
        let data = format!(
            r#"{{"vni":23,"prefix":"10.0.0.0/8","next_hops":[{0}],"added":[{0}],"removed":[{1}]}}"#,
            hop(1),
            hop(2)
        );
        let expected = "+ 23 10.0.0.0/8 via 2001:db8::1\n- 23 10.0.0.0/8 via 2001:db8::2\n";
        assert_eq!(as_text("route", &data).unwrap(), expected);
        let peer = |state| format!(r#"{{"name":"a7","address":"[::1]:1","state":{state}}}"#);
        assert_eq!(as_text("peer", &peer(r#""RETRY""#)).unwrap(), "~ peer a7 [::1]:1 RETRY\n");
        assert_eq!(as_text("peer", &peer("null")).unwrap(), "~ peer a7 [::1]:1 gone\n");
        let missed = as_text("missed", r#"{"missed":7}"#).unwrap();
        assert_eq!(missed, "! 7 changes were not reported, because this reader is too slow\n");
        let incomplete = as_text("incomplete", r#"{"why":"some networks are missing"}"#).unwrap();
        assert_eq!(incomplete, "! some networks are missing\n");
        assert_eq!(as_text("something new", "{}").unwrap(), "");
        assert!(as_text("route", "{").is_err());
    }
}
