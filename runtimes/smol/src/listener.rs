//! The listener: a task for one address, which nothing but the actor ends.

use std::io;
use std::net::SocketAddr;

use crate::task::{Mailbox, Message, TcpListener};
use crate::time::{sleep, timeout_at};
use metalbond_driver::{AcceptLog, Clock, Transport, accept_pause, adopt, listen, remote};

/// A listener on the address, and the address with the port that it got.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::new_nonblocking(listen(addr)?)?;
    let local = listener.get_ref().local_addr()?;
    Ok((listener, local))
}

/// A listener on a socket that somebody else has bound, and its address.
pub(crate) fn take_over(listener: std::net::TcpListener) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::new_nonblocking(adopt(listener)?)?;
    let local = listener.get_ref().local_addr()?;
    Ok((listener, local))
}

/// Accepts connections for the actor. An error is no reason to stop: descriptors, the usual shortage, come back.
pub(crate) async fn accept(
    listener: TcpListener,
    local: SocketAddr,
    transport: Transport,
    clock: Clock,
    mailbox: Mailbox,
) {
    let mut log = AcceptLog::new(local);
    loop {
        let accepted = match log.poll_timeout().and_then(|at| clock.system(at)) {
            None => listener.accept().await,
            Some(at) => {
                let accepted = timeout_at(at, listener.accept()).await;
                log.tick(clock.now());
                let Some(accepted) = accepted else { continue };
                accepted
            }
        };
        match accepted {
            Ok((stream, addr)) => {
                log.succeeded();
                let accepted = Message::Accepted { stream, remote: remote(addr), transport };
                if mailbox.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(e) => {
                log.failed(clock.now(), &e);
                sleep(accept_pause(&e)).await;
            }
        }
    }
}
