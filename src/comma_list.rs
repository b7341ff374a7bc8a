//! Lists as texts: `STD, NAT`.

use core::fmt;

/// Writes things with a comma between any two, as sets are read.
pub(crate) fn write_list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    things: impl IntoIterator<Item = T>,
) -> fmt::Result {
    for (place, thing) in things.into_iter().enumerate() {
        f.write_str(if place > 0 { ", " } else { "" })?;
        thing.fmt(f)?;
    }
    Ok(())
}
