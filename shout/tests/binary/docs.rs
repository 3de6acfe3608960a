//! The page at `/docs`.

use serde_json::{Value, json};
use upbeat_testkit::{Browser, Service, eventually};

use crate::SOON;

#[tokio::test]
async fn the_page_and_all_that_it_needs_come_from_the_service_itself() {
    let service = Service::shout().start().await;
    let page = service.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'; script-src 'self'"), "{page:?}");
    assert!(!page.body.contains("http"), "nothing is from elsewhere");
    let parts = page
        .body
        .split(['"', '\''])
        .filter(|part| ["docs.css", "docs.js", "icon.svg", "openapi.json", "metrics"].contains(part));
    let mut count = 0;
    for part in parts {
        assert_eq!(service.get(&format!("/{part}")).await.status, 200, "{part}");
        count += 1;
    }
    assert!(count >= 5, "{}", page.body);
}

#[tokio::test]
async fn a_browser_shows_how_to_ask_and_keys_are_enough_to_try() {
    let service = Service::shout().start().await;
    let Some(browser) = Browser::start(1000, 1000, false).await else { return };
    browser.open(&service.url("/docs").await).await;
    let holds = async |expression: &str| {
        let script = format!("return Boolean({expression})");
        eventually(expression, SOON, async || match browser.run(&script).await {
            Value::Bool(true) => Ok(()),
            _ => Err(browser.console().await),
        })
        .await;
    };
    holds("document.querySelectorAll('section').length === 4").await;
    holds("document.querySelector('h1').textContent.startsWith('Upbeat shout')").await;
    let first = browser.run("return document.querySelector('section textarea').value").await;
    assert_eq!(first, json!(r#"{"data":"test"}"#));
    // Each field has a name, each section too.
    holds("[...document.querySelectorAll('textarea')].every((field) => field.labels.length === 1)").await;
    holds("[...document.querySelectorAll('section')].every((one) => document.getElementById(one.getAttribute('aria-labelledby')))").await;

    browser.run("document.querySelector('section textarea').focus()").await;
    browser.press("\u{e004}").await;
    assert_eq!(browser.run("return document.activeElement.textContent").await, "Send");
    browser.press(" ").await;
    holds("document.querySelector('section [role=status]').textContent.startsWith('200 ')").await;
    assert_eq!(
        browser.run("return JSON.parse(document.querySelector('section pre').textContent)").await,
        json!({"data": "TSET"})
    );

    let hostile = r#"{"data": ">1=x/ gpj=rcs gmi<"}"#;
    browser.run(&format!("document.querySelector('section textarea').value = {}", json!(hostile))).await;
    browser.press(" ").await;
    holds("document.querySelector('section pre').textContent.includes('<IMG SCR=JPG /X=1>')").await;
    assert_eq!(browser.run("return document.querySelectorAll('img').length").await, 0);
    assert_eq!(browser.console().await, "");
}
