//! A driver of one's own: a readiness loop on poll(2), in one thread, with nothing asynchronous. What is particular to it
//! is here; what every driver needs is metalbond-driver's.
//!
//! - `cargo run -p metalbond-driver --example event_loop`: a server and a client in one loop exchange routes, and end.
//! - `cargo run -p metalbond-driver --example event_loop -- server 127.0.0.1:4711`
//! - `cargo run -p metalbond-driver --example event_loop -- client 127.0.0.1:4711 23 [10.0.23.1/32 2001:db8::1]`

mod driver;
mod link;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use metalbond::{Command, NextHop, Route, Vni};
use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

use crate::driver::Driver;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => both(),
        ["server", addr] => server(addr),
        ["client", addr, vni] => client(addr, vni, None),
        ["client", addr, vni, prefix, next_hop] => client(addr, vni, Some((prefix, next_hop))),
        _ => Err("usage: event_loop [server ADDR | client ADDR VNI [PREFIX NEXTHOP]]".into()),
    };
    result.map_or_else(
        |e| {
            eprintln!("{e}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn server(addr: &str) -> Result<(), Box<dyn Error>> {
    let mut server = Driver::new("server")?;
    println!("listening on {}", server.listen(addr.parse()?)?);
    run(&mut [server], |_| false)
}

fn client(addr: &str, vni: &str, announced: Option<(&str, &str)>) -> Result<(), Box<dyn Error>> {
    let vni = Vni(vni.parse()?);
    let mut client = Driver::new("client")?;
    client.command(Command::Subscribe(vni))?;
    if let Some((prefix, next_hop)) = announced {
        let next_hop = NextHop::standard(next_hop.parse()?);
        client.command(Command::Announce(Route { vni, prefix: prefix.parse()?, next_hop }))?;
    }
    client.command(Command::AddPeer { endpoint: addr.into() })?;
    run(&mut [client], |_| false)
}

fn both() -> Result<(), Box<dyn Error>> {
    let vni = Vni(23);
    let mut drivers = [Driver::new("server")?, Driver::new("client")?];
    for (driver, host) in drivers.iter_mut().zip(1..) {
        let next_hop = NextHop::standard(format!("2001:db8::{host}").parse()?);
        driver.command(Command::Announce(Route { vni, prefix: format!("10.0.23.{host}/32").parse()?, next_hop }))?;
        driver.command(Command::Subscribe(vni))?;
    }
    let addr = drivers[0].listen("127.0.0.1:0".parse()?)?;
    println!("listening on {addr}");
    drivers[1].command(Command::AddPeer { endpoint: addr.to_string().into() })?;

    // The loop is this program's own: between two rounds it looks at the nodes as it likes.
    run(&mut drivers, |drivers| drivers.iter().all(|driver| driver.node().learned(vni).count() == 1))?;
    drivers[1].command(Command::Shutdown { cleanup: true })?;
    run(&mut drivers, |drivers| drivers[1].is_over() && drivers[0].node().learned(vni).count() == 0)?;
    drivers[0].command(Command::Shutdown { cleanup: false })?;
    run(&mut drivers, |drivers| drivers[0].is_over())?;
    println!("done");
    Ok(())
}

/// Waits until a socket is ready or something is due, and gives each driver its turn; over and over.
fn run(drivers: &mut [Driver], is_done: impl Fn(&[Driver]) -> bool) -> Result<(), Box<dyn Error>> {
    while !is_done(drivers) {
        let mut fds: Vec<PollFd<'_>> = drivers.iter().flat_map(Driver::interests).collect();
        let wait = drivers.iter().filter_map(Driver::wait).min().map(Timespec::try_from).transpose()?;
        match poll(&mut fds, wait.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        // The same sockets in the same order, now without borrowing them.
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        for driver in &mut *drivers {
            driver.turn(&mut ready);
        }
    }
    Ok(())
}
