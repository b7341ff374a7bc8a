//! The node as the actor owns it. Each call that changes the node goes through this type, so that it can be recorded.

use std::ops::Deref;

use metalbond::{Actions, Config, ConfigError, Input, Instant, Node, RouteChange, Transmit};

#[cfg(feature = "record")]
use crate::StartError;
#[cfg(feature = "record")]
use crate::record::Recorder;

/// A node, and its recording if there is one. It has the node's methods, and `Deref` gives the node's getters; in addition, the actor
/// reports the end of each iteration.
#[derive(Debug)]
pub(crate) struct Recorded {
    node: Node,
    #[cfg(feature = "record")]
    recorder: Option<Recorder>,
}

impl Recorded {
    /// Makes a node that is not recorded.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub(crate) fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        let node = Node::new(config, now)?;
        Ok(Self {
            node,
            #[cfg(feature = "record")]
            recorder: None,
        })
    }

    /// Makes a node that is recorded to `out` from its start. A thread of its own writes the recording. [`replay`](crate::replay) replays
    /// it.
    ///
    /// A write that fails ends the recording and is logged as an error. It never ends the node.
    ///
    /// # Errors
    /// If a setting is out of its range, or if the thread cannot be started.
    #[cfg(feature = "record")]
    pub(crate) fn recording(
        config: Config,
        now: Instant,
        out: impl std::io::Write + Send + 'static,
    ) -> Result<Self, StartError> {
        let node = Node::new(config, now)?;
        let recorder = Recorder::start(node.config(), now, out)?;
        Ok(Self { node, recorder: Some(recorder) })
    }

    /// Calls [`Node::handle_input`].
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) -> Actions {
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder {
            let actions = self.node.handle_input(now, input.clone());
            recorder.input(now, input, actions.as_slice());
            return actions;
        }
        self.node.handle_input(now, input)
    }

    /// Calls [`Node::poll_transmit`].
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.node.poll_transmit();
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder {
            recorder.transmit(transmit.as_ref());
        }
        transmit
    }

    /// Calls [`Node::poll_change`].
    pub(crate) fn poll_change(&mut self) -> Option<RouteChange> {
        let change = self.node.poll_change();
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder {
            recorder.change(change.as_ref());
        }
        change
    }

    /// Ends an iteration: to be called after its last call. Never waits.
    pub(crate) fn end_iteration(&mut self) {
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder
            && recorder.end_iteration(self.node.poll_timeout()).is_break()
        {
            self.recorder = None;
        }
    }

    /// Ends the node. `token` is dropped when the whole recording is written, or at once without a recording.
    pub(crate) fn finish(self, token: impl Send + 'static) {
        #[cfg(feature = "record")]
        if let Some(recorder) = self.recorder {
            return recorder.finish(Box::new(token));
        }
        drop(token);
    }
}

impl Deref for Recorded {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}
