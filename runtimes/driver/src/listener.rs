//! A listener: the task that accepts the connections of one address. Only the actor ends it.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Runtime;
use crate::budget::ACCEPT_PAUSE;
use crate::clock::Clock;
use crate::log::AcceptLog;
use crate::mailbox::{Event, Events};
use crate::tls::Transport;

/// Accepts connections for the actor. An error does not end it: the usual one is a lack of descriptors, which passes.
pub(crate) async fn accept<R: Runtime>(
    listener: R::Listener,
    local: SocketAddr,
    transport: Transport,
    clock: Clock<R>,
    events: Events<R>,
) {
    let mut log = AcceptLog::new(local);
    loop {
        let accept = clock.runtime().accept(&listener);
        let accepted = match log.poll_timeout() {
            None => accept.await,
            Some(at) => {
                let accepted = clock.timeout_at(at, accept).await;
                log.tick(clock.now());
                let Some(accepted) = accepted else { continue };
                accepted
            }
        };
        match accepted {
            Ok((stream, address)) => {
                log.succeeded();
                let accepted = Event::Accepted { stream, remote: canonical(address), transport };
                if events.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(e) => {
                log.failed(clock.now(), &e);
                clock.sleep(accept_pause(&e)).await;
            }
        }
    }
}

/// Returns the address in its usual form: an IPv4-mapped IPv6 address becomes IPv4. A link-local address keeps its scope id, because it
/// names no host without it.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Returns how long a listener waits after an error: not at all if only the connection that it would have accepted is broken.
fn accept_pause(error: &io::Error) -> Duration {
    match error.kind() {
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => Duration::ZERO,
        _ => ACCEPT_PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_on_an_ipv6_socket_is_ipv4_and_a_link_local_address_keeps_its_link() {
        for address in ["[fe80::1%2]:1", "[2001:db8::1]:1", "192.0.2.1:1"] {
            assert_eq!(canonical(address.parse().unwrap()).to_string(), address);
        }
        assert_eq!(canonical("[::ffff:192.0.2.1]:1".parse().unwrap()).to_string(), "192.0.2.1:1");
    }
}
