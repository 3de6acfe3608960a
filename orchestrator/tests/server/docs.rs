//! The page at `/docs`, as a person has it in a browser.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use upbeat_testkit::{Browser, ServiceCommand, eventually};

/// Longer than anything here takes, the machine being busy.
const SOON: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_service_can_be_asked_for_and_looked_at_from_the_page() {
    let state = tempfile::tempdir().unwrap();
    let command = ServiceCommand::new("orchestrator", "").arg("server");
    let server = command.env("STATE", state.path().display().to_string()).start().await;
    server.wait_ready().await;
    assert_eq!(server.get("/ui").await.status, 200, "the page leads there");
    let Some(browser) = Browser::start(1000, 1000, false).await else { return };
    browser.open(&server.url("/docs").await).await;
    let holds = async |expression: &str| {
        let script = format!("return Boolean({expression})");
        eventually(expression, SOON, async || match browser.run(&script).await {
            Value::Bool(true) => Ok(()),
            _ => Err(browser.console().await),
        })
        .await;
    };
    holds("document.querySelectorAll('section').length > 20").await;
    // Each field has a name; what does not end has none.
    holds("[...document.querySelectorAll('section textarea, section input')].every((one) => one.labels.length === 1)")
        .await;
    let section = |operation: &str| {
        format!(
            "[...document.querySelectorAll('section')].find((one) => one.querySelector('code').textContent === '{operation}')"
        )
    };
    holds(&format!("{}.querySelector('form') === null", section("GET /v1/events"))).await;

    let create = section("POST /create");
    let sample = browser.run(&format!("return {create}.querySelector('textarea').value")).await;
    assert_eq!(sample, r#"{"name":"web","image":"nginx:1.27"}"#, "what there has to be, as the schema has it");
    let fields = browser.run(&format!("return {create}.querySelector('details').textContent")).await;
    let fields = fields.as_str().unwrap();
    assert!(fields.contains("image (needed)") && fields.contains("`keep`, `stop`, `hold`"), "{fields}");
    let send = async |section: &str, fields: &[(&str, &str)]| {
        let mut script = String::new();
        for (field, value) in fields {
            let _ = write!(script, "{section}.querySelector('{field}').value = {};", json!(value));
        }
        browser.run(&format!("{script} {section}.querySelector('button').click()")).await;
    };
    let body = r#"{"name": "web", "image": "web:1", "replicas": 2}"#;
    send(&create, &[("textarea", body)]).await;
    holds(&format!("{create}.querySelector('[role=status].good')?.textContent.startsWith('202 ')")).await;
    let one = section("GET /v1/services/{name}");
    send(&one, &[("input", "web")]).await;
    holds(&format!("{one}.querySelector('pre').textContent.includes('\"replicas\": 2')")).await;
    assert_eq!(browser.console().await, "");

    // A query, a header and a token are sent as they were given; what is refused is shown.
    let logs = section("GET /v1/logs/{name}");
    send(&logs, &[("[id^=name-]", "web.0.1"), ("[id^=tail-]", "0")]).await;
    holds(&format!("{logs}.querySelector('[role=status].bad')?.textContent.startsWith('400 ')")).await;
    let put = section("PUT /v1/services/{name}");
    send(&put, &[("textarea", body), ("[id^=name-]", "web"), ("[id^=If-None-Match-]", "*")]).await;
    holds(&format!("{put}.querySelector('[role=status].bad')?.textContent.startsWith('412 ')")).await;
    let made = server.try_post("/v1/tokens", "application/json", r#"{"name": "a", "role": "admin"}"#).await;
    send(&put, &[("[id^=If-None-Match-]", "")]).await;
    holds(&format!("{put}.querySelector('[role=status].bad')?.textContent.startsWith('401 ')")).await;
    let token = made.unwrap().json()["token"].take();
    browser.run(&format!("document.getElementById('token').value = {token}")).await;
    send(&put, &[]).await;
    holds(&format!("{put}.querySelector('[role=status].good')?.textContent.startsWith('200 ')")).await;
}
