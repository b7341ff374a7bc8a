//! Behaviours with real sockets: towards peers that a test drives by bytes, through lines that are stalled or cut, and on sockets of other
//! programs. Also those of recordings, which a thread writes.

mod hold;
mod hostile;
mod lifecycle;
mod limits;
mod listen;
mod policy;
mod reconnect;
mod record;
mod shutdown;
mod slow;
