//! An engine that is reached by TLS, and shown who we are: `dockerd --tlsverify`.

use std::path::Path;
use std::process::{Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{Engine, SOON, STEADY};

const ADDRESS: &str = "127.0.0.1:2376";

type Authority = Issuer<'static, KeyPair>;

/// An authority, and its certificate.
fn authority() -> (Authority, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "engines");
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), certificate)
}

/// The three files, as Docker has them.
fn files((authority, certificate): &(Authority, String), usage: ExtendedKeyUsagePurpose) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    let own = params.signed_by(&key, authority).unwrap().pem();
    for (name, text) in [("ca.pem", certificate), ("cert.pem", &own), ("key.pem", &key.serialize_pem())] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// What the dry run says of the engine, with these files.
async fn plan(engine: &Engine, files: &Path) -> Output {
    let mut plan = engine.in_its_network(env!("CARGO_BIN_EXE_orchestrator"));
    plan.args(["plan", "--engine", &format!("https://{ADDRESS}"), "--engine-tls"]).arg(files);
    plan.arg("--state").arg(engine.path("state"));
    timeout(SOON, plan.output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_engine_by_tls_is_looked_after_as_any_other_and_who_is_not_known_is_not_talked_to() {
    let known = authority();
    let server = files(&known, ExtendedKeyUsagePurpose::ServerAuth);
    let at = |name: &str| server.path().join(name).display().to_string();
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(at);
    let listen = format!("tcp://{ADDRESS}");
    let arguments = ["-H", &listen, "--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
    let Some(engine) = Engine::start(&arguments).await else { return };
    match engine.in_its_network("ip").args(["link", "set", "lo", "up"]).output().await {
        Ok(up) if up.status.success() => {}
        other => {
            println!("SKIPPED: its loopback device can't be had, {other:?}");
            return;
        }
    }
    engine.run("web", &[], STEADY).await;
    let client = files(&known, ExtendedKeyUsagePurpose::ClientAuth);
    let told = plan(&engine, client.path()).await;
    let out = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && out.contains("web: leave"), "{told:?}");

    let stranger = authority();
    let unknown = files(&stranger, ExtendedKeyUsagePurpose::ClientAuth);
    let told = plan(&engine, unknown.path()).await;
    assert_eq!(told.status.code(), Some(1), "another engine's authority: {told:?}");
    std::fs::copy(client.path().join("ca.pem"), unknown.path().join("ca.pem")).unwrap();
    let told = plan(&engine, unknown.path()).await;
    assert_eq!(told.status.code(), Some(1), "it does not know us: {told:?}");
    std::fs::remove_file(unknown.path().join("key.pem")).unwrap();
    let told = plan(&engine, unknown.path()).await;
    assert!(String::from_utf8_lossy(&told.stderr).contains("key.pem"), "{told:?}");

    let mut orchestrator = engine.in_its_network(env!("CARGO_BIN_EXE_orchestrator"));
    orchestrator.args(["solo", "--enforce", "--listen", "127.0.0.1:0", "--engine", &format!("https://{ADDRESS}")]);
    orchestrator.arg("--engine-tls").arg(client.path()).arg("--state").arg(engine.path("state"));
    orchestrator.env_remove("DOCKER_HOST").stdout(std::fs::File::create(engine.path("out")).unwrap());
    let mut orchestrator = orchestrator.stderr(Stdio::null()).spawn().unwrap();
    upbeat_testkit::eventually("the snapshot", SOON, async || {
        let out = std::fs::read_to_string(engine.path("out")).unwrap_or_default();
        if out.contains(" snapshot ") { Ok(()) } else { Err(out) }
    })
    .await;
    engine.docker(&["kill", "web"]).await;
    engine.wait_running(&["web"]).await;
    engine.docker(&["rm", "--force", "web"]).await;
    engine.wait_running(&["web"]).await;
    orchestrator.start_kill().unwrap();
    drop(orchestrator.wait().await);
}
