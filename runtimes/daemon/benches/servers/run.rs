//! The measurements and their rounds. In each round all subjects are measured one after the other, so that the
//! machine's state affects all of them in the same way.

use std::pin::Pin;

use tokio::task::LocalSet;

use crate::fan_out::Line;
use crate::figure::{Figure, print_head, print_lines};
use crate::process::Subject;
use crate::scale::Scale;
use crate::{client, fan_out, hypervisors, latency, plot, relay, stalled, table, tls};

type Measured<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
type Measure = for<'a> fn(&'a Subject, &'a Scale) -> Measured<'a, Vec<Figure>>;
type Draw = for<'a> fn(&'a Subject, &'a Scale) -> Measured<'a, (Line, Vec<Figure>)>;

/// A measurement, and whether the relay supports it.
struct Measurement {
    name: &'static str,
    has_relay: bool,
    measure: Measure,
}

macro_rules! measurements {
    ($($name:literal $has_relay:literal $measure:path;)*) => {
        [$(Measurement { name: $name, has_relay: $has_relay, measure: |subject, scale| Box::pin($measure(subject, scale)) }),*]
    };
}

/// A line of the plot.
struct Scaling {
    name: &'static str,
    x: &'static str,
    draw: Draw,
}

struct Options {
    scale: &'static Scale,
    others: Vec<Subject>,
    plot: Option<String>,
    names: Vec<String>,
}

pub(crate) fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [option, addr] = &args[..]
        && option == "--relay"
    {
        relay::run(addr.parse().expect("an address")).expect("the relay has its port");
        return;
    }
    let options = parse(args);
    let is_chosen = |name: &str| options.names.is_empty() || options.names.iter().any(|each| name.contains(&**each));
    let mut subjects = vec![Subject::relay(), Subject::metalbond()];
    subjects.extend(options.others.iter().cloned());
    print_head(&subjects.iter().map(|subject| subject.name.clone()).collect::<Vec<_>>());
    let measurements = measurements! {
        "deliveries" true fan_out::deliveries;
        "received" false fan_out::received;
        "memory" false table::memory;
        "idle" false table::idle;
        "latency" true latency::measure;
        "joiners" true table::late;
        "loss" false table::loss;
        "stalled" false stalled::measure;
        "hypervisors" false hypervisors::measure;
        "client" false client::measure;
        "tls" false tls::measure;
    };
    for Measurement { name, has_relay, measure } in measurements {
        if is_chosen(name) {
            // The client is always ours, and the names of other servers' TLS options are not known.
            let is_ours = matches!(name, "client" | "tls");
            let is_measured = |n: usize, subject: &Subject| (has_relay || !subject.is_relay) && (!is_ours || n < 2);
            let mut rounds = vec![Vec::new(); subjects.len()];
            for _ in 0..options.scale.rounds {
                for (n, subject) in subjects.iter().enumerate().filter(|(n, subject)| is_measured(*n, subject)) {
                    rounds[n].push(block_on(measure(subject, options.scale)));
                }
            }
            print_lines(&rounds.into_iter().map(|rounds| medians(rounds, options.scale)).collect::<Vec<_>>());
        }
    }
    let scalings = [
        Scaling {
            name: "CPU per delivered update",
            x: "subscribers",
            draw: |subject, scale| Box::pin(fan_out::by_subscribers(subject, scale)),
        },
        Scaling {
            name: "CPU per received update",
            x: "routes",
            draw: |subject, scale| Box::pin(fan_out::by_routes(subject, scale)),
        },
    ];
    let mut charts = Vec::new();
    for Scaling { name, x, draw } in scalings.into_iter().filter(|_| is_chosen("scaling")) {
        let (mut lines, mut columns) = (Vec::new(), Vec::new());
        for subject in &subjects {
            let (line, figures) = block_on(draw(subject, options.scale));
            lines.push((subject.name.clone(), line));
            columns.push(medians(vec![figures], options.scale));
        }
        print_lines(&columns);
        charts.push(plot::Chart { name, x, lines });
    }
    if let Some(path) = options.plot {
        plot::draw(&path, &charts).expect("the plot can be written");
    }
}

fn parse(args: Vec<String>) -> Options {
    let mut options = Options { scale: &Scale::FULL, others: Vec::new(), plot: None, names: Vec::new() };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match &*arg {
            // Cargo passes this argument to every benchmark.
            "--bench" => {}
            "--test" => options.scale = &Scale::SMALL,
            "--against" => options.others.push(Subject::other(&args.next().expect("--against COMMAND"))),
            "--plot" => options.plot = Some(args.next().expect("--plot FILE")),
            name => options.names.push(name.to_owned()),
        }
    }
    options
}

/// Returns the median of each figure, or `None` if nothing was measured.
fn medians(rounds: Vec<Vec<Figure>>, scale: &Scale) -> Option<Vec<Figure>> {
    let figures = rounds.first()?.len();
    let medians = (0..figures).map(|n| Figure::median(rounds.iter().map(|round| round[n].clone()).collect()));
    Some(if scale.is_for_show { medians.map(Figure::without_goal).collect() } else { medians.collect() })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, future)
}
