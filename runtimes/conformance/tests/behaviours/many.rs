//! Many connections.

use std::collections::BTreeSet;

use metalbond_conformance::{route, routes, until};

use super::support::{Client, server};
use crate::driver::Route;
use crate::run;

const MANY: u32 = 1000;

#[test]
fn a_thousand_clients_of_one_server_learn_each_others_routes() {
    run(async {
        allow_descriptors();
        let (server, addr) = server().await;
        let mut clients = Vec::new();
        for n in 0..MANY {
            let client = Client::subscribed(addr).await;
            client.node.announce_route(route(n, 1)).await.unwrap();
            clients.push(client);
        }
        let all = routes(MANY, 1);
        for (n, client) in (0..).zip(&mut clients) {
            let mut others: BTreeSet<Route> = all.clone();
            others.remove(&route(n, 1));
            client.table.becomes(&others).await;
        }
        assert_eq!(server.peers().await.unwrap().len(), MANY as usize);

        // Half of them leave for good, all at once.
        let stay = clients.split_off(MANY as usize / 2);
        for client in clients {
            client.node.shutdown_with_cleanup().await;
        }
        until("half of them", || async { server.peers().await.unwrap().len() == MANY as usize / 2 }).await;
        for (n, mut client) in (MANY / 2..).zip(stay) {
            let mut others: BTreeSet<Route> = (MANY / 2..MANY).map(|n| route(n, 1)).collect();
            others.remove(&route(n, 1));
            client.table.becomes(&others).await;
        }
    });
}

/// Two for each connection, where the system's limit for one process is lower as long as nobody asks for more.
fn allow_descriptors() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    }
}
