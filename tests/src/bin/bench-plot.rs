//! Draws a report of `scripts/bench`: JSON on stdin, SVG on stdout. One bar for each figure that has a ratio: how many
//! times as fast as the first side the second is, on a logarithmic axis, with the aim as a mark.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::Deserialize;
use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;

#[derive(Deserialize)]
struct Report {
    sides: [String; 2],
    machine: Machine,
    commit: Option<String>,
    date: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Machine {
    cpu: String,
    cpus: u32,
    kernel: String,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    unit: String,
    /// `higher` or `lower`; nothing if neither is better.
    better: Option<String>,
    first: Option<f64>,
    second: Option<f64>,
    ratio: Option<f64>,
    aim: Option<Aim>,
    met: Option<bool>,
}

#[derive(Deserialize)]
struct Aim {
    /// `ratio` or `value`
    of: String,
    number: f64,
}

impl Row {
    /// How many times as fast as the first side `ratio` is.
    fn speed(&self, ratio: f64) -> f64 {
        if self.better.as_deref() == Some("lower") {
            1.0 / ratio
        } else {
            ratio
        }
    }
}

const WIDTH: u32 = 1000;
const LINE: i32 = 24;
const TOP: i32 = 64;
const BOTTOM: i32 = 40;
/// Where the axis begins and ends; left of it are the names, right of it the figures.
const AXIS: (i32, i32) = (400, 800);
/// The axis is from 1/`REACH` to `REACH`; what is beyond ends there, and its figure tells.
const REACH: f64 = 8.0;
const MET: RGBColor = RGBColor(46, 125, 80);
const MISSED: RGBColor = RGBColor(190, 90, 60);
const PLAIN: RGBColor = RGBColor(90, 120, 170);
const GREY: RGBColor = RGBColor(150, 150, 150);

fn main() -> ExitCode {
    let mut text = String::new();
    let drawn = io::stdin()
        .read_to_string(&mut text)
        .map_err(Into::into)
        .and_then(|_| draw(&text))
        .and_then(|svg| Ok(io::stdout().write_all(svg.as_bytes())?));
    match drawn {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench-plot: {e}");
            ExitCode::FAILURE
        }
    }
}

fn draw(text: &str) -> Result<String, Box<dyn Error>> {
    let report: Report = serde_json::from_str(text)?;
    let rows: Vec<&Row> = report.rows.iter().filter(|r| r.ratio.is_some()).collect();
    let height = TOP + BOTTOM + LINE * i32::try_from(rows.len())?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        let font = |size: i32, h: HPos| ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(h, VPos::Center));
        let [first, second] = &report.sides;
        let title = format!("{second}, as a multiple of {first}: right of the line is faster");
        area.draw(&Text::new(title, (12, 18), font(16, HPos::Left)))?;
        for (at, label) in [(0.125, "1/8"), (0.25, "1/4"), (0.5, "1/2"), (1.0, "1"), (2.0, "2"), (4.0, "4"), (8.0, "8")]
        {
            let (x, color) = (place(at), if at == 1.0 { BLACK } else { RGBColor(225, 225, 225) });
            area.draw(&PathElement::new(vec![(x, TOP - 6), (x, height - BOTTOM + 6)], color))?;
            area.draw(&Text::new(label, (x, TOP - 16), font(12, HPos::Center)))?;
        }
        for (i, row) in (0i32..).zip(&rows) {
            let middle = TOP + LINE * i + LINE / 2;
            let ratio = row.ratio.unwrap_or(1.0);
            let color = row.met.map_or(PLAIN, |met| if met { MET } else { MISSED });
            let (a, b) = (place(1.0), place(row.speed(ratio)));
            area.draw(&Text::new(row.name.clone(), (AXIS.0 - 12, middle), font(12, HPos::Right)))?;
            area.draw(&Rectangle::new([(a.min(b), middle - 7), (a.max(b), middle + 7)], color.filled()))?;
            if let Some(aim) = row.aim.as_ref().filter(|aim| aim.of == "ratio") {
                let x = place(row.speed(aim.number));
                area.draw(&PathElement::new(vec![(x, middle - 10), (x, middle + 10)], BLACK.stroke_width(2)))?;
            }
            let figures = format!("{} | {} {}", figure(row.first), figure(row.second), row.unit);
            area.draw(&Text::new(figures, (AXIS.1 + 12, middle), font(12, HPos::Left)))?;
        }
        let m = &report.machine;
        let commit = report.commit.as_deref().unwrap_or("unknown");
        let foot = format!(
            "{}, {} CPUs, Linux {}; commit {commit}, {}. Black marks: aims.",
            m.cpu, m.cpus, m.kernel, report.date
        );
        area.draw(&Text::new(foot, (12, height - 16), font(12, HPos::Left).color(&GREY)))?;
        area.present()?;
    }
    Ok(svg)
}

/// Where on the axis a multiple is.
fn place(times: f64) -> i32 {
    let share = (times.clamp(1.0 / REACH, REACH).log2() / REACH.log2() + 1.0) / 2.0;
    AXIS.0 + (share * f64::from(AXIS.1 - AXIS.0)) as i32
}

fn figure(value: Option<f64>) -> String {
    let Some(value) = value else { return String::new() };
    match value.abs() {
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 1000.0 => format!("{value:.1}"),
        v if v < 1e6 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.1}M", value / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"sides": ["host", "ours"], "machine": {"cpu": "a & b", "cpus": 2, "kernel": "6"}, "commit": null, "date": "d",
        "rows": [
            {"name": "rr", "unit": "us", "better": "lower", "first": 10.0, "second": 5.0, "ratio": 0.5,
             "aim": {"of": "ratio", "sense": "<=", "number": 0.85}, "met": true},
            {"name": "memory", "unit": "KiB", "better": null, "first": 1.0, "second": 2.0, "ratio": null, "aim": null, "met": null}
        ], "notes": []}"#;

    #[test]
    fn bars_are_of_speed() {
        let svg = draw(REPORT).unwrap();
        // Half the time is twice the speed; what has no ratio has no bar.
        let (from, to) = (place(1.0), place(2.0));
        assert!(svg.contains(&format!("x=\"{from}\"")) && svg.contains(&format!("width=\"{}\"", to - from)), "{svg}");
        assert!(svg.contains("a &amp; b") && !svg.contains("memory"), "{svg}");
        assert!(svg.contains("10.0 | 5.00 us"), "{svg}");
    }

    #[test]
    fn no_report_is_an_error() {
        assert!(draw("{}").is_err() && draw("").is_err());
    }

    #[test]
    fn places_stay_on_the_axis() {
        assert_eq!((place(0.0), place(1e9)), AXIS);
        assert!(place(1.0) < place(1.3));
    }
}
