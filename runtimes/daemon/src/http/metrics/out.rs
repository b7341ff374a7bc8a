//! Writes metric families.

use std::fmt::Result;

use metalbond_tokio::Histogram;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// A label's name and value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// The output for metrics.
#[derive(Debug)]
pub(super) struct Out<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

/// A family's name and help text.
pub(super) type Family = (&'static str, &'static str);

impl Out<'_, '_> {
    /// Writes a gauge without labels.
    pub(super) fn gauge(&mut self, family: Family, value: usize) -> Result {
        self.gauges(family, None, [([], value as f64)])
    }

    /// Writes a gauge with labels.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        (name, help): Family,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = ([Label<'a>; N], f64)>,
    ) -> Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in values {
            if N == 0 {
                metric.encode_gauge(&value)?;
            } else {
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// Writes a counter without labels.
    pub(super) fn counter(&mut self, family: Family, unit: Option<&Unit>, value: u64) -> Result {
        self.counters(family, unit, [([], value)])
    }

    /// Writes a counter with labels.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        (name, help): Family,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = ([Label<'a>; N], u64)>,
    ) -> Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in values {
            if N == 0 {
                metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            } else {
                metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    /// Writes a histogram.
    pub(super) fn histogram(&mut self, (name, help): Family, histogram: &Histogram) -> Result {
        let bound = |bound: Option<std::time::Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let ranges: Vec<_> = histogram.ranges().map(|(longest, count)| (bound(longest), count)).collect();
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(histogram.sum().as_secs_f64(), histogram.count(), &ranges, None)
    }
}
