//! Routes in a kernel (FIB): what is wanted against what is installed, and the operations that lead from one to the other.
//! Pure, like the rest of this crate; `metalbond-linux` carries the operations out.

mod op;

pub use op::{Found, FoundObject, Leg, Legs, Notice, Op, OpError, OpErrorKind, Via};
