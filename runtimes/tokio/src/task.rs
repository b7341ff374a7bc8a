//! Tasks that end with their owner, the one place that spawns them, and their way to the actor.

use std::convert::Infallible;
use std::future::Future;

use metalbond_driver::Message as CommonMessage;
pub(crate) use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the mailbox holds.
pub(crate) type Message = CommonMessage<TcpStream>;

/// The way to the actor.
pub(crate) type Mailbox = mpsc::Sender<Message>;

/// The actor's end of it.
pub(crate) type Inbox = mpsc::Receiver<Message>;

/// The two ends of a mailbox for this many messages.
pub(crate) fn mailbox(size: usize) -> (Mailbox, Inbox) {
    mpsc::channel(size)
}

/// A running task. Dropping it ends the task at its next wait.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    /// Waits for it to end by itself.
    pub(crate) async fn finish(mut self) {
        // An error says that it was aborted or panicked: over, either way.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Spawns tasks, tells them the way to the actor, and knows when all of them are gone.
#[derive(Debug)]
pub(crate) struct Tasks {
    mailbox: Mailbox,
    // Each task holds a sender; nothing is ever sent.
    alive: mpsc::Sender<Infallible>,
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
        Task(tokio::spawn(async move {
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
pub(crate) fn token() -> (mpsc::Sender<Infallible>, Gone) {
    let (token, gone) = mpsc::channel(1);
    (token, Gone(gone))
}

/// Says when all of it is gone.
#[derive(Debug)]
pub(crate) struct Gone(mpsc::Receiver<Infallible>);

impl Gone {
    pub(crate) async fn wait(&mut self) {
        // No message can come: this is the end of the last sender.
        let None = self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_question_that_nobody_will_take_ends_though_its_sender_lives() {
        let (mailbox, inbox) = mailbox(2);
        let (sender, mut answer) = mpsc::channel::<()>(1);
        let answers = Box::new(move |()| drop(sender));
        mailbox.send(Message::Shutdown { cleanup: false, answer: Some(answers) }).await.unwrap();
        drop(inbox);
        assert!(answer.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_dropped_task_lets_go_of_what_it_holds() {
        let tasks = Tasks::new(mailbox(1).0);
        let (sender, mut answer) = mpsc::channel::<()>(1);
        let task = tasks.spawn(async move {
            pending::<()>().await;
            drop(sender);
        });
        drop(task);
        assert!(answer.recv().await.is_none());
        tasks.into_gone().wait().await;
    }
}
