//! What follows from the kernel's answers.

use core::time::Duration;

use super::op::{OpError, OpErrorKind};
use super::report::FibReport;
use super::route::Key;
use super::vias::{ViaId, ViaState, Waiter};
use super::{Fib, Retry, Step};
use crate::Instant;

/// The shortest wait for another protocol's route to go, if no notice tells that it has.
const CONFLICT: Duration = Duration::from_secs(1);

impl Fib {
    /// How the earliest operation that is under way ended.
    ///
    /// # Panics
    /// If none is under way.
    pub fn done(&mut self, now: Instant, result: Result<(), OpError>) {
        self.now = self.now.max(now);
        let step = self.under_way.pop_front().expect("an operation is under way");
        match &result {
            Ok(()) => self.stats.done += 1,
            Err(_) => self.stats.failed += 1,
        }
        match step {
            Step::Add(id) => self.added(id, result),
            Step::Remove(id) => self.object_removed(id, result),
            Step::Route { key, to } => self.route_done(key, to, result),
        }
    }

    /// What became of the operations that are under way is not known.
    pub fn lost(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let lost = OpError { kind: OpErrorKind::Busy, errno: 0, text: None };
        while let Some(step) = self.under_way.pop_front() {
            match step {
                // The dump will tell.
                Step::Add(id) => self.object_is_absent(id),
                Step::Remove(id) => self.vias.get_mut(id).into_iter().for_each(|via| via.state = ViaState::Present),
                Step::Route { key, to } => self.route_done(key, to, Err(lost.clone())),
            }
        }
        self.request_dump();
    }

    fn added(&mut self, id: ViaId, result: Result<(), OpError>) {
        let Some(via) = self.vias.get_mut(id) else { return };
        let Err(error) = result else {
            (via.state, via.failures) = (ViaState::Present, 0);
            return self.wake(id);
        };
        match error.kind {
            OpErrorKind::Exists => {
                // Somebody has made one by this id since the last dump.
                let object = via.object;
                self.object_is_absent(id);
                self.vias.take_id(object);
                self.ensure(id);
            }
            OpErrorKind::Missing | OpErrorKind::NoDevice => {
                self.object_is_absent(id);
                self.retry_via(id);
                self.request_dump();
            }
            OpErrorKind::NotPermitted | OpErrorKind::Busy | OpErrorKind::Refused => {
                let op = self.op(Step::Add(id));
                self.object_is_absent(id);
                self.retry_via(id);
                let failures = self.vias.get(id).map_or(1, |via| via.failures);
                let retry_in = self.retry_in(failures, self.settings.retry_min);
                self.report(FibReport::Failed { op, error, retry_in });
            }
        }
    }

    /// The kernel doesn't have an object.
    pub(super) fn object_is_absent(&mut self, id: ViaId) {
        for member in self.vias.set_absent(id) {
            self.vias.let_go(member);
        }
    }

    /// An object is there: whoever waited goes on.
    pub(super) fn wake(&mut self, id: ViaId) {
        let Some(via) = self.vias.get_mut(id) else { return };
        let waiters = core::mem::take(&mut via.waiters);
        if via.users == 0 {
            // Nobody may want it any more.
            self.vias.idle.push(id);
        }
        for waiter in waiters {
            match waiter {
                Waiter::Route(key) => {
                    if let Some(entry) = self.routes.get_mut(&key)
                        && entry.waits_for == id
                    {
                        entry.waits_for = ViaId::NONE;
                    }
                    self.enqueue(key);
                }
                Waiter::Group(group) => {
                    if let Some(via) = self.vias.get_mut(group) {
                        via.awaits.retain(|member| *member != id);
                        self.ensure(group);
                    }
                }
            }
        }
    }

    fn object_removed(&mut self, id: ViaId, result: Result<(), OpError>) {
        match result {
            Err(error) if error.kind != OpErrorKind::Missing => {
                let op = self.op(Step::Remove(id));
                let Some(via) = self.vias.get_mut(id) else { return };
                via.state = ViaState::Present;
                self.retry_via(id);
                let failures = self.vias.get(id).map_or(1, |via| via.failures);
                let retry_in = self.retry_in(failures, self.settings.retry_min);
                self.report(FibReport::Failed { op, error, retry_in });
                self.wake(id);
            }
            _ => {
                self.object_is_absent(id);
                match self.vias.get(id) {
                    Some(via) if via.waiters.is_empty() && via.users == 0 => self.drop_via(id),
                    _ => self.ensure(id),
                }
            }
        }
    }

    fn route_done(&mut self, key: Key, to: ViaId, result: Result<(), OpError>) {
        let op = if result.is_err() { Some(self.op(Step::Route { key, to })) } else { None };
        let Some(entry) = self.routes.get_mut(&key) else { return };
        entry.is_busy = false;
        let is_dirty = core::mem::take(&mut entry.is_dirty);
        let is_gone = to == ViaId::NONE;
        match (result, op) {
            (Err(error), _) if is_gone && error.kind == OpErrorKind::Missing => self.route_is(key, to),
            (Err(error), Some(op)) => {
                let before = core::mem::replace(&mut entry.tried, to);
                self.vias.let_go(before);
                let is_conflict = error.kind == OpErrorKind::Exists;
                let retry_in = self.retry_route(key, if is_conflict { CONFLICT } else { self.settings.retry_min });
                match error.kind {
                    OpErrorKind::Exists => self.conflict(key),
                    OpErrorKind::Missing | OpErrorKind::NoDevice => self.request_dump(),
                    _ => self.report(FibReport::Failed { op, error, retry_in }),
                }
            }
            _ => self.route_is(key, to),
        }
        if is_dirty {
            self.enqueue(key);
        }
    }

    fn route_is(&mut self, key: Key, to: ViaId) {
        self.set_installed(key, to);
        let Some(entry) = self.routes.get_mut(&key) else { return };
        entry.failures = 0;
        self.vias.let_go(core::mem::replace(&mut entry.tried, ViaId::NONE));
        if to == ViaId::NONE {
            self.forget(key);
        }
    }

    fn conflict(&mut self, key: Key) {
        if let Some(entry) = self.routes.get_mut(&key)
            && !core::mem::replace(&mut entry.is_conflict, true)
        {
            self.stats.conflicts += 1;
            self.report(FibReport::Conflict { table: key.table, prefix: key.prefix });
        }
    }

    fn retry_route(&mut self, key: Key, at_least: Duration) -> Duration {
        let Some(entry) = self.routes.get_mut(&key) else { return at_least };
        entry.failures = entry.failures.saturating_add(1);
        let failures = entry.failures;
        let is_retrying = core::mem::replace(&mut entry.is_retrying, true);
        let retry_in = self.retry_in(failures, at_least);
        if !is_retrying {
            self.retries.insert((self.now + retry_in, Retry::Route(key)));
        }
        retry_in
    }
}
