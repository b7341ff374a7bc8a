//! A table on the screen: its rows, their order, and the visible part.

use super::column::Column;

/// A row of a table.
pub(super) trait Row: Sized + 'static {
    const COLUMNS: &'static [Column<Self>];

    /// Returns true if the row contains a text.
    fn matches(&self, text: &str) -> bool;

    /// Returns the details that no column shows.
    fn details(&self) -> String;
}

/// Sorted and filtered rows, one of which is selected.
#[derive(Debug)]
pub(super) struct Sheet<T> {
    /// The rows in order.
    rows: Vec<T>,
    /// The indices of the rows that match the filter.
    matching: Vec<usize>,
    filter: String,
    column: usize,
    is_reversed: bool,
    selected: usize,
    /// Index of the first visible row, among those that match.
    first: usize,
    /// Number of rows that fit on the screen.
    height: usize,
}

impl<T: Row> Sheet<T> {
    pub(super) fn new(rows: Vec<T>) -> Self {
        let (matching, filter) = (Vec::new(), String::new());
        let mut sheet =
            Self { rows, matching, filter, column: 0, is_reversed: false, selected: 0, first: 0, height: 1 };
        sheet.arrange();
        sheet
    }

    /// Replaces the rows.
    pub(super) fn fill(&mut self, rows: Vec<T>) {
        self.rows = rows;
        self.arrange();
    }

    /// Shows only rows that contain a text.
    pub(super) fn filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter);
        self.arrange();
    }

    /// Sorts by the next of the first `columns` columns.
    pub(super) fn sort_by_next(&mut self, columns: usize) {
        self.column = (self.column + 1) % columns.clamp(1, T::COLUMNS.len());
        self.is_reversed = false;
        self.arrange();
    }

    pub(super) fn reverse(&mut self) {
        self.is_reversed = !self.is_reversed;
        self.arrange();
    }

    fn arrange(&mut self) {
        let column = &T::COLUMNS[self.column];
        let is_reversed = self.is_reversed;
        self.rows.sort_by(|a, b| if is_reversed { column.sorted(b, a) } else { column.sorted(a, b) });
        let matches = |(n, row): (usize, &T)| (self.filter.is_empty() || row.matches(&self.filter)).then_some(n);
        self.matching = self.rows.iter().enumerate().filter_map(matches).collect();
        self.select(self.selected);
    }

    fn select(&mut self, n: usize) {
        self.selected = n.min(self.matching.len().saturating_sub(1));
    }

    /// Moves the selection by this number of rows, down if positive.
    pub(super) fn step(&mut self, rows: isize) {
        self.select(self.selected.saturating_add_signed(rows));
    }

    /// Returns the number of visible rows.
    pub(super) const fn page(&self) -> isize {
        self.height as isize
    }

    /// Returns the visible rows for this height, which include the selected row, and the selected row's index among
    /// them.
    pub(super) fn seen(&mut self, height: usize) -> (impl Iterator<Item = &T>, usize) {
        self.height = height.max(1);
        let last_first = self.matching.len().saturating_sub(self.height);
        self.first = self.first.clamp((self.selected + 1).saturating_sub(self.height), self.selected).min(last_first);
        let seen = self.matching.iter().skip(self.first).take(self.height).map(|n| &self.rows[*n]);
        (seen, self.selected - self.first)
    }

    /// Returns the selected row.
    pub(super) fn selected(&self) -> Option<&T> {
        self.matching.get(self.selected).map(|n| &self.rows[*n])
    }

    /// Returns the number of matching rows and of all rows.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.matching.len(), self.rows.len())
    }

    /// Returns the column of the order, and true if the order is descending.
    pub(super) fn sorting(&self) -> (usize, bool) {
        (self.column, T::COLUMNS[self.column].is_number != self.is_reversed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for u8 {
        const COLUMNS: &'static [Column<Self>] = &[
            Column::word("WORD", 3, u8::to_string, |a, b| a.to_string().cmp(&b.to_string())),
            Column::number("NUMBER", 3, u8::to_string, u8::cmp),
        ];

        fn matches(&self, text: &str) -> bool {
            self.to_string().contains(text)
        }

        fn details(&self) -> String {
            format!("it is {self}")
        }
    }

    fn seen(sheet: &mut Sheet<u8>, height: usize) -> (Vec<u8>, usize) {
        let (seen, selected) = sheet.seen(height);
        (seen.copied().collect(), selected)
    }

    #[test]
    fn rows_are_sorted_by_a_column_either_way() {
        let mut sheet = Sheet::new(vec![3, 20, 100]);
        assert_eq!((seen(&mut sheet, 9).0, sheet.sorting()), (vec![100, 20, 3], (0, false)));
        sheet.sort_by_next(2);
        sheet.fill(vec![20, 3, 100, 7]);
        assert_eq!((seen(&mut sheet, 9).0, sheet.sorting()), (vec![100, 20, 7, 3], (1, true)));
        sheet.reverse();
        assert_eq!((seen(&mut sheet, 9).0, sheet.sorting()), (vec![3, 7, 20, 100], (1, false)));
        // Columns that do not fit are skipped.
        sheet.sort_by_next(1);
        assert_eq!(sheet.sorting(), (0, false));
    }

    #[test]
    fn only_matching_rows_are_shown() {
        let mut sheet = Sheet::new(vec![1, 2, 12, 30]);
        sheet.step(3);
        sheet.filter("2");
        assert_eq!((seen(&mut sheet, 9), sheet.counts()), ((vec![12, 2], 1), (2, 4)));
        assert_eq!(sheet.selected().map(Row::details).unwrap(), "it is 2");
        sheet.filter("x");
        assert_eq!((seen(&mut sheet, 9), sheet.selected()), ((vec![], 0), None));
    }

    #[test]
    fn the_selected_row_is_always_visible() {
        let mut sheet = Sheet::new((100..120).collect());
        assert_eq!(seen(&mut sheet, 3), (vec![100, 101, 102], 0));
        sheet.step(3);
        assert_eq!(seen(&mut sheet, 3), (vec![101, 102, 103], 2));
        sheet.step(-1);
        assert_eq!(seen(&mut sheet, 3), (vec![101, 102, 103], 1));
        sheet.step(sheet.page());
        assert_eq!(seen(&mut sheet, 3), (vec![103, 104, 105], 2));
        sheet.step(isize::MAX);
        assert_eq!(seen(&mut sheet, 3), (vec![117, 118, 119], 2));
        sheet.step(isize::MIN);
        assert_eq!(seen(&mut sheet, 3), (vec![100, 101, 102], 0));
        sheet.step(isize::MAX);
        seen(&mut sheet, 3);
        // Most rows go, and more rows fit.
        sheet.fill(vec![1, 2, 3, 4]);
        assert_eq!(seen(&mut sheet, 10), (vec![1, 2, 3, 4], 3));
        sheet.fill(Vec::new());
        assert_eq!(seen(&mut sheet, 10), (vec![], 0));
    }
}
