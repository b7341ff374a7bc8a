//! Draws the screen. Uses the terminal's own colours, and none with NO_COLOR.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Text};
use ratatui::widgets::{self, Cell, TableState};

use super::super::table::{bytes, count, duration};
use super::column::{Column, fitting};
use super::look::View;
use super::screen::Screen;
use super::sheet::{Row, Sheet};

pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen) {
    let areas =
        Layout::vertical([Constraint::Length(4), Constraint::Min(2), Constraint::Length(1), Constraint::Length(1)]);
    let [head, body, details, foot] = areas.areas(frame.area());
    frame.render_widget(Text::from(summary(screen)), head);
    let said = match screen.view() {
        View::Peers => {
            screen.columns = sheet(frame, body, &mut screen.peers);
            about(&screen.peers, "peers")
        }
        View::Vnis => {
            screen.columns = sheet(frame, body, &mut screen.vnis);
            about(&screen.vnis, "networks")
        }
    };
    frame.render_widget(Line::from(said), details);
    frame.render_widget(last_line(screen), foot);
}

/// Returns the lines about the daemon as a whole.
fn summary(screen: &Screen) -> Vec<Line<'static>> {
    let status = screen.status();
    let role = format!("{:?}", status.role).to_lowercase();
    let up = duration(status.uptime_seconds);
    let mut first = format!("metalbond {} {role} at http://{}/, up {up}", status.version, screen.place);
    if !status.ready {
        first += &format!(", waits for {}", status.waiting_for.join(" and "));
    }
    if status.converging {
        first += ", converging";
    }
    let peers: Vec<_> = status.peers.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let peers = if peers.is_empty() { "none".to_owned() } else { peers.join(", ") };
    let mut second = format!("peers {peers}; routes {} in {} networks", status.routes, status.vnis);
    if let Some(kernel) = &status.kernel {
        second += &format!("; kernel {} of {}", kernel.installed, kernel.wanted);
    }
    let total = screen.total;
    let rates = |updates, size: f64| format!("{} updates/s, {}/s", count(updates), bytes(size as u64));
    let (inward, outward) = (rates(total.updates_in, total.bytes_in), rates(total.updates_out, total.bytes_out));
    let third = format!("in {inward}; out {outward}");
    let fourth = match &screen.failure {
        Some(why) => {
            let age = duration(screen.at().elapsed().as_secs_f64());
            Line::from(format!("as of {age} ago: {why}")).style(Style::new().fg(Color::Red).bold())
        }
        None => Line::default(),
    };
    vec![Line::from(first).bold(), second.into(), third.into(), fourth]
}

/// Draws a table. Returns how many columns fit.
fn sheet<T: Row>(frame: &mut Frame<'_>, area: Rect, sheet: &mut Sheet<T>) -> usize {
    let columns = &T::COLUMNS[..fitting(T::COLUMNS, area.width)];
    let (by, is_falling) = sheet.sorting();
    let names = columns.iter().enumerate().map(|(n, column)| {
        let arrow = if is_falling { "▼" } else { "▲" };
        let name = if n == by { format!("{}{arrow}", column.name) } else { column.name.to_owned() };
        cell(column, name)
    });
    let header = widgets::Row::new(names).style(Style::new().reversed());
    let height = usize::from(area.height.saturating_sub(1));
    let (seen, selected) = sheet.seen(height);
    let rows: Vec<_> =
        seen.map(|row| widgets::Row::new(columns.iter().map(|column| cell(column, (column.shown)(row))))).collect();
    let widths = columns.iter().map(|column| Constraint::Length(column.width));
    let table = widgets::Table::new(rows, widths).header(header).row_highlight_style(Style::new().bold().underlined());
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(selected));
    columns.len()
}

fn cell<T>(column: &Column<T>, text: String) -> Cell<'static> {
    let line = Line::from(text);
    Cell::from(if column.is_number { line.right_aligned() } else { line })
}

/// Returns the line about a table.
fn about<T: Row>(sheet: &Sheet<T>, noun: &str) -> String {
    let (matching, all) = sheet.counts();
    let of = if matching == all { format!("{noun}: {all}") } else { format!("{noun}: {matching} of {all}") };
    match sheet.selected().map(Row::details) {
        Some(details) if !details.is_empty() => format!("{of}; {details}"),
        _ => of,
    }
}

/// Returns the filter while it is typed, and the keys.
fn last_line(screen: &Screen) -> Line<'static> {
    if screen.is_filtering {
        return Line::from(format!("/{}_   Enter: keep it, Esc: all", screen.filter)).bold();
    }
    let filter = if screen.filter.is_empty() { String::new() } else { format!("   /{}", screen.filter) };
    Line::from(format!("q quit  p peers  v networks  s sort  r reverse  / filter  arrows, j, k move{filter}")).dim()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::super::Failure;
    use super::super::screen::tests::{look, peer, press};
    use super::*;
    use crate::api::Vni;

    /// Returns the lines of a screen of this size.
    fn drawn(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, screen)).unwrap();
        let cells = terminal.backend().buffer().content();
        let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect::<String>();
        cells.chunks(width.into()).map(|cells| line(cells).trim_end().to_owned()).collect()
    }

    #[test]
    fn peers_are_drawn_with_as_many_columns_as_fit() {
        let mut screen = Screen::new("127.0.0.1:4712".into(), look(vec![peer("a7"), peer("p0")]));
        let expected = [
            "metalbond 1.2.3 server at http://127.0.0.1:4712/, up 1 min 30 s",
            "peers 2 ESTABLISHED; routes 12 in 2 networks",
            "in 0 updates/s, 0 B/s; out 0 updates/s, 0 B/s",
            "",
            "NAME▲   ADDRESS                STATE             ROUTES      LAG  UPD IN/S",
            "p0      server.example:4711    ESTABLISHED            5        0         0",
            "a7      192.0.2.1:50000        ESTABLISHED            5        0         0",
            "peers: 2; p0 dialled, keepalive 5 s, restart time 10 s, server, synced, 1.0 kB i",
            "q quit  p peers  v networks  s sort  r reverse  / filter  arrows, j, k move",
        ];
        assert_eq!(drawn(&mut screen, 80, 9), expected);
        let wide = drawn(&mut screen, 140, 9);
        assert!(wide[5].ends_with("       1.2 s  1 min 15 s"), "{}", wide[5]);
        assert!(wide[7].ends_with("dialled 3x, last: closed by the peer"), "{}", wide[7]);
        // No size is too small to draw.
        for (width, height) in [(1, 1), (5, 3), (8, 20), (200, 2)] {
            drawn(&mut screen, width, height);
        }
    }

    #[test]
    fn networks_are_drawn_and_sorted() {
        let mut screen = Screen::new("there".into(), look(Vec::new()));
        let vni = |vni, routes| Vni { vni, destinations: 1, routes, subscribers: 0, digest: "00ff".into() };
        let mut with_vnis = look(Vec::new());
        with_vnis.vnis = Some(vec![vni(9, 5), vni(23, 7)]);
        press(&mut screen, "v");
        screen.looked(Ok(with_vnis));
        drawn(&mut screen, 80, 9);
        press(&mut screen, "s");
        assert_eq!(
            drawn(&mut screen, 80, 9)[4..8],
            [
                "VNI          ROUTES▼  DESTINATIONS  SUBSCRIBERS DIGEST",
                "23                 7             1            0 00ff",
                "9                  5             1            0 00ff",
                "networks: 2",
            ]
        );
    }

    #[test]
    fn an_unreachable_daemon_and_a_filter_are_shown() {
        let mut screen = Screen::new("there".into(), look(vec![peer("a7")]));
        screen.looked(Err(Failure::Moved("there:1".parse().unwrap())));
        press(&mut screen, "/p0");
        let lines = drawn(&mut screen, 80, 9);
        assert!(lines[3].contains(" ago: the table of http://there:1/ was rearranged"), "{}", lines[3]);
        assert_eq!((&*lines[7], &*lines[8]), ("peers: 0 of 1", "/p0_   Enter: keep it, Esc: all"));
    }
}
