//! Many connections.

use metalbond_conformance::{route, routes};

use super::support::{Client, server};
use super::wait::until;
use crate::driver::{Route, Vni};
use crate::run;

const MANY: u32 = 1000;
const OTHER: Vni = Vni(24);

#[test]
fn a_thousand_clients_of_one_server_exchange_routes() {
    run(async {
        allow_descriptors();
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut clients = Vec::new();
        for n in 0..MANY {
            let client = Client::subscribed(addr).await;
            client.node.announce_route(Route { vni: OTHER, ..route(n, 1) }).await.unwrap();
            clients.push(client);
        }
        let table = server.route_table();
        let heard = |n: u32| {
            let table = &table;
            async move { table.routes(OTHER).await.unwrap().len() == n as usize }
        };
        until("what each of them announces", || heard(MANY)).await;
        announcer.node.announce_routes(routes(100, 1)).await.unwrap();
        for client in &mut clients {
            client.table.becomes(&routes(100, 1)).await;
        }

        // Half of the clients leave for good.
        for client in clients.drain(..MANY as usize / 2) {
            client.node.shutdown_with_cleanup().await;
        }
        until("what the others announce", || heard(MANY / 2)).await;
        announcer.node.withdraw_routes(routes(100, 1)).await.unwrap();
        for client in &mut clients {
            client.table.becomes(&[].into()).await;
        }
    });
}

/// Raises the limit of descriptors, because each connection needs two. A system's usual limit for a process is lower.
fn allow_descriptors() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    }
}
