//! Asking a daemon.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::str::FromStr;
use std::time::Duration;

use metalbond_tokio::Endpoint;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Response, Uri};

use crate::api::{Page, Refusal};

/// How long an answer may take to begin, and each part of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Items of a page.
const LIMIT: usize = 10_000;
/// How often a list is begun again, if the daemon moves it meanwhile.
const TRIES: usize = 5;

/// A daemon, by where it speaks HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Daemon {
    place: String,
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl FromStr for Daemon {
    type Err = String;

    /// `host:port`, or the same as an address of the web; `:4712` for this machine, where a daemon that listens everywhere is.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let place = if place.starts_with(':') { format!("localhost{place}") } else { place.to_owned() };
        let place = place.parse::<Endpoint>().map_err(|error| error.to_string())?.to_string();
        // A host may be any text for those who only look it up, but not in an address of the web.
        Uri::from_str(&format!("http://{place}/")).map_err(|error| error.to_string())?;
        Ok(Self { place })
    }
}

/// Why a daemon did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot reach http://{0}/: {1} (does a daemon run there, with --http?)")]
    Unreachable(Daemon, ureq::Error),
    #[error("http://{0}/ says: {1}")]
    Refused(Daemon, String),
    /// The list was moved while it was told.
    #[error("the table of http://{0}/ was rearranged again and again")]
    Moved(Daemon),
    #[error("http://{0}/ gives no answer of a metalbond: {1}")]
    Strange(Daemon, String),
}

impl Daemon {
    /// One answer.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        let mut answer = self.ask(path, query, Some(PATIENCE))?;
        let strange = |error: &dyn fmt::Display| Failure::Strange(self.clone(), error.to_string());
        let reader = answer.body_mut().as_reader();
        serde_json::from_reader(BufReader::new(reader)).map_err(|error| strange(&error))
    }

    /// All items of a list.
    pub(crate) fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<T>, Failure> {
        let mut tries = 0;
        loop {
            match self.pages(path, query) {
                Err(Failure::Moved(_)) if tries < TRIES => tries += 1,
                listed => return listed,
            }
        }
    }

    fn pages<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<T>, Failure> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let mut query = query.to_vec();
            query.push(("limit", LIMIT.to_string()));
            query.extend(after.map(|after| ("after", after)));
            let page: Page<T> = self.get(path, &query)?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// Lines that come for as long as the daemon has some.
    pub(crate) fn lines(&self, path: &str, query: &[(&str, String)]) -> Result<impl BufRead + use<>, Failure> {
        let answer = self.ask(path, query, None)?;
        Ok(BufReader::new(answer.into_body().into_reader()))
    }

    fn ask(
        &self,
        path: &str,
        query: &[(&str, String)],
        patience: Option<Duration>,
    ) -> Result<Response<ureq::Body>, Failure> {
        let config = Agent::config_builder().http_status_as_error(false).proxy(None).timeout_connect(Some(PATIENCE));
        let config = config.timeout_recv_response(Some(PATIENCE)).timeout_recv_body(patience.map(|each| each * 6));
        let mut request = Agent::new_with_config(config.build()).get(format!("http://{}{path}", self.place));
        for (name, value) in query {
            request = request.query(*name, value);
        }
        let mut answer = request.call().map_err(|error| Failure::Unreachable(self.clone(), error))?;
        let status = answer.status().as_u16();
        if status == 410 {
            return Err(Failure::Moved(self.clone()));
        }
        if status != 200 {
            let refusal = serde_json::from_reader(answer.body_mut().as_reader());
            let why = refusal.map_or_else(|_| format!("status {status}"), |Refusal { error }| error);
            return Err(Failure::Refused(self.clone(), why));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_named_by_host_and_port_in_any_way() {
        for text in ["127.0.0.1:4712", "http://127.0.0.1:4712", "http://127.0.0.1:4712/"] {
            assert_eq!(text.parse::<Daemon>().unwrap().to_string(), "127.0.0.1:4712");
        }
        for text in ["", "localhost", "https://localhost:4712", "http://localhost", "a b:4712", "[::1:4712", "h:65536"]
        {
            assert!(text.parse::<Daemon>().is_err(), "{text}");
        }
        assert_eq!("http://[::1]:4712/".parse::<Daemon>().unwrap().to_string(), "[::1]:4712");
        assert_eq!(":4712".parse::<Daemon>().unwrap().to_string(), "localhost:4712");
    }
}
