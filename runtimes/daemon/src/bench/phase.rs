//! The phases of a run, and what they took.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The measurements of the phases. The delays of moved routes are known only at the end of the run.
pub(super) struct Measured {
    pub(super) connect: Phase,
    pub(super) announce: Phase,
    /// The churn phase and its number of moves.
    pub(super) moves: Option<(Phase, u64)>,
    pub(super) withdraw: Phase,
}

/// The duration of a phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) took: Duration,
    /// Processor time that this process used during the phase.
    pub(super) cpu: Duration,
}

impl Phase {
    /// Returns the phase between two times. `cpu` is the processor time that this process had used at the beginning.
    pub(super) fn between(began: Instant, end: Instant, cpu: Duration) -> Self {
        Self { took: end.saturating_duration_since(began), cpu: cpu_time().saturating_sub(cpu) }
    }

    pub(super) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.took.as_secs_f64().max(1e-9)
    }

    pub(super) fn as_json(&self) -> Value {
        json!({ "seconds": self.took.as_secs_f64(), "own_cpu_seconds": self.cpu.as_secs_f64() })
    }
}

/// Returns the processor time that this process has used.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
