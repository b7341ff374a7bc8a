//! `metalbond watch`: what changes, as it happens.

use std::io::{self, BufRead as _, Write as _};
use std::thread;
use std::time::Duration;

use clap::Args;
use metalbond::Route;
use serde_json::Value;

use super::{Daemon, Failure, HttpPlace};
use crate::api::{PeerEvent, RouteEvent};

/// How long to wait before the daemon is asked again: at first, and at most.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    place: HttpPlace,
    /// Routes of this virtual network only
    #[arg(long)]
    vni: Option<u32>,
    /// Print one JSON object a line: {"event":"route","data":{...}}
    #[arg(long)]
    json: bool,
}

/// Prints changes until nobody reads them. A daemon that goes away is waited for.
pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<()> {
    let daemon = &args.place.http;
    let mut wait = BACK_OFF[0];
    let mut was_there = false;
    loop {
        match follow(daemon, args) {
            Ok(()) => return Ok(()),
            // The first time it is a mistake, more likely than not.
            Err(Lost::Daemon(failure)) if !was_there => return Err(failure.into()),
            Err(Lost::Output(error)) => return Err(error.into()),
            Err(Lost::Daemon(failure)) => eprintln!("metalbond: {failure}; trying again"),
            Err(Lost::Stream) => {
                (was_there, wait) = (true, BACK_OFF[0]);
                eprintln!("metalbond: http://{daemon}/ has ended its events; trying again");
            }
        }
        thread::sleep(wait);
        wait = (wait * 2).min(BACK_OFF[1]);
    }
}

/// Why following has ended.
enum Lost {
    Daemon(Failure),
    /// After it had begun.
    Stream,
    Output(io::Error),
}

fn follow(daemon: &Daemon, args: &WatchArgs) -> Result<(), Lost> {
    let query: Vec<_> = args.vni.iter().map(|vni| ("vni", vni.to_string())).collect();
    let mut lines = daemon.lines("/api/v1/events", &query).map_err(Lost::Daemon)?;
    let (mut line, mut event) = (String::new(), String::new());
    loop {
        line.clear();
        if lines.read_line(&mut line).map_err(|_| Lost::Stream)? == 0 {
            return Err(Lost::Stream);
        }
        match line.trim_end().split_once(": ") {
            Some(("event", name)) => {
                if name == "following" {
                    eprintln!("metalbond: following http://{daemon}/");
                }
                name.clone_into(&mut event);
            }
            // That it begins is no change.
            Some(("data", _)) if event == "following" => {}
            Some(("data", data)) => {
                let text = if args.json { as_json(&event, data) } else { as_text(&event, data) };
                let text = text.map_err(|error| Lost::Daemon(Failure::Strange(daemon.clone(), error.to_string())))?;
                let mut out = io::stdout().lock();
                match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written.map_err(Lost::Output)?,
                }
            }
            _ => {}
        }
    }
}

fn as_json(event: &str, data: &str) -> serde_json::Result<String> {
    let data: Value = serde_json::from_str(data)?;
    Ok(format!("{}\n", serde_json::json!({ "event": event, "data": data })))
}

/// Additions first, as a client prints them.
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
        "missed" => Ok(format!("! too slow: {data}\n")),
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
        assert_eq!(as_text("following", "{}").unwrap(), "");
        assert!(as_text("route", "{").is_err());
    }
}
