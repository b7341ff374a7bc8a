//! The size of each measurement.

#[derive(Debug)]
pub(crate) struct Scale {
    /// True if the figures are not meaningful.
    pub(crate) is_for_show: bool,
    pub(crate) rounds: usize,
    pub(crate) routes: u32,
    /// Number of subscribers in the measurements with many.
    pub(crate) many: usize,
    /// Number of routes of a large table.
    pub(crate) table: u32,
    pub(crate) idle: usize,
    /// Number of updates whose delay is measured.
    pub(crate) timed: u32,
    pub(crate) hypervisors: usize,
    pub(crate) vnis: u32,
    /// The points of the lines.
    pub(crate) subscribers: &'static [usize],
    pub(crate) tables: &'static [u32],
}

impl Scale {
    /// The scale of the published figures.
    pub(crate) const FULL: Self = Self {
        is_for_show: false,
        rounds: 5,
        routes: 100_000,
        many: 100,
        table: 1_000_000,
        idle: 10_000,
        timed: 20_000,
        hypervisors: 1_000,
        vnis: 2_000,
        subscribers: &[10, 30, 100, 300, 1_000],
        tables: &[100_000, 200_000, 500_000, 1_000_000],
    };

    /// A small scale that only shows that everything works.
    pub(crate) const SMALL: Self = Self {
        is_for_show: true,
        rounds: 1,
        routes: 1_000,
        many: 20,
        table: 5_000,
        idle: 50,
        timed: 200,
        hypervisors: 40,
        vnis: 80,
        subscribers: &[2, 4, 8, 16],
        tables: &[1_000, 2_000],
    };
}
