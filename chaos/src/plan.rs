//! In which order faults come.

use clap::ValueEnum;
use fastrand::Rng;

use crate::fault::Fault;

/// One fault of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// What goes wrong.
    pub fault: Fault,
    /// Decides all that the fault leaves open, whatever happened before it.
    pub seed: u64,
}

/// All steps that a seed has, without end: every fault once in some order, then every fault once in another, and so on, so
/// that none is missing from a run that is long enough.
#[derive(Debug)]
pub struct Plan {
    rng: Rng,
    faults: Vec<Fault>,
    round: Vec<Fault>,
    number: usize,
}

impl Plan {
    /// By this seed, of these faults; of all if there are none.
    #[must_use]
    pub fn new(seed: u64, only: &[Fault]) -> Self {
        let faults = if only.is_empty() { Fault::value_variants() } else { only };
        Self { rng: Rng::with_seed(seed), faults: faults.to_vec(), round: Vec::new(), number: 0 }
    }

    /// How many steps have all faults once.
    #[must_use]
    pub fn round(&self) -> usize {
        self.faults.len()
    }

    /// The next one.
    pub fn step(&mut self) -> Option<Step> {
        if self.round.is_empty() {
            self.round.clone_from(&self.faults);
            self.rng.shuffle(&mut self.round);
        }
        let fault = self.round.pop()?;
        self.number += 1;
        Some(Step { number: self.number, fault, seed: self.rng.u64(..) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn steps(seed: u64, only: &[Fault], count: usize) -> Vec<Step> {
        let mut plan = Plan::new(seed, only);
        (0..count).filter_map(|_| plan.step()).collect()
    }

    #[test]
    fn a_seed_has_the_same_steps_each_time_and_another_seed_has_others() {
        assert_eq!(steps(7, &[], 100), steps(7, &[], 100));
        assert_ne!(steps(7, &[], 100), steps(8, &[], 100));
    }

    #[test]
    fn every_fault_comes_once_before_any_comes_twice() {
        let all = Fault::value_variants();
        for round in steps(7, &[], all.len() * 3).chunks(all.len()) {
            assert_eq!(round.iter().map(|step| step.fault).collect::<BTreeSet<_>>(), all.iter().copied().collect());
        }
    }

    #[test]
    fn only_the_faults_that_were_asked_for_come() {
        let only = [Fault::Cut, Fault::Outage];
        assert!(steps(7, &only, 20).iter().all(|step| only.contains(&step.fault)));
    }
}
