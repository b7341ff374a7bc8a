//! Announcements from standard input, as they arrive.

use std::io::Write as _;

use crate::process::{Process, Server};
use crate::table::Follower;

const A: &str = "23#10.0.0.1/32#2001:db8::1";
const A_PRINTED: &str = "23 10.0.0.1/32 via 2001:db8::1";
const B: &str = "23#10.0.0.2/32#2001:db8::1#NAT#7#9";
const B_PRINTED: &str = "23 10.0.0.2/32 via 2001:db8::1 NAT 7-9";

fn setup() -> (Server, Process, Follower) {
    let server = Server::on_loopback(&[]);
    let feeder = Process::client(&server.addrs, &["--announce-file", "-"]);
    let watcher = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    (server, feeder, watcher)
}

#[test]
fn a_line_announces_and_one_with_a_leading_minus_withdraws() {
    let (_server, mut feeder, mut watcher) = setup();
    feeder.write(&format!("{A}\n"));
    watcher.expect(&format!("+ {A_PRINTED}"));
    feeder.write(&format!("# a comment\n\n{B}\r\n"));
    watcher.expect(&format!("+ {B_PRINTED}"));
    feeder.write(&format!("-{A}\n"));
    watcher.expect(&format!("- {A_PRINTED}"));
    feeder.write(&format!("{A}\n- {B}\n"));
    watcher.until(&[A_PRINTED]);
}

#[test]
fn a_line_that_comes_in_pieces_is_one_line() {
    let (_server, mut feeder, mut watcher) = setup();
    let (head, tail) = A.split_at(12);
    feeder.write(&format!("{B}\n{head}"));
    watcher.expect(&format!("+ {B_PRINTED}"));
    feeder.write(&format!("{tail}\n"));
    watcher.expect(&format!("+ {A_PRINTED}"));
}

#[test]
fn a_bad_line_is_reported_with_its_number_and_the_others_are_used() {
    let (_server, mut feeder, mut watcher) = setup();
    feeder.write(&format!(
        "{A}\nnonsense\n\n23#10.0.0.0/33#2001:db8::1\n{B}\n-23#10.9.9.9/32#2001:db8::1\n23#10.0.0.0/8#fe80::1\n"
    ));
    watcher.until(&[A_PRINTED, B_PRINTED]);
    assert!(feeder.log("standard input:2: ").contains("not of the form"));
    assert!(feeder.log("standard input:4: ").contains("prefix length 33 is over 32"));
    let said = feeder.log("standard input:7: ");
    assert!(said.contains("next hop 'fe80::1' is a link-local address"), "{said}");
}

#[test]
fn announcements_stay_after_the_end_of_the_input() {
    let (server, mut feeder, mut watcher) = setup();
    // The last line may lack a line end.
    feeder.write(&format!("{A}\n{B}"));
    feeder.close_stdin();
    feeder.log("standard input has ended");
    watcher.until(&[A_PRINTED, B_PRINTED]);
    let mut late = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    late.until(&[A_PRINTED, B_PRINTED]);
}

#[test]
fn lines_written_before_the_server_starts_are_not_lost() {
    let addr = crate::ports::fixed(5);
    let mut feeder = Process::client(&[addr], &["--announce-file", "-"]);
    feeder.write(&format!("{A}\n{B}\n-{B}\n"));
    feeder.close_stdin();
    feeder.log("standard input has ended");
    let server = Server::start(&[&addr.to_string()], &[]);
    let mut watcher = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    watcher.expect(&format!("+ {A_PRINTED}"));
}

#[test]
fn many_lines_arrive_completely() {
    let (_server, mut feeder, mut watcher) = setup();
    let mut flood = Vec::new();
    for n in 0..20_000 {
        writeln!(flood, "23#10.1.{}.{}/32#2001:db8::1", n >> 8, n & 255).unwrap();
    }
    feeder.write(str::from_utf8(&flood).unwrap());
    while watcher.table().len() < 20_000 {
        watcher.step();
    }
    feeder.write(&format!("{A}\n"));
    watcher.expect(&format!("+ {A_PRINTED}"));
}
