//! Tasks that end with their owner, the one place that spawns them, and their way to the actor.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use metalbond_driver::Message as CommonMessage;
use smol::Async;
use smol::channel::{self, Receiver, Sender, TryRecvError};
use smol::future::FutureExt;

pub(crate) type TcpListener = Async<std::net::TcpListener>;
pub(crate) type TcpStream = Async<std::net::TcpStream>;

/// What the mailbox holds.
pub(crate) type Message = CommonMessage<TcpStream>;

/// The way to the actor.
pub(crate) type Mailbox = Sender<Message>;

/// The actor's end of it.
#[derive(Debug)]
pub(crate) struct Inbox(Receiver<Message>);

/// The two ends of a mailbox for this many messages.
pub(crate) fn mailbox(size: usize) -> (Mailbox, Inbox) {
    let (sender, receiver) = channel::bounded(size);
    (sender, Inbox(receiver))
}

impl Inbox {
    pub(crate) async fn recv(&mut self) -> Option<Message> {
        self.0.recv().await.ok()
    }

    pub(crate) fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.0.try_recv()
    }

    pub(crate) fn close(&mut self) {
        self.0.close();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // The channel would keep what is in it for as long as there is a handle; whoever waits for an answer is told by
        // the end of the question.
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

/// A running task. Dropping it ends the task at its next wait.
#[derive(Debug)]
pub(crate) struct Task(smol::Task<()>);

impl Task {
    /// Waits for it to end by itself.
    pub(crate) async fn finish(self) {
        // If it panicked it is over, too.
        let _ = AssertUnwindSafe(self.0.fallible()).catch_unwind().await;
    }
}

/// Spawns tasks, tells them the way to the actor, and knows when all of them are gone.
#[derive(Debug)]
pub(crate) struct Tasks {
    mailbox: Mailbox,
    // Each task holds a sender; nothing is ever sent.
    alive: Sender<Infallible>,
    gone: Gone,
}

impl Tasks {
    pub(crate) fn new(mailbox: Mailbox) -> Self {
        let (alive, gone) = token();
        Self { mailbox, alive, gone }
    }

    pub(crate) fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Task {
        let alive = self.alive.clone();
        Task(smol::spawn(async move {
            work.await;
            drop(alive);
        }))
    }

    /// The end of all tasks: to be waited for when nothing is spawned any more.
    pub(crate) fn into_gone(self) -> Gone {
        self.gone
    }
}

/// Something to hold, and what knows when it and its clones are gone.
pub(crate) fn token() -> (Sender<Infallible>, Gone) {
    let (token, gone) = channel::bounded(1);
    (token, Gone(gone))
}

/// Says when all of it is gone.
#[derive(Debug)]
pub(crate) struct Gone(Receiver<Infallible>);

impl Gone {
    pub(crate) async fn wait(&mut self) {
        // No message can come: this is the end of the last sender.
        let Err(_) = self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use macro_rules_attribute::apply;
    use smol_macros::test;

    use super::*;

    #[apply(test!)]
    async fn a_question_that_nobody_will_take_ends_though_its_sender_lives() {
        let (mailbox, inbox) = mailbox(2);
        let (sender, answer) = channel::bounded::<()>(1);
        let answers = Box::new(move |()| drop(sender));
        mailbox.send(Message::Shutdown { cleanup: false, answer: Some(answers) }).await.unwrap();
        drop(inbox);
        assert!(answer.recv().await.is_err());
    }

    #[apply(test!)]
    async fn a_dropped_task_lets_go_of_what_it_holds() {
        let tasks = Tasks::new(mailbox(1).0);
        let (sender, answer) = channel::bounded::<()>(1);
        let task = tasks.spawn(async move {
            pending::<()>().await;
            drop(sender);
        });
        drop(task);
        assert!(answer.recv().await.is_err());
        tasks.into_gone().wait().await;
    }
}
