//! The driver's clock: the operating system's monotonic one, counted from the driver's start as the core wants it.

use metalbond::Instant;

/// Tells the core's time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock whose epoch is now.
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant::from_epoch(self.start.elapsed())
    }

    /// The system's name for a point in time; `None` if it is too far away to have one.
    pub fn system(&self, at: Instant) -> Option<std::time::Instant> {
        self.start.checked_add(at.since_epoch())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_point_in_time_is_the_same_to_the_core_and_to_the_system() {
        let clock = Clock::start();
        let later = Instant::EPOCH + Duration::from_secs(5);
        assert_eq!(clock.system(later), Some(clock.start + Duration::from_secs(5)));
    }

    #[test]
    fn the_end_of_time_has_no_name() {
        assert_eq!(Clock::start().system(Instant::from_epoch(Duration::MAX)), None);
    }
}
