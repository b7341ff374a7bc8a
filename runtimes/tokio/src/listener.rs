//! The listener: a task for one address, which nothing but the actor ends.

use std::io;
use std::net::SocketAddr;

use metalbond_common::{AcceptLog, accept_pause, listen, remote};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::task::{Mailbox, Message};

/// A listener on the address, and the address with the port that it got.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::from_std(listen(addr)?)?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

/// Accepts connections for the actor. An error is no reason to stop: descriptors, the usual shortage, come back.
pub(crate) async fn accept(listener: TcpListener, local: SocketAddr, mailbox: Mailbox) {
    let mut log = AcceptLog::new(local);
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                log.succeeded();
                if mailbox.send(Message::Accepted { stream, remote: remote(addr) }).await.is_err() {
                    return;
                }
            }
            Err(e) => {
                log.failed(&e);
                sleep(accept_pause(&e)).await;
            }
        }
    }
}
