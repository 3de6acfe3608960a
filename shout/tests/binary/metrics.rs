//! `/metrics` against the table in the docs.

use std::collections::{BTreeMap, BTreeSet};

use upbeat_testkit::{Service, eventually};

use crate::server::{Act, Upstream};
use crate::{SOON, shout, shouted};

/// What is said of a family: its type, and the labels of its series.
type Family = (String, BTreeSet<String>);

fn seen(scrape: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut name = "";
    for line in scrape.lines() {
        if let Some((known, kind)) = line.strip_prefix("# TYPE ").and_then(|about| about.split_once(' ')) {
            name = known;
            let earlier = families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            assert!(earlier.is_none(), "{name} comes twice");
        } else if !line.starts_with('#') {
            let labels = line.split_once('{').map_or("", |(_, labels)| labels.split_once("} ").unwrap().0);
            let labels = labels.split("\",").filter_map(|label| label.split_once("=\""));
            let (_, known): &mut Family = families.get_mut(name).unwrap();
            known.extend(labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le"));
        }
    }
    families
}

/// Of the rows that all services share, those that have nothing to do with AWS.
fn documented() -> BTreeMap<String, Family> {
    let sections = include_str!("../../../docs/METRICS.md").split("\n## ");
    let sections = sections.filter(|section| section.starts_with("Both\n") || section.starts_with("shout\n"));
    let rows = sections.flat_map(|section| section.lines().filter(|line| line.starts_with("| `")));
    let rows = rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        let kind = cells.next().unwrap().to_owned();
        let labels = cells.next().unwrap().split(", ").map(|label| label.trim_matches('`').to_owned());
        (name, (kind, labels.filter(|label| !label.is_empty()).collect()))
    });
    rows.filter(|(name, _): &(String, _)| !name.starts_with("aws_") && !name.starts_with("messaging_")).collect()
}

#[tokio::test]
async fn the_table_in_the_docs_is_what_the_service_says_under_work_with_names_types_and_labels() {
    let upstream = Upstream::start([Act::Well]).await;
    // Nobody is there, which needs no Redis to be installed.
    let nobody = upbeat_testkit::port::ReservedPort::take();
    let cache = format!("redis://{}", nobody.address());
    let service = Service::shout().args(["--upstream", upstream.url(), "--cache", &cache]);
    let service = service.args(["--breaker-threshold", "1", "--upstream-tries", "1"]).start().await;
    shouted(&service, "test").await;
    upstream.act([Act::Status(500, None)]);
    for text in ["a", "b"] {
        assert_ne!(shout(&service, text).await.status, 200);
    }
    let in_memory = Service::shout().start().await;
    shouted(&in_memory, "test").await;
    let documented = documented();
    assert!(documented.len() > 15, "{documented:?}");
    eventually("all families", SOON, async || {
        let mut families = seen(&service.get("/metrics").await.body);
        families.extend(
            seen(&in_memory.get("/metrics").await.body).into_iter().filter(|(name, _)| name.starts_with("shout_cache")),
        );
        let differ = |name: &&String| families.get(*name) != documented.get(*name);
        let names: BTreeSet<_> = families.keys().chain(documented.keys()).filter(differ).collect();
        let told = names.iter().map(|name| format!("{name}: {:?}, {:?}", families.get(*name), documented.get(*name)));
        if names.is_empty() { Ok(()) } else { Err(told.collect::<Vec<_>>().join("; ")) }
    })
    .await;
}

#[test]
fn every_figure_of_the_page_is_of_a_metric_that_there_is() {
    let documented = documented();
    let series = upbeat_shout::BOARD.series().map(|series| series.metric);
    let failures = upbeat_shout::BOARD.failures.iter().map(|failures| failures.metric);
    for metric in series.chain(failures) {
        assert!(documented.contains_key(metric), "{metric}");
    }
}
