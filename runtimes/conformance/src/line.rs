//! A line to a server, for one connection at a time. A test can stall it and cut it.

use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use smol::Async;
use smol::channel::{self, Receiver, Sender};
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt, copy};
use smol::net::{TcpListener, TcpStream};
use socket2::{Domain, Socket, Type};

/// A line to a server. While it is stalled, the bytes that the server sends wait in the server's kernel, and then in the server.
#[derive(Debug)]
pub struct Line {
    /// The address to connect to.
    pub addr: SocketAddr,
    orders: Sender<Order>,
}

#[derive(Debug)]
enum Order {
    Open(bool),
    Cut,
    Count(Sender<usize>),
}

enum Event {
    Order(Order),
    Client(TcpStream),
    Bytes(usize),
    End,
}

impl Line {
    /// Opens a line to this server. It lasts until the returned value is dropped.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a free port");
        let addr = listener.local_addr().expect("it is bound");
        let (sender, orders) = channel::bounded(1);
        smol::spawn(Worker { server, listener, orders, open: true, bytes: 0 }.run()).detach();
        Self { addr, orders: sender }
    }

    /// Stalls the line: no more bytes pass from the server.
    pub async fn hold(&self) {
        self.order(Order::Open(false)).await;
    }

    /// Ends the stall.
    pub async fn release(&self) {
        self.order(Order::Open(true)).await;
    }

    /// Cuts the connection, if there is one. The line accepts the next one.
    pub async fn cut(&self) {
        self.order(Order::Cut).await;
    }

    /// Returns the number of bytes that have passed from the server.
    pub async fn passed(&self) -> usize {
        let (sender, answer) = channel::bounded(1);
        self.order(Order::Count(sender)).await;
        answer.recv().await.expect("the line answers")
    }

    async fn order(&self, order: Order) {
        self.orders.send(order).await.expect("the line lasts");
    }
}

struct Worker {
    server: SocketAddr,
    listener: TcpListener,
    orders: Receiver<Order>,
    open: bool,
    bytes: usize,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let client = async {
                match self.listener.accept().await {
                    Ok((client, _)) => Event::Client(client),
                    Err(_) => Event::End,
                }
            };
            match or(next(&self.orders), client).await {
                Event::Order(order) => self.obey(order),
                Event::Client(client) => {
                    if self.carry(client).await.is_none() {
                        return;
                    }
                }
                Event::Bytes(_) | Event::End => return,
            }
        }
    }

    /// Carries bytes until one of the ends closes the connection. Returns `None` if the line was dropped.
    async fn carry(&mut self, mut client: TcpStream) -> Option<()> {
        // If the server does not accept, the client stays connected without an answer.
        let Some(mut server) = connect(self.server) else { return Some(()) };
        let _up = smol::spawn(up(client.clone(), server.clone()));
        let mut buf = vec![0; 64 * 1024];
        loop {
            let bytes = async {
                if !self.open {
                    return std::future::pending().await;
                }
                Event::Bytes(server.read(&mut buf).await.unwrap_or(0))
            };
            match or(next(&self.orders), bytes).await {
                Event::Order(Order::Cut) | Event::Bytes(0) => return Some(()),
                Event::Order(order) => self.obey(order),
                Event::Bytes(n) => {
                    self.bytes += n;
                    if client.write_all(&buf[..n]).await.is_err() {
                        return Some(());
                    }
                }
                Event::Client(_) | Event::End => return None,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Open(open) => self.open = open,
            Order::Cut => {}
            Order::Count(answer) => {
                // The caller waits for this answer, so there is room.
                let _ = answer.try_send(self.bytes);
            }
        }
    }
}

async fn next(orders: &Receiver<Order>) -> Event {
    orders.recv().await.map_or(Event::End, Event::Order)
}

fn connect(server: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).expect("the system has sockets");
    // The buffer is small, so that waiting bytes are at the server.
    socket.set_recv_buffer_size(64 * 1024).expect("the size is allowed");
    socket.connect(&server.into()).ok()?;
    Some(Async::new(std::net::TcpStream::from(socket)).expect("the reactor takes sockets").into())
}

/// Carries bytes from the client to the server.
async fn up(mut client: TcpStream, mut server: TcpStream) {
    let _ = copy(&mut client, &mut server).await;
    let _ = server.shutdown(Shutdown::Write);
}
