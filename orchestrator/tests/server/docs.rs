//! The page at `/docs`, as a person has it in a browser.

use std::time::Duration;

use serde_json::Value;
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
    let body = r#"{"name": "web", "image": "web:1", "replicas": 2}"#;
    browser
        .run(&format!("{create}.querySelector('textarea').value = '{body}'; {create}.querySelector('button').click()"))
        .await;
    holds(&format!("{create}.querySelector('[role=status]').textContent.startsWith('202 ')")).await;
    let one = section("GET /v1/services/{name}");
    browser.run(&format!("{one}.querySelector('input').value = 'web'; {one}.querySelector('button').click()")).await;
    holds(&format!("{one}.querySelector('pre').textContent.includes('\"replicas\": 2')")).await;
    assert_eq!(browser.console().await, "");
}
