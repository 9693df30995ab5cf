//! What a process makes of its environment, beyond its settings.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::harness::{Harness, Server};
use super::serve::book;

/// Whoever may set a variable must not get the keys and the tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_is_taken_from_the_environment() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let variables = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let lower_case = variables.map(str::to_lowercase);
    let variables = variables
        .into_iter()
        .chain(lower_case.iter().map(String::as_str));
    let own: Vec<_> = variables.map(|variable| (variable, url.as_str())).collect();

    let server = harness.serve(&own);
    server.ready(200).await;
    let (status, booking) = book(&harness, &server).await.await;
    let doctor = harness.run(&["doctor"], &own);

    assert_eq!(status, 201, "{booking}");
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    let asked = proxy.accept().map_err(|error| error.kind());
    assert_eq!(asked.unwrap_err(), ErrorKind::WouldBlock);
}

/// The soft limit is made for programs that look at each of their files, and is 1,024 mostly.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_files_are_open_as_the_hard_limit_lets_be() {
    use std::process::Command;

    use rustix::process::{Resource, getrlimit};

    let harness = Harness::new().await;
    let usual = harness.command(&["serve"], &[]);
    let variables = usual
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut limited = Command::new("/bin/sh");
    limited
        .env_clear()
        .envs(variables)
        .current_dir(&harness.folder)
        .args(["-c", r#"ulimit -S -n 256 && exec "$0" serve"#])
        .arg(usual.get_program());

    let server = Server::start(&mut limited);
    assert_eq!(server.get("/health").await.0, 200);

    let hard = getrlimit(Resource::Nofile).maximum;
    assert_eq!(server.limit_files(hard), hard);
}
