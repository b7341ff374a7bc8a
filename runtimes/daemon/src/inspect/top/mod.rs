//! `metalbond top`: a live view of a running daemon on the terminal. This thread draws. Other threads read the daemon,
//! the keys and the signals, and send them over one channel.

mod column;
mod draw;
mod look;
mod peers;
mod screen;
mod sheet;
mod vnis;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as TerminalEvent, KeyEventKind};

use super::{Daemon, Failure, HttpPlace};
use crate::signals::Stop;
use crate::spec;
use look::{Look, View};
use screen::Screen;

#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    place: HttpPlace,
    /// Interval at which the daemon is queried
    #[arg(long, value_name = "SECONDS", value_parser = parse_interval, allow_negative_numbers = true)]
    #[arg(default_value = "1")]
    interval: u32,
}

fn parse_interval(text: &str) -> Result<u32, String> {
    spec::number(text, 1, 3600)
}

/// An event of the program.
enum Event {
    /// A terminal event, or an error if there are no more.
    Terminal(io::Result<TerminalEvent>),
    /// The daemon was queried.
    Looked(Box<Result<Look, Failure>>),
    /// A signal asks the program to end.
    Signal,
}

/// Shows a daemon until a key or a signal ends the program.
pub(crate) fn run(args: &TopArgs) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        bail!("top: standard output is not a terminal (`metalbond show` prints to anything)");
    }
    let daemon = args.place.daemon()?;
    // If no daemon answers, the terminal is left unchanged.
    let first = Look::at(&daemon, View::Peers)?;
    let (sender, events) = channel();
    let (ask, asked) = channel();
    signals(sender.clone())?;
    ask_again(daemon.clone(), Duration::from_secs(args.interval.into()), asked, sender.clone());
    let mut terminal = ratatui::try_init().context("cannot set up the terminal")?;
    // Started only now: keys that are typed before belong to the shell.
    keys(sender);
    let shown = show(&mut terminal, Screen::new(daemon.to_string(), first), &events, &ask);
    ratatui::try_restore().context("cannot restore the terminal")?;
    shown
}

fn show(
    terminal: &mut DefaultTerminal,
    mut screen: Screen,
    events: &Receiver<Event>,
    ask: &Sender<View>,
) -> anyhow::Result<()> {
    loop {
        terminal.draw(|frame| draw::draw(frame, &mut screen)).context("cannot draw")?;
        // The sending threads last longer than this loop, so receiving does not fail.
        let first = events.recv()?;
        for event in [first].into_iter().chain(events.try_iter()) {
            match event {
                Event::Signal => return Ok(()),
                Event::Looked(looked) => screen.looked(*looked),
                Event::Terminal(Ok(TerminalEvent::Key(key))) if key.kind != KeyEventKind::Release => {
                    let before = screen.view();
                    if screen.press(key) {
                        return Ok(());
                    }
                    if screen.view() != before {
                        ask.send(screen.view())?;
                    }
                }
                // For example a new size of the terminal: the screen is drawn again.
                Event::Terminal(Ok(_)) => {}
                Event::Terminal(Err(error)) => return Err(error).context("cannot read from the terminal"),
            }
        }
    }
}

/// Reads terminal events until they end or the process does.
fn keys(events: Sender<Event>) {
    thread::spawn(move || {
        loop {
            let read = event::read();
            let is_end = read.is_err();
            if events.send(Event::Terminal(read)).is_err() || is_end {
                return;
            }
        }
    });
}

/// Queries the daemon until the receiver is gone: at an interval, and at once when another view is selected. Uses at
/// most half of the time, even if answers take long.
fn ask_again(daemon: Daemon, interval: Duration, asked: Receiver<View>, events: Sender<Event>) {
    thread::spawn(move || {
        let (mut view, mut took) = (View::Peers, Duration::ZERO);
        loop {
            match asked.recv_timeout(interval.max(took)) {
                Ok(other) => view = other,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let begin = Instant::now();
            let looked = Box::new(Look::at(&daemon, view));
            took = begin.elapsed();
            if events.send(Event::Looked(looked)).is_err() {
                return;
            }
        }
    });
}

/// Waits for SIGTERM and SIGINT. Control-C on the terminal arrives as a key, not as a signal.
fn signals(events: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stop = {
        let _within = runtime.enter();
        Stop::new()?
    };
    thread::spawn(move || {
        runtime.block_on(stop.signalled());
        // Fails only if the program is ending anyway.
        let _ = events.send(Event::Signal);
    });
    Ok(())
}
