//! The dialler: a task for one attempt to reach a server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use metalbond::ConnId;
use metalbond_driver::{DialOrder, connect_any};
use tokio::net::{TcpStream, lookup_host};

use crate::task::{Mailbox, Message};
use crate::time::sleep;

/// Resolves the name anew, tries its addresses in this dial's order, and reports the result to the actor. The node limits the time of the
/// whole dial: it ends the task after the handshake timeout.
pub(crate) async fn dial(conn: ConnId, endpoint: Arc<str>, order: DialOrder, mailbox: Mailbox) {
    let result = reach(&endpoint, order).await.map_err(|e| e.to_string().into());
    // Without an actor nobody wants the connection.
    let _ = mailbox.send(Message::Dialled { conn, result }).await;
}

async fn reach(endpoint: &str, order: DialOrder) -> io::Result<(TcpStream, SocketAddr)> {
    connect(order.arrange(lookup_host(endpoint).await?.collect())).await
}

async fn connect(addrs: Vec<SocketAddr>) -> io::Result<(TcpStream, SocketAddr)> {
    connect_any(addrs, TcpStream::connect, sleep).await
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_that_is_reached_is_named_by_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stream, reached) = reach(&addr.to_string(), DialOrder::default()).await.unwrap();
        assert_eq!((reached, stream.peer_addr().unwrap()), (addr, addr));
    }

    #[tokio::test]
    async fn a_server_that_refuses_is_named_in_the_error() {
        let placeholder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = placeholder.local_addr().unwrap();
        drop(placeholder);
        let error = reach(&addr.to_string(), DialOrder::default()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with(&format!("{addr}: ")), "{error}");
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_is_an_error() {
        assert!(reach(&format!("{}:4711", "a".repeat(64)), DialOrder::default()).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        let placeholder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = placeholder.local_addr().unwrap();
        drop(placeholder);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        assert_eq!(connect(vec![dead, dead, alive, dead]).await.unwrap().1, alive);
        assert_eq!(connect(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// The backlog of the first address is full, so no attempt to connect to it is answered.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn four_addresses_that_do_not_answer_leave_the_fifth_its_time() {
        use socket2::{Domain, Socket, Type};

        let new = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let (full, waiting, refused) = (new(), new(), new());
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap();
        for socket in [&waiting, &refused] {
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&silent);
        }
        let silent = silent.as_socket().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let begin = std::time::Instant::now();
        assert_eq!(connect(vec![silent, silent, silent, silent, alive]).await.unwrap().1, alive);
        assert!(begin.elapsed() < metalbond::Config::default().handshake_timeout, "the dial ends then");
    }
}
