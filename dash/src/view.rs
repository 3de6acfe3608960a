//! The services, drawn: beside each other where there is room, else one below the other.

use std::time::SystemTime;

use ratatui::Frame;
use ratatui::layout::{Constraint, Direction, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Wrap};
use upbeat_service::board::{History, Panel};

use crate::figure::written;
use crate::watched::{Known, Watched};

/// A service needs so many columns for its plots to be readable.
const SERVICE_COLUMNS: u16 = 60;

/// A panel needs so many.
const PANEL_COLUMNS: u16 = 38;

/// How far the plots look back, in seconds, as far as figures are kept.
const SHOWN: f64 = 900.0;

/// How many reasons of failures are shown.
const FAILURES: usize = 3;

/// Told apart on dark and on light ground.
const COLOURS: [Color; 4] = [Color::Blue, Color::Yellow, Color::Magenta, Color::Green];

/// Draws all of them.
pub fn draw(frame: &mut Frame<'_>, services: &[Watched], held: bool) {
    let [all, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
    let count = u16::try_from(services.len().max(1)).unwrap_or(u16::MAX);
    let beside = all.width / count >= SERVICE_COLUMNS;
    let direction = if beside { Direction::Horizontal } else { Direction::Vertical };
    let areas = Layout::new(direction, vec![Constraint::Fill(1); services.len()]).split(all);
    for (service, area) in services.iter().zip(areas.iter()) {
        draw_service(frame, *area, service);
    }
    let held = if held { "  held still" } else { "" };
    frame.render_widget(Line::from(format!("q ends, space holds still{held}")).dim(), foot);
}

fn draw_service(frame: &mut Frame<'_>, area: Rect, service: &Watched) {
    let known = service.known();
    let failures = u16::try_from(known.failures.len().min(FAILURES)).unwrap_or_default();
    let parts = [Constraint::Length(1), Constraint::Fill(1), Constraint::Length(failures)];
    let [head, panels, foot] = Layout::vertical(parts).areas(area);
    frame.render_widget(heading(service.address(), &known), head);
    let Some(kind) = &known.is else { return };

    let columns = usize::from((panels.width / PANEL_COLUMNS).max(1));
    let rows = kind.board.panels.chunks(columns);
    let heights = Layout::vertical(vec![Constraint::Fill(1); rows.len()]).split(panels);
    let mut first = 0;
    for (row, area) in rows.zip(heights.iter()) {
        let widths = Layout::horizontal(vec![Constraint::Fill(1); columns]).split(*area);
        for (panel, area) in row.iter().zip(widths.iter()) {
            draw_panel(frame, *area, panel, first, &kind.history);
            first += panel.series.len();
        }
    }
    let lines = known.failures.iter().take(FAILURES);
    let lines = lines.map(|(what, reason, count)| Line::from(format!(" {count} × {what}: {reason}")).red());
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), foot);
}

fn heading<'a>(address: &'a str, known: &'a Known) -> Line<'a> {
    let name = known.is.as_ref().map_or_else(|| "?".to_owned(), |kind| format!("{} {}", kind.name, kind.version));
    let state = match &known.error {
        Some(error) => Span::from(error).red(),
        None if known.is.is_none() => Span::from("not asked yet").dim(),
        None if !known.healthy => Span::from("down").red(),
        None if !known.ready => Span::from("not ready").yellow(),
        None => Span::from("ready").green(),
    };
    Line::from(vec![Span::from(name).bold(), Span::from("  "), state.bold(), Span::from(format!("  {address}")).dim()])
}

/// `first` is where the panel's series begin in a point.
fn draw_panel(frame: &mut Frame<'_>, area: Rect, panel: &Panel, first: usize, history: &History) {
    let Some(last) = history.points().next_back() else { return };
    let block = Block::bordered().border_style(Style::new().dim()).title(format!(" {} ", panel.title).bold());
    let figures = panel.series.iter().zip(COLOURS).enumerate().map(|(index, (series, colour))| {
        let figure = written(last.values[first + index], panel.unit);
        Span::styled(format!("{} {figure}  ", series.label), Style::new().fg(colour))
    });
    let figures = Line::from(figures.collect::<Vec<_>>());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines = if figures.width() > usize::from(inner.width) { 2 } else { 1 };
    let [head, plot] = Layout::vertical([Constraint::Length(lines), Constraint::Fill(1)]).areas(inner);
    frame.render_widget(Paragraph::new(figures).wrap(Wrap { trim: true }), head);
    let lines: Vec<_> = (0..panel.series.len()).map(|index| line(history, first + index, last.at)).collect();
    let top = lines.iter().flatten().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if top > 0.0 { top } else { 1.0 };
    let datasets = lines.iter().zip(COLOURS).map(|(line, colour)| {
        let set = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line);
        set.style(Style::new().fg(colour)).data(line)
    });
    let chart = Chart::new(datasets.collect())
        .x_axis(Axis::default().bounds([-SHOWN, 0.0]).labels([Line::from("−15 min").dim(), Line::from("now").dim()]))
        .y_axis(Axis::default().bounds([0.0, top]).labels(["0".to_owned(), written(Some(top), panel.unit)]));
    frame.render_widget(chart, plot);
}

/// A series' figures by how long ago they were, in seconds below 0.
fn line(history: &History, index: usize, now: SystemTime) -> Vec<(f64, f64)> {
    let ago = |at| -now.duration_since(at).unwrap_or_default().as_secs_f64();
    history.points().filter_map(|point| Some((ago(point.at), point.values[index]?))).collect()
}
