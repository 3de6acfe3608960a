//! What Chromium makes of it.

use std::time::Duration;

use serde_json::{Value, json};
use upbeat_testkit::{Browser, Service, Signal, eventually};

use crate::{LIMIT, consumer};

/// A browser with the service's page open.
async fn look(service: &Service, dark: bool) -> Option<Browser> {
    let browser = Browser::start(1280, 1000, dark).await?;
    browser.open(&format!("http://{}/", service.wait_listening().await)).await;
    Some(browser)
}

/// Waits until the expression is true in the page.
async fn holds(browser: &Browser, expression: &str) {
    let script = format!("return Boolean({expression})");
    let probe = async || if browser.run(&script).await == json!(true) { Ok(()) } else { Err(browser.console().await) };
    eventually(expression, LIMIT, probe).await;
}

#[tokio::test]
async fn a_browser_shows_live_figures_and_the_last_messages_and_keys_are_enough() {
    let (resources, command) = consumer().await;
    let service = command.args(["--queue-metrics-interval", "1s"]).start().await;
    service.wait_ready().await;
    let Some(browser) = look(&service, false).await else { return };
    holds(&browser, "document.getElementById('state').textContent === 'ready'").await;
    assert_eq!(browser.run("return document.title").await, "consumer – Upbeat");

    resources.publish(&(0..40).map(|n| n.to_string()).collect::<Vec<_>>()).await;
    let deleted = service.wait_events("deleted", 40, LIMIT).await;
    holds(&browser, "document.querySelectorAll('#recent td.id').length >= 2").await;
    let shown = browser.run("return document.querySelector('#recent td.id').textContent").await;
    assert!(deleted.iter().any(|event| event.text("id") == shown.as_str().unwrap()), "{shown}");
    let captions =
        browser.run("return [...document.querySelectorAll('figcaption')].map((one) => one.textContent)").await;
    let panels: Vec<_> = upbeat_consumer::BOARD.panels.iter().map(|panel| panel.title).collect();
    assert_eq!(captions, json!(panels));
    holds(&browser, "document.querySelectorAll('figure svg path').length >= 6").await;
    let blank = "return [...document.querySelectorAll('dt')].filter((one) => one.nextElementSibling.textContent === '–')\
                 .map((one) => one.closest('figure').innerText)";
    let all_figures = eventually("all figures", LIMIT, async || {
        let blank = browser.run(blank).await;
        if blank == json!([]) { Ok(()) } else { Err(blank.to_string()) }
    });
    // How long handlers took is a figure only while there are any.
    let messages = async {
        loop {
            resources.publish(["more"]).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = messages => {}
        () = all_figures => {}
    }

    let spoken =
        browser.run("return [...document.querySelectorAll('svg')].map((one) => one.getAttribute('aria-label'))").await;
    let spoken: Vec<_> = spoken.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(spoken.len(), panels.len());
    assert!(spoken[0].starts_with("Messages over the last 15 minutes. received: now "), "{spoken:?}");

    browser.press("\u{e004}").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "pause");
    browser.press(" ").await;
    holds(&browser, "document.getElementById('pause').getAttribute('aria-pressed') === 'true'").await;
    browser.press("\u{e004}").await;
    assert_eq!(browser.run("return document.activeElement.className").await, "scroll");
    assert_eq!(browser.console().await, "");
}

#[tokio::test]
async fn what_a_hostile_message_says_is_shown_as_text_and_nothing_of_it_runs() {
    let (resources, command) = consumer().await;
    let service = command.arg("--page-bodies").start().await;
    service.wait_ready().await;
    let hostile = "</td><script>hacked=1</script><img src=x onerror=hacked=1><svg onload=hacked=1>\u{202e}\ndata: x\n\nevent: begin";
    let Some(browser) = look(&service, true).await else { return };
    holds(&browser, "document.getElementById('state').textContent === 'ready'").await;
    resources.queue.send([hostile]).await;
    holds(&browser, "document.querySelector('#recent td.body')").await;
    assert_eq!(browser.run("return document.querySelector('#recent td.body').textContent").await, hostile);
    assert_eq!(browser.run("return window.hacked ?? null").await, Value::Null);
    assert_eq!(browser.run("return document.querySelectorAll('img, #recent script, #recent svg').length").await, 0);

    // Even somebody who could put markup into the page would not get far.
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=hacked=1>')").await;
    let refused = async || {
        let console = browser.console().await;
        if console.contains("Content Security Policy") { Ok(()) } else { Err(console) }
    };
    eventually("the policy to refuse it", LIMIT, refused).await;
    assert_eq!(browser.run("return window.hacked ?? null").await, Value::Null);
}

#[tokio::test]
async fn a_service_that_stops_and_comes_back_is_said_and_found_again() {
    let (_resources, command) = consumer().await;
    let service = command.start().await;
    let address = service.wait_listening().await;
    service.wait_ready().await;
    let Some(browser) = look(&service, false).await else { return };
    holds(&browser, "document.getElementById('state').className === 'good'").await;
    service.signal(Signal::SIGKILL);
    assert_eq!(service.wait_exit(LIMIT).await, 128 + 9);
    holds(&browser, "document.getElementById('state').textContent.startsWith('not connected')").await;
    let service = command.env("LISTEN", address.to_string()).start().await;
    service.wait_ready().await;
    holds(&browser, "document.getElementById('state').textContent === 'ready'").await;
}
