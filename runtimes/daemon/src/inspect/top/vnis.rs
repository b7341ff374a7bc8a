//! VNIs as rows of a table.

use super::column::Column;
use super::sheet::Row;
use crate::api::Vni;

impl Row for Vni {
    /// In the order of their importance.
    const COLUMNS: &'static [Column<Self>] = &[
        Column::word("VNI", 9, |vni| vni.vni.to_string(), |a, b| a.vni.cmp(&b.vni)),
        Column::number("ROUTES", 10, |vni| vni.routes.to_string(), |a, b| a.routes.cmp(&b.routes)),
        Column::number(
            "DESTINATIONS",
            13,
            |vni| vni.destinations.to_string(),
            |a, b| a.destinations.cmp(&b.destinations),
        ),
        Column::number("SUBSCRIBERS", 12, |vni| vni.subscribers.to_string(), |a, b| a.subscribers.cmp(&b.subscribers)),
        Column::word("DIGEST", 16, |vni| vni.digest.clone(), |a, b| a.digest.cmp(&b.digest)),
    ];

    fn matches(&self, text: &str) -> bool {
        self.vni.to_string().contains(text)
    }

    fn details(&self) -> String {
        String::new()
    }
}
