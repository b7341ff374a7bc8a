//! The driver over real sockets on loopback. One file per subject; helpers in `support`.

mod hostile;
mod lifecycle;
mod listen;
mod reconnect;
mod routes;
mod slow;
mod support;
