//! The plan, over whatever may be wanted and seen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use upbeat_orchestrator::allow::AllowList;
use upbeat_orchestrator::container::{Container, Health, OURS, State, Ways};
use upbeat_orchestrator::desired::{Desired, Original, Protected, Scope, Snapshot, Spec};
use upbeat_orchestrator::history::{LONGEST_WAIT, OTHERS_FIRST};
use upbeat_orchestrator::moment::Moment;
use upbeat_orchestrator::plan::{Action, Deed, Observed, Plan, Standing, Step, plan};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn container(name: &str, state: State, health: Health) -> Container {
    let ended = matches!(state, State::Exited | State::Dead);
    Container {
        id: format!("id-{name}"),
        name: name.to_owned(),
        image: format!("{name}:1"),
        command: Vec::new(),
        created: String::new(),
        state,
        health,
        exit_code: ended.then_some(1),
        error: String::new(),
        started: "first".to_owned(),
        finished: if ended { "first".to_owned() } else { String::new() },
        ran_for: ended.then_some(Duration::from_secs(3)),
        engine_restarts: false,
        labels: BTreeMap::new(),
        ports: Vec::new(),
        ways: Ways::default(),
    }
}

fn original(name: &str) -> Original {
    let spec = Spec { body: serde_json::Value::Null, networks: BTreeMap::new(), hash: "h".to_owned() };
    Original { image: format!("{name}:1"), spec }
}

fn snapshot(names: impl IntoIterator<Item = &'static str>) -> Scope {
    let originals = names.into_iter().map(|name| (name.to_owned(), original(name))).collect();
    Scope::Snapshot(Snapshot { originals, taken: 0, stored: true })
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Created),
        Just(State::Running),
        Just(State::Running),
        Just(State::Paused),
        Just(State::Exited),
        Just(State::Exited),
    ]
}

fn healths() -> impl Strategy<Value = Health> {
    prop_oneof![Just(Health::None), Just(Health::Healthy), Just(Health::Unhealthy)]
}

prop_compose! {
    fn scopes()(names in prop::collection::btree_set(prop::sample::select(&NAMES[..]), 0..8), allow: bool) -> Scope {
        if allow { Scope::Allow(AllowList::parse(names).unwrap()) } else { snapshot(names) }
    }
}

prop_compose! {
    fn worlds()(
        scope in scopes(),
        held in prop::collection::btree_set(prop::sample::select(&NAMES[..]), 0..3),
        seen in prop::collection::btree_map(prop::sample::select(&NAMES[..]), (states(), healths(), any::<bool>()), 0..8),
        own in prop::option::of(prop::sample::select(&NAMES[..])),
    ) -> (Desired, Observed) {
        let protected = Protected { own_id: own.map(|name| format!("id-{name}")), patterns: Vec::new() };
        let held: BTreeSet<String> = held.into_iter().map(str::to_owned).collect();
        let containers = seen.into_iter().map(|(name, (state, health, engine_restarts))| {
            (name.to_owned(), Container { engine_restarts, ..container(name, state, health) })
        });
        let observed = Observed { containers: containers.collect(), ..Observed::default() };
        (Desired { scope, held, protected }, observed)
    }
}

/// As the loop does: what is seen goes into the histories.
fn see(desired: &Desired, observed: &mut Observed, now: Moment) {
    let mut names: BTreeSet<String> = observed.containers.keys().cloned().collect();
    if let Scope::Snapshot(snapshot) = &desired.scope {
        names.extend(snapshot.originals.keys().cloned());
    }
    for name in names {
        observed.history.entry(name.clone()).or_default().see(observed.containers.get(&name), now, 0.0);
    }
}

/// As an engine does what it is asked, and everything is well from then on.
fn act(observed: &mut Observed, action: &Action, now: Moment) {
    let name = &action.name;
    let started = format!("{now:?}");
    match action.deed {
        Deed::Create => {
            assert!(!observed.containers.contains_key(name), "{name} would be there twice");
            let new = Container { started, ..container(name, State::Running, Health::None) };
            observed.containers.insert(name.clone(), new);
        }
        Deed::Stop => {
            let found = observed.containers.get_mut(name).unwrap();
            (found.state, found.finished) = (State::Exited, started);
        }
        Deed::Remove => drop(observed.containers.remove(name)),
        Deed::Start | Deed::Restart => {
            let found = observed.containers.get_mut(name).unwrap();
            (found.state, found.started, found.health) = (State::Running, started, Health::None);
        }
    }
    observed.history.get_mut(name).unwrap().succeeded(now, action.deed == Deed::Restart);
}

fn decide(desired: &Desired, observed: &mut Observed, now: Moment) -> Plan {
    see(desired, observed, now);
    plan(desired, observed, now)
}

proptest! {
    #[test]
    fn what_was_planned_and_done_needs_no_second_plan_and_ends_as_it_is_wanted((desired, mut observed) in worlds()) {
        let mut now = Moment(Duration::from_secs(1000));
        for _ in 0..30 {
            let decided = decide(&desired, &mut observed, now);
            let actions = decided.actions();
            for action in &actions {
                act(&mut observed, action, now);
            }
            let again = decide(&desired, &mut observed, now).actions();
            let repeated: Vec<_> = again.iter().filter(|action| actions.iter().any(|done| done.name == action.name)).collect();
            prop_assert!(repeated.is_empty(), "{repeated:?} again at once");
            // Restarts that wait for others wait for those to have settled.
            now = decided.next().unwrap_or(now).max(now) + Duration::from_secs(30);
        }
        prop_assert_eq!(decide(&desired, &mut observed, now).actions(), []);
        for verdict in decide(&desired, &mut observed, now).verdicts {
            let found = observed.containers.get(&verdict.name);
            if verdict.held || verdict.standing == Standing::Own {
                continue;
            }
            match verdict.standing {
                Standing::Original => prop_assert!(found.is_some_and(|found| found.state.is_up()), "{:?}", verdict),
                Standing::Newcomer | Standing::Unlisted => prop_assert!(!found.unwrap().state.is_up(), "{:?}", verdict),
                _ => {}
            }
        }
    }

    #[test]
    fn what_is_held_or_our_own_is_never_touched((desired, mut observed) in worlds(), later in 0_u64..1000) {
        see(&desired, &mut observed, Moment::default());
        for action in decide(&desired, &mut observed, Moment(Duration::from_secs(later))).actions() {
            prop_assert!(!desired.held.contains(&action.name), "{:?}", action);
            let id = observed.containers.get(&action.name).map(|container| &container.id);
            prop_assert!(id.is_none() || id != desired.protected.own_id.as_ref(), "{:?}", action);
        }
    }

    #[test]
    fn nothing_is_done_while_it_is_not_known_what_is_wanted((desired, mut observed) in worlds()) {
        let desired = Desired { scope: Scope::Unknown("damaged".to_owned()), ..desired };
        prop_assert_eq!(decide(&desired, &mut observed, Moment(LONGEST_WAIT)).actions(), []);
    }

    #[test]
    fn under_an_allow_list_nothing_is_started_or_created((desired, mut observed) in worlds(), names in scopes()) {
        let Scope::Allow(_) = names else { return Ok(()) };
        let desired = Desired { scope: names, ..desired };
        see(&desired, &mut observed, Moment::default());
        for action in decide(&desired, &mut observed, Moment(LONGEST_WAIT)).actions() {
            prop_assert!(matches!(action.deed, Deed::Stop | Deed::Restart), "{:?}", action);
        }
    }

    #[test]
    fn of_those_that_are_ill_no_more_than_a_quarter_are_restarted_at_a_time(count in 1_usize..40, rounds in 1_u64..20) {
        let names: Vec<String> = (0..count).map(|n| format!("c{n:02}")).collect();
        let originals = names.iter().map(|name| (name.clone(), original(name))).collect();
        let scope = Scope::Snapshot(Snapshot { originals, taken: 0, stored: true });
        let desired = Desired { scope, ..Desired::default() };
        let sick = names.iter().map(|name| (name.clone(), container(name, State::Running, Health::Unhealthy)));
        let mut observed = Observed { containers: sick.collect(), ..Observed::default() };
        let mut settling = 0;
        for round in 0..rounds {
            let now = Moment(Duration::from_secs(round));
            for action in decide(&desired, &mut observed, now).actions() {
                prop_assert_eq!(action.deed, Deed::Restart);
                settling += 1;
                let found = observed.containers.get_mut(&action.name).unwrap();
                (found.started, found.health) = (format!("{round}"), Health::Starting);
                observed.history.get_mut(&action.name).unwrap().succeeded(now, true);
            }
        }
        prop_assert_eq!(settling, (count / 4).max(1));
    }
}

#[test]
fn a_snapshot_that_could_not_be_stored_starts_but_stops_nothing() {
    let Scope::Snapshot(stored) = snapshot(["a"]) else { panic!() };
    let desired = Desired { scope: Scope::Snapshot(Snapshot { stored: false, ..stored }), ..Desired::default() };
    let seen = [container("a", State::Exited, Health::None), container("b", State::Running, Health::None)];
    let containers = seen.map(|container| (container.name.clone(), container)).into();
    let mut observed = Observed { containers, ..Observed::default() };
    see(&desired, &mut observed, Moment::default());
    let decided = decide(&desired, &mut observed, Moment(OTHERS_FIRST));
    let deeds: Vec<_> = decided.actions().iter().map(|action| (action.name.clone(), action.deed)).collect();
    assert_eq!(deeds, [("a".to_owned(), Deed::Start)]);
    assert!(matches!(&decided.verdicts[1].step, Step::Wait(Deed::Stop, why, None) if why.contains("stored")));
}

#[test]
fn the_broker_and_all_that_has_our_label_are_left_running() {
    let desired = Desired { scope: snapshot([]), ..Desired::default() };
    let mut broker = container("broker", State::Running, Health::None);
    broker.image = "localstack/localstack:4.14.0".to_owned();
    let mut other = container("other", State::Running, Health::None);
    other.labels.insert(OURS.to_owned(), "0.1.0".to_owned());
    let stranger = container("stranger", State::Running, Health::None);
    let containers = [broker, other, stranger].map(|container| (container.name.clone(), container)).into();
    let mut observed = Observed { containers, ..Observed::default() };
    let actions = decide(&desired, &mut observed, Moment::default()).actions();
    assert_eq!(actions.len(), 1, "{actions:?}");
    assert_eq!((actions[0].name.as_str(), actions[0].deed), ("stranger", Deed::Stop));
}

#[test]
fn whoever_would_act_by_itself_acts_first() {
    let desired = Desired { scope: snapshot(["engine", "gone", "made", "plain"]), ..Desired::default() };
    let mut with_policy = container("engine", State::Exited, Health::None);
    (with_policy.engine_restarts, with_policy.ran_for) = (true, Some(Duration::from_mins(1)));
    let mut plain = container("plain", State::Exited, Health::None);
    plain.ran_for = Some(Duration::from_mins(1));
    let made = container("made", State::Created, Health::None);
    let containers = [with_policy, plain, made].map(|container| (container.name.clone(), container)).into();
    let mut observed = Observed { containers, ..Observed::default() };
    let names = |plan: Plan| plan.actions().into_iter().map(|action| action.name).collect::<Vec<_>>();
    assert_eq!(names(decide(&desired, &mut observed, Moment::default())), ["plain"]);
    let almost = OTHERS_FIRST.saturating_sub(Duration::from_millis(1));
    assert_eq!(names(decide(&desired, &mut observed, Moment(almost))), ["plain"]);
    assert_eq!(names(decide(&desired, &mut observed, Moment(OTHERS_FIRST))), ["engine", "gone", "made", "plain"]);
}
