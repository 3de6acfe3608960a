//! What was measured, as a table.

use super::Effort;
use super::run::{Case, Measured, measure};

/// Prints rows as they are measured.
#[derive(Debug)]
pub struct Table {
    clients: [&'static str; 2],
    effort: Effort,
}

/// The medians of some runs of one client.
struct Medians {
    rate: f64,
    cpu: f64,
    requests: f64,
    memory: f64,
    first_message: f64,
}

impl Table {
    /// A table of two clients, ours first and then the one to compare it with.
    #[must_use]
    pub fn new(clients: [&'static str; 2], effort: &Effort) -> Self {
        println!("| case | client | messages/s | CPU µs/message | requests/message | peak MB | first message ms |");
        println!("| --- | --- | --: | --: | --: | --: | --: |");
        Self { clients, effort: effort.clone() }
    }

    /// Measures both clients in turn, if the case is asked for; `check` looks at each run.
    pub fn measure(&self, title: &str, case: &Case, check: impl Fn(&str, &Measured)) {
        if !title.contains(&self.effort.only) {
            return;
        }
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..self.effort.rounds {
            for (client, runs) in self.clients.iter().zip(&mut runs) {
                let measured = measure(client, case);
                check(client, &measured);
                runs.push(measured);
            }
        }
        let [ours, theirs] = runs.map(|runs| Medians::of(&runs));
        ours.print(title, self.clients[0]);
        theirs.print("", self.clients[1]);
        println!("| | ratio | {:.2} | {:.2} | | | |", ours.rate / theirs.rate, ours.cpu / theirs.cpu);
    }
}

impl Medians {
    fn of(runs: &[Measured]) -> Self {
        let median = |value: &dyn Fn(&Measured) -> f64| {
            let mut values: Vec<_> = runs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            rate: median(&Measured::rate),
            cpu: median(&Measured::cpu_per_message),
            requests: median(&Measured::requests_per_message),
            memory: median(&Measured::megabytes),
            first_message: median(&|run| run.first_message.as_secs_f64() * 1e3),
        }
    }

    fn print(&self, title: &str, client: &str) {
        let Self { rate, cpu, requests, memory, first_message } = self;
        println!("| {title} | {client} | {rate:.0} | {cpu:.1} | {requests:.3} | {memory:.1} | {first_message:.0} |");
    }
}
