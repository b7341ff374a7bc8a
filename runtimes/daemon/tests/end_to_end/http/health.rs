//! Liveness and readiness.

use super::{Web, get, place};
use crate::ports::fixed;
use crate::process::{Process, Server, Signal};

#[test]
fn a_server_is_ready_when_it_listens() {
    let web = Web::start(&[]);
    assert_eq!((web.get("/healthz").status, web.get("/healthz").body.as_str()), (200, "ok\n"));
    assert_eq!((web.get("/readyz").status, web.get("/readyz").body.as_str()), (200, "ready\n"));
}

#[test]
fn a_client_is_ready_when_a_server_is_synced() {
    let addr = fixed(8);
    let mut client = Process::client(&[addr], &["--subscribe", "23", "--http", "127.0.0.1:0"]);
    let http = place(&mut client);
    client.log("RETRY");
    assert_eq!(get(http, "/healthz").status, 200);
    let answer = get(http, "/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (503, "waiting for the routes of a server\n"));
    let status = get(http, "/api/v1/status").json();
    assert_eq!((&status["ready"], &status["waiting_for"][0]), (&false.into(), &"the routes of a server".into()));
    let server = Server::start(&[&addr.to_string()], &[]);
    super::until(http, "/api/v1/status", |status| status["ready"] == true);
    assert_eq!(get(http, "/readyz").status, 200);
    drop(server);
    super::until(http, "/api/v1/status", |status| status["ready"] == false);
}

#[test]
fn http_ends_with_the_daemon_even_with_a_follower() {
    let mut web = Web::start(&[]);
    let mut followed = super::Followed::at(web.http, "/api/v1/events");
    web.server.process.signal(Signal::TERM);
    assert!(followed.next().is_none());
    web.server.process.log("SIGTERM");
    let (ended, _) = web.server.process.end();
    assert_eq!(ended.code, Some(0));
}

#[test]
fn a_taken_port_is_an_error_and_nothing_starts() {
    let web = Web::start(&[]);
    let ended = crate::process::run(&["server", "--listen", "127.0.0.1:0", "--http", &web.http.to_string()]);
    assert_eq!(ended.code, Some(1));
    let said = ended.stderr.join("\n");
    assert!(said.contains(&format!("cannot listen for HTTP on {}: Address already in use", web.http)), "{said}");
}
