//! `metalbond top`: a running daemon on the terminal, live. This thread draws; what there is to draw, keys and signals come from
//! threads of their own, over one channel.

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
use look::Look;
use screen::{Screen, View};

#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    place: HttpPlace,
    /// How often the daemon is asked
    #[arg(long, value_name = "SECONDS", value_parser = parse_interval, allow_negative_numbers = true)]
    #[arg(default_value = "1")]
    interval: u32,
}

fn parse_interval(text: &str) -> Result<u32, String> {
    spec::number(text, 1, 3600)
}

/// What happens.
enum Event {
    /// Something at the terminal; an error if there is no more to come.
    Terminal(io::Result<TerminalEvent>),
    /// The daemon was asked.
    Looked(Box<Result<Look, Failure>>),
    /// It shall end.
    Signal,
}

/// Shows a daemon until a key or a signal ends it.
pub(crate) fn run(args: &TopArgs) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        bail!("top: standard output is not a terminal (`metalbond show` prints the same to anything)");
    }
    let daemon = args.place.daemon()?;
    // Where there is none, the terminal stays as it is.
    let first = Look::at(&daemon, View::Peers)?;
    let (sender, events) = channel();
    let (ask, asked) = channel();
    signals(sender.clone())?;
    ask_again(daemon.clone(), Duration::from_secs(args.interval.into()), asked, sender.clone());
    let mut terminal = ratatui::try_init().context("cannot take the terminal")?;
    // Only now: what is typed before belongs to the shell.
    keys(sender);
    let shown = show(&mut terminal, Screen::new(daemon.to_string(), first), &events, &ask);
    ratatui::try_restore().context("cannot give the terminal back")?;
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
        // They last as long as this: an error can't be.
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
                // A new size, for example: it is drawn anew.
                Event::Terminal(Ok(_)) => {}
                Event::Terminal(Err(error)) => return Err(error).context("cannot read from the terminal"),
            }
        }
    }
}

/// Reads what happens at the terminal, to its end or that of the process.
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

/// Asks the daemon for as long as somebody wants to know: at intervals, and at once when something else is to be seen. No more
/// than half of the time, if it has much to tell.
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

/// Waits for SIGTERM and SIGINT; by keys, the latter doesn't come.
fn signals(events: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stop = {
        let _within = runtime.enter();
        Stop::new()?
    };
    thread::spawn(move || {
        runtime.block_on(stop.signalled());
        // It is about to end anyway, if that fails.
        let _ = events.send(Event::Signal);
    });
    Ok(())
}
