//! Behaviours towards peers that speak by hand, through lines that are held up or cut, on sockets of other programs, and of recordings,
//! which a thread writes.

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
