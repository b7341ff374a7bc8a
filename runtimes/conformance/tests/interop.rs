//! A node on tokio and a node on smol, in one process.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use metalbond_conformance::{VNI, routes, within};
use metalbond_smol::MetalBond as Smol;
use metalbond_tokio::{Config, MetalBond as Tokio, Route};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Follows a stream of changes, of either driver, until the table that it tells is as wanted.
macro_rules! becomes {
    ($changes:expr, $wanted:expr) => {
        within("the wanted table", async {
            let (mut table, wanted) = (BTreeSet::new(), $wanted);
            while table != wanted {
                let change = $changes.next().await.unwrap();
                let route = |&next_hop: &_| Route { vni: change.vni, prefix: change.prefix, next_hop };
                table.extend(change.added().iter().map(route));
                change.removed().iter().map(route).for_each(|gone| assert!(table.remove(&gone)));
            }
        })
        .await
    };
}

#[tokio::test]
async fn routes_pass_between_the_runtimes_through_a_server_on_either() {
    let (on_tokio, _) = Tokio::start(Config::default()).unwrap();
    let (on_smol, _) = Smol::start(Config::default()).unwrap();
    for server in [on_tokio.listen(ANY).await.unwrap(), on_smol.listen(ANY).await.unwrap()] {
        let (tokio, mut tokio_changes) = Tokio::start(Config::default()).unwrap();
        let (smol, mut smol_changes) = Smol::start(Config::default()).unwrap();
        tokio.add_peer(server.into()).await.unwrap();
        smol.add_peer(server.into()).await.unwrap();
        tokio.subscribe(VNI).await.unwrap();
        smol.subscribe(VNI).await.unwrap();

        tokio.announce_routes(routes(5000, 1)).await.unwrap();
        smol.announce_routes(routes(5000, 2)).await.unwrap();

        becomes!(tokio_changes, routes(5000, 2));
        becomes!(smol_changes, routes(5000, 1));
        within("the end of both", smol::future::zip(tokio.shutdown(), smol.shutdown())).await;
    }
}
