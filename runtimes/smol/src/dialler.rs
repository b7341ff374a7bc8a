//! The dialler: a task for one attempt to reach a server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use metalbond::ConnId;
use metalbond_common::DIAL_EACH;
use smol::net::resolve;

use crate::task::{Mailbox, Message, TcpStream};
use crate::time::timeout;

/// Resolves the name anew, tries its addresses in order, and tells the actor. How long it may take in all is the
/// node's business, which ends the task when it has waited enough.
pub(crate) async fn dial(conn: ConnId, endpoint: Arc<str>, mailbox: Mailbox) {
    let result = reach(&endpoint).await.map_err(|e| e.to_string().into());
    // Without an actor nobody wants the connection.
    let _ = mailbox.send(Message::Dialled { conn, result }).await;
}

async fn reach(endpoint: &str) -> io::Result<(TcpStream, SocketAddr)> {
    connect(resolve(endpoint).await?).await
}

async fn connect(addrs: impl IntoIterator<Item = SocketAddr>) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut addrs = addrs.into_iter().peekable();
    while let Some(addr) = addrs.next() {
        let connecting = TcpStream::connect(addr);
        let result = if addrs.peek().is_some() {
            // A dead address must not use up the time of those behind it.
            timeout(DIAL_EACH, connecting).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
        } else {
            connecting.await
        };
        match result {
            Ok(stream) => return Ok((stream, addr)),
            Err(e) => last = io::Error::new(e.kind(), format!("{addr}: {e}")),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use macro_rules_attribute::apply;
    use smol::net::TcpListener;
    use smol_macros::test;

    use super::*;

    #[apply(test!)]
    async fn a_server_that_is_reached_is_named_by_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stream, reached) = reach(&addr.to_string()).await.unwrap();
        assert_eq!((reached, stream.get_ref().peer_addr().unwrap()), (addr, addr));
    }

    #[apply(test!)]
    async fn a_server_that_refuses_is_named_in_the_error() {
        let placeholder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = placeholder.local_addr().unwrap();
        drop(placeholder);
        let error = reach(&addr.to_string()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with(&format!("{addr}: ")), "{error}");
    }

    #[apply(test!)]
    async fn a_name_that_cannot_exist_is_an_error() {
        assert!(reach(&format!("{}:4711", "a".repeat(64))).await.is_err());
    }

    #[apply(test!)]
    async fn an_address_that_refuses_is_passed_over() {
        let placeholder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = placeholder.local_addr().unwrap();
        drop(placeholder);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        assert_eq!(connect([dead, dead, alive, dead]).await.unwrap().1, alive);
        assert_eq!(connect([]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
