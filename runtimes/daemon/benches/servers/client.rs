//! The client: a large table is received, kept, and withdrawn.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use metalbond::wire::UpdateAction;

use crate::figure::Figure;
use crate::peer::{PATIENCE, Peer};
use crate::process::{Process, Subject};
use crate::routes::{VNI, adds, updates};
use crate::scale::Scale;

pub(crate) async fn measure(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let server = subject.start();
    let mut announcer = Peer::announcer(&server, false, 0).await;
    announcer.send(&adds(scale.table)).await;
    server.rest();
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
    command.args(["client", "--server", &server.addr.to_string(), "--subscribe", &VNI.to_string()]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut printed = child.stdout.take().expect("it is piped");
    // For each piece of the client's output, its number of lines.
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(len @ 1..) = printed.read(&mut buffer) {
            let _ = sender.send(buffer[..len].iter().filter(|byte| **byte == b'\n').count());
        }
    });
    let read_lines = |mut count: u32| {
        while count > 0 {
            let lines = lines.recv_timeout(PATIENCE).expect("the client prints all");
            count = count.checked_sub(lines as u32).expect("no more than there are routes");
        }
    };
    let client = Process::of(child, server.addr);
    read_lines(scale.table);
    let into = client.rest();
    let memory = client.memory() as f64 / f64::from(scale.table);
    announcer.send(&updates(UpdateAction::Remove, 0..scale.table)).await;
    read_lines(scale.table);
    let out = client.rest() - into;
    let each = |cpu: Duration| cpu.as_nanos() as f64 / f64::from(scale.table);
    let name = format!("client, {} routes", scale.table);
    vec![
        Figure::new(format!("{name}: CPU per route, in"), each(into), "ns").at_most(1000.0),
        Figure::new(format!("{name}: CPU per route, out"), each(out), "ns").at_most(1000.0),
        Figure::new(format!("{name}: memory per route"), memory, "B").at_most(200.0),
    ]
}
