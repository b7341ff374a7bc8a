//! The tasks of a node: the only place that spawns them, and a signal for the end of all of them.
//!
//! No task outlives its node: the actor owns the [`Task`](crate::Task) of each, whose drop ends the task, and at the node's end waits for
//! [`Ended`].

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use async_channel::{Receiver, Sender};

use crate::Runtime;
use crate::mailbox::Events;

/// Spawns the tasks of a node.
#[derive(Debug)]
pub(crate) struct Tasks<R: Runtime> {
    runtime: R,
    events: Events<R>,
    /// Cloned into each task.
    alive: Token,
    ended: Ended,
}

impl<R: Runtime> Tasks<R> {
    pub(crate) fn new(runtime: R, events: Events<R>) -> Self {
        let (alive, ended) = token();
        Self { runtime, events, alive, ended }
    }

    pub(crate) const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Returns a channel from a task to the actor.
    pub(crate) fn events(&self) -> Events<R> {
        self.events.clone()
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> R::Task {
        let alive = self.alive.clone();
        self.runtime.spawn(async move {
            work.await;
            drop(alive);
        })
    }

    /// Returns the signal for the end of all tasks. No task can be spawned any more.
    pub(crate) fn into_ended(self) -> Ended {
        self.ended
    }
}

/// Makes a token, and the signal that all its clones have been dropped.
pub(crate) fn token() -> (Token, Ended) {
    let (token, ended) = async_channel::bounded(1);
    (Token(token), Ended(Arc::new(ended)))
}

/// A value whose clones keep its [`Ended`] waiting.
#[derive(Clone, Debug)]
pub(crate) struct Token(#[expect(dead_code, reason = "it is only dropped")] Sender<Infallible>);

/// The signal that all clones of a [`Token`] have been dropped.
#[derive(Clone, Debug)]
pub(crate) struct Ended(Arc<Receiver<Infallible>>);

impl Ended {
    pub(crate) async fn wait(&self) {
        // No message can come, so this waits until the last sender is dropped.
        let Err(_) = self.0.recv().await;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_closed()
    }
}
