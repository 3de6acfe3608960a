//! Files made up at random: they come out as they were written, and Compose takes them too.

use std::io::Write;
use std::process::Command;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{EXAMPLE, compose};

/// A service, by its keys.
fn service() -> impl Strategy<Value = Value> {
    let word = "[a-z][a-z0-9]{0,7}";
    let duration = prop_oneof!["[1-9]s", "[1-3]m[1-9]s", "[1-9]00ms"];
    let list = |words: &'static [&'static str]| {
        proptest::sample::subsequence(words, 1..=words.len()).prop_map(|words| json!(words)).boxed()
    };
    let pairs =
        btree_map("[A-Z]{1,5}", prop_oneof![word.prop_map(Value::from), any::<u16>().prop_map(Value::from)], 0..4);
    let optional: Vec<(&'static str, BoxedStrategy<Value>)> = vec![
        ("command", prop_oneof![word.prop_map(Value::from), vec(word, 1..3).prop_map(Value::from)].boxed()),
        ("entrypoint", vec(word, 1..3).prop_map(Value::from).boxed()),
        ("environment", pairs.clone().prop_map(|pairs| json!(pairs)).boxed()),
        ("labels", btree_map(word, word, 0..3).prop_map(|pairs| json!(pairs)).boxed()),
        ("ports", list(&["80", "8080:81", "127.0.0.1:8081:82", "53:53/udp"])),
        ("volumes", list(&["data:/data", "/srv:/srv:ro", "other:/other:rw"])),
        ("networks", list(&["front", "default"])),
        ("extra_hosts", list(&["db:10.0.0.7", "cache:10.0.0.8"])),
        ("cap_add", list(&["NET_ADMIN", "SYS_TIME"])),
        ("cap_drop", list(&["ALL", "CHOWN"])),
        ("security_opt", list(&["no-new-privileges:true"])),
        ("tmpfs", list(&["/tmp", "/run"])),
        ("stop_grace_period", duration.clone().prop_map(Value::from).boxed()),
        ("stop_signal", Just(json!("SIGINT")).boxed()),
        ("user", Just(json!("1:1")).boxed()),
        ("working_dir", Just(json!("/tmp")).boxed()),
        ("hostname", word.prop_map(Value::from).boxed()),
        ("init", any::<bool>().prop_map(Value::from).boxed()),
        ("read_only", any::<bool>().prop_map(Value::from).boxed()),
        ("restart", prop_oneof![Just("no"), Just("always")].prop_map(Value::from).boxed()),
        ("mem_limit", "[1-9]g".prop_map(Value::from).boxed()),
        (
            "healthcheck",
            (word, duration, 1..9_u16)
                .prop_map(|(test, interval, retries)| json!({"test": test, "interval": interval, "retries": retries}))
                .boxed(),
        ),
        (
            "deploy",
            (0..9_u16, word)
                .prop_map(|(replicas, disk)| {
                    let placement = json!({"constraints": [format!("node.labels.disk == {disk}")]});
                    json!({"replicas": replicas, "placement": placement, "resources": {"limits": {"cpus": "0.5"}}})
                })
                .boxed(),
        ),
        (
            "x-orchestrator",
            Just(json!({"partition": "stop", "logs": {"lines": 3}, "probe": {"port": 80, "interval": "5s"}})).boxed(),
        ),
    ];
    let present = vec(any::<bool>(), optional.len());
    let (names, values): (Vec<_>, Vec<_>) = optional.into_iter().unzip();
    (present, values, word).prop_map(move |(present, values, image)| {
        let mut service = Map::from_iter([("image".to_owned(), Value::from(image))]);
        let chosen = names.iter().zip(values).zip(present).filter(|(_, present)| *present);
        service.extend(chosen.map(|((name, value), _)| ((*name).to_owned(), value)));
        service.into()
    })
}

/// A file that is YAML by being JSON.
fn file() -> impl Strategy<Value = String> {
    btree_map("[a-z][a-z0-9-]{0,7}", service(), 1..5).prop_map(|services| {
        let volumes = json!({"data": null, "other": {"name": "elsewhere"}});
        let file = json!({"services": services, "networks": {"front": {"driver": "bridge"}}, "volumes": volumes});
        serde_json::to_string_pretty(&file).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn services_come_out_as_they_were_written(text in file()) {
        let written: Value = serde_json::from_str(&text).unwrap();
        let composed = compose(&text).unwrap();
        prop_assert_eq!(composed.services.len(), written["services"].as_object().unwrap().len());
        for service in composed.services {
            let asked = &written["services"][&service.name];
            prop_assert_eq!(&service.container.body["Image"], &asked["image"]);
            let replicas = asked["deploy"]["replicas"].as_u64().unwrap_or(1);
            prop_assert_eq!(u64::from(service.replicas), replicas);
            let environment = asked["environment"].as_object().map_or(0, Map::len);
            prop_assert_eq!(service.container.body["Env"].as_array().map_or(0, Vec::len), environment);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ \\n:{}\\[\\]&*<!|>a-z$-]{0,80}") {
        drop(compose(&text));
        drop(compose(&format!("services:\n  web:\n    {text}")));
    }
}

/// Debian's `docker-compose`, or Docker's own plugin; `None`, which is said, where there is neither.
fn their_compose() -> Option<Vec<&'static str>> {
    let works = |words: &[&str]| {
        let version = Command::new(words[0]).args(&words[1..]).arg("version").output();
        version.is_ok_and(|version| version.status.success())
    };
    let found = [vec!["docker-compose"], vec!["docker", "compose"]].into_iter().find(|words| works(words));
    if found.is_none() {
        println!("SKIPPED: neither docker-compose nor docker compose is there");
    }
    found
}

fn assert_theirs_takes(compose: &[&str], path: &std::path::Path, text: &str) {
    let mut command = Command::new(compose[0]);
    command.args(&compose[1..]).arg("--file").arg(path).args(["config", "--quiet"]);
    let checked = command.env("TAG", "7").env("SECRET", "hunter2").env("READY", "/srv/ready.d").output().unwrap();
    assert!(checked.status.success(), "{text}\n{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn what_we_take_compose_takes() {
    let Some(theirs) = their_compose() else { return };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 12, ..ProptestConfig::default() });
    let example = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/pair.yml"));
    assert_theirs_takes(&theirs, example, EXAMPLE);
    let outcome = runner.run(&file(), |text| {
        compose(&text).unwrap();
        let mut path = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
        path.write_all(text.as_bytes()).unwrap();
        assert_theirs_takes(&theirs, path.path(), &text);
        Ok(())
    });
    outcome.unwrap();
}
