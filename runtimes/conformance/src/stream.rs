//! A TCP connection that a test drives by bytes, with or without TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

/// The connection. Over TLS, the handshake begins at the first read or write.
#[derive(Debug)]
pub struct RawStream {
    tcp: TcpStream,
    tls: Option<ClientConnection>,
}

impl RawStream {
    pub(crate) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// Adds TLS. The caller says which server it dialled: a connection that the server has reset since then no longer knows.
    pub(crate) fn over(self, server: IpAddr, config: &Arc<ClientConfig>) -> Self {
        let tls = ClientConnection::new(Arc::clone(config), server.into()).expect("the configuration is right");
        Self { tls: Some(tls), ..self }
    }

    /// Returns the TLS state, for tests that misuse it.
    ///
    /// # Panics
    /// If the connection has no TLS.
    pub fn tls(&mut self) -> &mut ClientConnection {
        self.tls.as_mut().expect("it is over TLS")
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// The system's error, or that of rustls.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.tls.is_none() {
            return self.tcp.write_all(bytes).await;
        }
        while self.tls().is_handshaking() {
            self.flush().await?;
            if self.tls().is_handshaking() {
                self.receive().await?;
            }
        }
        while !bytes.is_empty() {
            let written = self.tls().writer().write(bytes)?;
            bytes = &bytes[written..];
            self.flush().await?;
        }
        self.flush().await
    }

    /// Reads some bytes. Returns 0 when the other end has ended its stream.
    ///
    /// # Errors
    /// The system's error, or that of rustls.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.tls.is_none() {
            return self.tcp.read(buf).await;
        }
        loop {
            match self.tls().reader().read(buf) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.flush().await?;
                    self.receive().await?;
                }
                result => return result,
            }
        }
    }

    /// Reads until the buffer is full.
    ///
    /// # Errors
    /// The system's error, or that of rustls; `UnexpectedEof` at the end of the stream.
    pub async fn read_exact(&mut self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let n = self.read(buf).await?;
            if n == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            buf = &mut buf[n..];
        }
        Ok(())
    }

    /// Ends the sending direction. Reading is still possible.
    ///
    /// # Errors
    /// The system's error.
    pub async fn close(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            self.flush().await?;
        }
        self.tcp.shutdown(Shutdown::Write)
    }

    /// Sets whether written bytes are sent at once.
    ///
    /// # Errors
    /// The system's error.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.tcp.set_nodelay(nodelay)
    }

    /// Writes the bytes that TLS has ready.
    ///
    /// # Errors
    /// The system's error.
    pub async fn flush(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls().wants_write() {
            self.tls().write_tls(&mut bytes)?;
        }
        self.tcp.write_all(&bytes).await
    }

    async fn receive(&mut self) -> io::Result<()> {
        let mut buf = [0; 4096];
        let n = self.tcp.read(&mut buf).await?;
        let tls = self.tls();
        if n == 0 && tls.is_handshaking() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // An empty slice signals the end to TLS.
        tls.read_tls(&mut &buf[..n])?;
        let processed = tls.process_new_packets().map_err(io::Error::other);
        if processed.is_err() {
            // Sends the alert.
            let _ = self.flush().await;
        }
        processed.map(|_| ())
    }
}

impl AsFd for RawStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}
