//! A node on tokio and a node on smol, in one process. Their handles are the same types.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use metalbond_conformance::{VNI, routes, within};
use metalbond_tokio::{Changes, Config, MetalBond, Route};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[tokio::test]
async fn routes_pass_between_nodes_on_both_runtimes_through_a_server_on_either() {
    let on_tokio = || metalbond_tokio::start(Config::default()).unwrap();
    let on_smol = || metalbond_smol::start(Config::default()).unwrap();
    for (server, _) in [on_tokio(), on_smol()] {
        let address = server.listen(ANY).await.unwrap();
        let clients: [(MetalBond, Changes); 2] = [on_tokio(), on_smol()];
        for ((client, _), hypervisor) in clients.iter().zip(1..) {
            client.add_peer(address.into()).await.unwrap();
            client.subscribe(VNI).await.unwrap();
            client.announce_routes(routes(5000, hypervisor)).await.unwrap();
        }
        let [(tokio, tokio_changes), (smol, smol_changes)] = clients;
        becomes(tokio_changes, routes(5000, 2)).await;
        becomes(smol_changes, routes(5000, 1)).await;
        within("the end of both", smol::future::zip(tokio.shutdown(), smol.shutdown())).await;
    }
}

/// Reads a stream of changes until the table that it reports equals `wanted`.
async fn becomes(mut changes: Changes, wanted: BTreeSet<Route>) {
    within("the wanted table", async {
        let mut table = BTreeSet::new();
        while table != wanted {
            let change = changes.next().await.unwrap();
            let route = |&next_hop: &_| Route { vni: change.vni, prefix: change.prefix, next_hop };
            table.extend(change.added().iter().map(route));
            change.removed().iter().map(route).for_each(|gone| assert!(table.remove(&gone)));
        }
    })
    .await;
}
