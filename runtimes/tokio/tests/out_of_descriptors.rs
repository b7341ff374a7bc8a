//! A process that runs out of file descriptors. Alone in its file, because the limit is the whole process's.
#![cfg(target_os = "linux")]

use std::time::Duration;

use metalbond_tokio::{Config, MetalBond, SessionState};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_listener_survives_the_lack_of_descriptors() {
    let (server, _) = MetalBond::start(Config::default()).unwrap();
    let addr = server.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: limit.maximum }).unwrap();

    // Each takes one descriptor here and one at the server: both run out of them.
    let mut hoard = Vec::new();
    while let Ok(stream) = TcpStream::connect(addr).await {
        hoard.push(stream);
    }
    // One more in the backlog, which the server cannot accept.
    hoard.pop();
    let waiting = TcpStream::connect(addr).await.unwrap();
    hoard.clear();
    drop(waiting);

    let (client, _) = MetalBond::start(Config::default()).unwrap();
    let peer = client.add_peer(&addr.to_string()).await.unwrap();
    timeout(Duration::from_secs(30), async {
        while client.peer_state(peer).await != Ok(SessionState::Established) {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the server accepts again");
}
