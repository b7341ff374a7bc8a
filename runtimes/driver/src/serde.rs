//! Serialization written by hand for the feature `serde`: an endpoint is text, and a peer has one flat form whichever end opened the
//! connection.

use std::net::SocketAddr;

use metalbond::{PeerInfo, SessionInfo, SessionState};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Direction, Endpoint, PeerSnapshot};

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        text.parse().map_err(|why| D::Error::custom(format_args!("{text:?} is not 'host:port': {why}")))
    }
}

/// The serialized form of a peer: `configured` is null for a client, `session` is null without a connection.
#[derive(Serialize)]
struct Shown<'a> {
    direction: Direction,
    state: SessionState,
    remote: Option<SocketAddr>,
    configured: Option<&'a PeerInfo>,
    session: Option<&'a SessionInfo>,
}

impl Serialize for PeerSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = Shown {
            direction: self.direction(),
            state: self.state(),
            remote: self.remote(),
            configured: self.configured(),
            session: self.session(),
        };
        shown.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use metalbond::{Command, Config, ConnId, Input, Instant, Node};
    use serde_json::json;

    use super::*;
    use crate::peer_snapshots;

    #[test]
    fn an_endpoint_is_text_and_an_invalid_text_is_refused() {
        let endpoint: Endpoint = "[::1]:4711".parse().unwrap();
        assert_eq!(serde_json::to_value(&endpoint).unwrap(), json!("[::1]:4711"));
        assert_eq!(serde_json::from_value::<Endpoint>(json!("[::1]:4711")).unwrap(), endpoint);
        let error = serde_json::from_value::<Endpoint>(json!("localhost")).unwrap_err().to_string();
        assert_eq!(error, r#""localhost" is not 'host:port': no ':port' after the host"#);
    }

    #[test]
    fn a_peer_has_the_same_form_whichever_end_opened_the_connection() {
        let now = Instant::EPOCH;
        let mut node = Node::new(Config::default(), now).unwrap();
        let actions = node.handle_input(now, Input::Command(Command::AddPeer { endpoint: "server:4711".into() }));
        let dialled = |action| if let metalbond::Action::Dial { conn, .. } = action { Some(conn) } else { None };
        let conn = actions.into_iter().find_map(dialled).unwrap();
        node.handle_input(now, Input::DialFailed { conn, why: "no route".into() });
        let remote = SocketAddr::from(([192, 0, 2, 1], 4000));
        node.handle_input(now, Input::Accepted { conn: ConnId::accepted(5), remote });

        let peers = serde_json::to_value(peer_snapshots(&node, None).collect::<Vec<_>>()).unwrap();
        let (server, client) = (&peers[0], &peers[1]);
        assert_eq!((&server["direction"], &server["state"]), (&json!("dialled"), &json!("RETRY")));
        assert_eq!((&server["remote"], &server["session"]), (&json!(null), &json!(null)));
        assert_eq!(server["configured"]["endpoint"], json!("server:4711"));
        assert_eq!((&client["direction"], &client["state"]), (&json!("accepted"), &json!("CONNECTING")));
        assert_eq!((&client["remote"], &client["configured"]), (&json!("192.0.2.1:4000"), &json!(null)));
        assert_eq!(client["session"]["conn"], json!("a5"));
    }
}
