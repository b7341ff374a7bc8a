//! The thread that keeps the kernel's routes as they are wanted: the loop with a [`Fib`] and a [`Kernel`].

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Clock};

use async_channel::{Receiver, Sender};
use metalbond::fib::{DeviceState, Fib, FibStats, Notice, OpError, OpErrorKind};
use metalbond::{Instant, Route, RouteChange};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::Kernel;
use crate::log::Log;
use crate::retry::Retry;

/// The most messages that wait for the thread. When there are as many, senders wait.
const WAITING: usize = 64;
/// The number of operations in one iteration: the kernel takes as many quickly in one send.
const BATCH: usize = 128;
/// The time without progress after which a cleanup ends without completing.
const STUCK: Duration = Duration::from_secs(2);
/// A handle of the thread. When the last handle is dropped, the thread ends, and the routes stay.
#[derive(Clone, Debug)]
pub struct KernelRoutes {
    messages: Sender<Message>,
    needs_servers: bool,
    // Dropped after the sender, so that the thread wakes when the sender is gone, and sees whether it was the last.
    wake: Wake,
}

/// Wakes the thread, also when it is dropped.
#[derive(Clone, Debug)]
struct Wake(Arc<OwnedFd>);

impl Wake {
    fn up(&self) {
        // Fails if the counter is at its limit: then the thread is awake anyway.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.up();
    }
}

/// The error when the thread has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the thread that installs routes has ended")]
pub struct Ended;

#[derive(Debug)]
enum Message {
    Changes(Vec<RouteChange>),
    Announced(Vec<Route>),
    Withdrawn(Vec<Route>),
    Servers(Vec<IpAddr>),
    ReleaseAdopted,
    Stats(Sender<FibStats>),
    Stop { cleanup: bool, ended: Sender<FibStats> },
}

impl KernelRoutes {
    /// Starts the thread. It first reads the kernel's state.
    ///
    /// # Errors
    /// If the system has no free descriptor, or cannot start a thread.
    pub fn start(fib: Fib, kernel: Kernel) -> io::Result<Self> {
        let (messages, receiver) = async_channel::bounded(WAITING);
        let needs_servers = fib.needs_servers();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let worker = Worker::new(fib, kernel, receiver, Arc::clone(&wake));
        thread::Builder::new().name("fib".to_owned()).spawn(move || worker.run())?;
        Ok(Self { messages, needs_servers, wake: Wake(wake) })
    }

    /// Passes changes of routes to the thread. Waits if the thread has many messages to handle, but never for the kernel.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn change(&self, changes: Vec<RouteChange>) -> Result<(), Ended> {
        self.send(Message::Changes(changes)).await
    }

    /// Notes routes that this node announces itself: see [`Fib::announced`].
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn announced(&self, routes: Vec<Route>) -> Result<(), Ended> {
        self.send(Message::Announced(routes)).await
    }

    /// Notes routes that this node no longer announces itself: see [`Fib::withdrawn`].
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn withdrawn(&self, routes: Vec<Route>) -> Result<(), Ended> {
        self.send(Message::Withdrawn(routes)).await
    }

    /// Returns whether [`servers`](Self::servers) has an effect.
    pub fn needs_servers(&self) -> bool {
        self.needs_servers
    }

    /// Sets the addresses of the servers: see [`Fib::set_servers`].
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn servers(&self, servers: Vec<IpAddr>) -> Result<(), Ended> {
        self.send(Message::Servers(servers)).await
    }

    /// Notes that all wanted routes have been passed on: see [`Fib::release_adopted`].
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn release_adopted(&self) -> Result<(), Ended> {
        self.send(Message::ReleaseAdopted).await
    }

    /// Returns the current statistics.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn stats(&self) -> Result<FibStats, Ended> {
        let (sender, answer) = async_channel::bounded(1);
        self.send(Message::Stats(sender)).await?;
        answer.recv().await.map_err(|_| Ended)
    }

    /// Ends the thread. With `cleanup`, it first removes all routes and objects that the kernel lets it remove; otherwise they stay.
    /// Returns the last statistics.
    ///
    /// # Errors
    /// [`Ended`] if the thread had ended before.
    pub async fn stop(&self, cleanup: bool) -> Result<FibStats, Ended> {
        let (ended, answer) = async_channel::bounded(1);
        self.send(Message::Stop { cleanup, ended }).await?;
        answer.recv().await.map_err(|_| Ended)
    }

    async fn send(&self, message: Message) -> Result<(), Ended> {
        self.messages.send(message).await.map_err(|_| Ended)?;
        self.wake.up();
        Ok(())
    }
}

/// The time between two looks at a device whose return the kernel does not report.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Worker {
    fib: Fib,
    kernel: Kernel,
    messages: Receiver<Message>,
    wake: Arc<OwnedFd>,
    started: Clock,
    log: Log,
    /// The back-off of reading the kernel's notices after a failure.
    notices: Retry,
    /// Whether what earlier settings have left was taken over.
    has_taken_over: bool,
    /// The back-off of that.
    start: Retry,
    /// When the state of the device was last read.
    device_seen: Instant,
    /// How many operations had succeeded when it was last looked for what is left of earlier settings.
    looked_at: Option<u64>,
    /// The cleanup that is under way: the channel for its result, and the time of its last progress.
    cleanup: Option<(Sender<FibStats>, Instant)>,
}

/// The result of an iteration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Iteration {
    Busy,
    Idle,
    End,
}

impl Worker {
    fn new(fib: Fib, kernel: Kernel, messages: Receiver<Message>, wake: Arc<OwnedFd>) -> Self {
        let (started, log, notices) = (Clock::now(), Log::default(), Retry::default());
        Self {
            fib,
            kernel,
            messages,
            wake,
            started,
            log,
            notices,
            has_taken_over: false,
            start: Retry::default(),
            device_seen: Instant::EPOCH,
            looked_at: None,
            cleanup: None,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_epoch(self.started.elapsed())
    }

    fn run(mut self) {
        loop {
            match self.iterate() {
                Iteration::Busy => {}
                Iteration::Idle => self.wait(),
                Iteration::End => break,
            }
        }
        if let Some((ended, _)) = self.cleanup.take() {
            if self.fib.stats().installed == 0 {
                self.forget_settings();
            }
            self.log.finish();
            let _ = ended.try_send(self.fib.stats());
        }
    }

    /// Runs an iteration: handles messages, reads the kernel's state if that is due, then carries out some operations.
    fn iterate(&mut self) -> Iteration {
        let mut is_busy = false;
        for _ in 0..WAITING {
            match self.messages.try_recv() {
                Ok(Message::Stop { cleanup: false, ended }) => {
                    let _ = ended.try_send(self.fib.stats());
                    return Iteration::End;
                }
                Ok(message) => self.take(message),
                Err(error) if error.is_closed() && self.cleanup.is_none() => return Iteration::End,
                Err(_) => break,
            }
            is_busy = true;
        }
        let now = self.now();
        if self.take_over(now) {
            is_busy |= self.step(now);
        }
        let now = self.now();
        while let Some(report) = self.fib.poll_report() {
            self.log.say(now, &report);
        }
        self.log.tick(now);
        match &self.cleanup {
            Some((_, since)) if self.fib.is_settled() || now.saturating_since(*since) > STUCK => Iteration::End,
            _ if is_busy => Iteration::Busy,
            _ => Iteration::Idle,
        }
    }

    /// Reads what has changed in the kernel, and carries out some operations. Returns false if there was nothing to do.
    fn step(&mut self, now: Instant) -> bool {
        self.read_notices(now);
        if self.kernel.device() == DeviceState::Ipv6Disabled && self.next_look_at_device() <= now {
            self.look_at_device();
        }
        let is_due = self.fib.needs_dump(now);
        if is_due {
            self.dump();
        }
        let has_worked = self.work();
        self.look_for_remains();
        is_due || has_worked
    }

    /// Takes over what earlier settings have left, before anything else is done in the kernel. Returns whether that is done.
    fn take_over(&mut self, now: Instant) -> bool {
        if !self.has_taken_over {
            let Self { kernel, log, start, .. } = self;
            match start.attempt(now, || kernel.take_over()) {
                None => {}
                Some(Ok(())) => self.has_taken_over = true,
                Some(Err(error)) => {
                    let tries = start.failures();
                    log.trouble(now, "cannot read what earlier settings have left; it is read again", &error, tries);
                }
            }
        }
        self.has_taken_over
    }

    /// Reads the changes of other programs. If that fails, the kernel's whole state is read instead, and the next attempt waits longer each
    /// time: a socket that stays broken costs neither processor time nor log lines.
    fn read_notices(&mut self, now: Instant) {
        let Self { fib, kernel, notices, log, .. } = self;
        if let Some(Err(error)) = notices.attempt(now, || kernel.notices(|notice| fib.notice(now, notice))) {
            // Log the 1st, 2nd, 4th, 8th consecutive failure, and so on.
            if notices.failures().is_power_of_two() {
                let tries = notices.failures();
                log.trouble(now, "cannot read the kernel's notices; its state is read instead", &error, tries);
            }
            fib.notice(now, Notice::Anything);
        }
    }

    /// Reads the state of the device: the kernel does not report everything.
    fn look_at_device(&mut self) {
        let now = self.now();
        self.device_seen = now;
        let Self { fib, kernel, .. } = self;
        if let Err(error) = kernel.look_at_device(|notice| fib.notice(now, notice)) {
            self.log.trouble(now, "cannot read the state of the tunnel device", &error, 1);
        }
    }

    fn next_look_at_device(&self) -> Instant {
        self.device_seen + LOOK
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Changes(changes) => changes.iter().for_each(|change| self.fib.change(change)),
            Message::Announced(routes) => routes.iter().for_each(|route| self.fib.announced(route)),
            Message::Withdrawn(routes) => routes.iter().for_each(|route| self.fib.withdrawn(route)),
            Message::Servers(servers) => self.fib.set_servers(servers),
            Message::ReleaseAdopted => self.fib.release_adopted(),
            Message::Stats(answer) => drop(answer.try_send(self.fib.stats())),
            Message::Stop { ended, .. } => {
                self.fib.clear();
                self.cleanup = Some((ended, self.now()));
            }
        }
    }

    fn dump(&mut self) {
        self.fib.dump_begins(self.now());
        let fib = &mut self.fib;
        let result = self.kernel.dump(|found| fib.found(found));
        if let Err(error) = &result {
            self.log.trouble(self.now(), "cannot read the kernel's routes; they are read again soon", error, 1);
        }
        self.fib.dump_ends(self.now(), result.is_ok());
        for removal in self.kernel.take_strays() {
            self.log.stray(self.now(), &removal);
        }
    }

    /// Looks whether something of earlier settings is left: when there is no work, adopted routes have gone, and something was done since
    /// the last look.
    fn look_for_remains(&mut self) {
        if !self.kernel.has_remains() || self.fib.is_adopting() || !self.fib.is_settled() {
            return;
        }
        let done = self.fib.stats().done;
        if self.looked_at.replace(done) != Some(done)
            && let Err(error) = self.kernel.look_for_remains()
        {
            self.log.trouble(self.now(), "cannot read whether routes of earlier settings are left", &error, 1);
        }
    }

    /// Removes the marks of the tables, after a cleanup.
    fn forget_settings(&mut self) {
        let looked = self.kernel.look_for_remains();
        if let Err(error) = looked.and_then(|()| Ok(self.kernel.remove_marks()?)) {
            self.log.trouble(self.now(), "cannot remove the marks of the tables", &error, 1);
        }
    }

    /// Carries out a batch of operations. Returns false if there were none.
    fn work(&mut self) -> bool {
        let now = self.now();
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(op) = self.fib.poll_op(now)
        {
            batch.push(op);
        }
        if batch.is_empty() {
            return false;
        }
        match self.kernel.execute(&batch) {
            Ok(results) => {
                let is_refused = |kind| matches!(kind, OpErrorKind::NoDevice | OpErrorKind::NotPermitted);
                if results.iter().any(|result| matches!(result, Err(OpError { kind, .. }) if is_refused(*kind))) {
                    self.look_at_device();
                }
                let now = self.now();
                if let Some((_, since)) = &mut self.cleanup
                    && results.iter().any(Result::is_ok)
                {
                    *since = now;
                }
                results.into_iter().for_each(|result| self.fib.done(now, result));
            }
            Err(error) => {
                let now = self.now();
                self.log.trouble(now, "the kernel's answers are lost; its state is read again", &error, 1);
                self.fib.lost(now);
            }
        }
        true
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let stuck = self.cleanup.as_ref().map(|(_, since)| *since + STUCK + Duration::from_millis(1));
        let again = self.notices.poll_timeout();
        let device = (self.kernel.device() == DeviceState::Ipv6Disabled).then(|| self.next_look_at_device());
        let of_work = [self.fib.poll_timeout(), again, device];
        // Nothing is done before it is known what earlier settings have left.
        let of_work = if self.has_taken_over { of_work } else { [self.start.poll_timeout(), None, None] };
        let deadlines = of_work.into_iter().chain([self.log.poll_timeout(), stuck]);
        let timeout = deadlines.flatten().min().map(|at| at.saturating_since(self.now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let notices = self.kernel.fd();
        let mut fds = [PollFd::new(&*self.wake, PollFlags::IN), PollFd::new(&notices, PollFlags::IN)];
        // A socket that failed may be reported as readable all the time.
        let watched = if again.is_none() && self.has_taken_over { &mut fds[..] } else { &mut fds[..1] };
        // An interruption is harmless: the next iteration finds nothing to do, and waits again.
        let _ = poll(watched, timeout.as_ref());
        let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
    }
}
