//! An HTTP client of a daemon.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::Response;
use ureq::http::header::AUTHORIZATION;
use ureq::tls::TlsConfig;

use super::access::Place;
use crate::api::{Page, Refusal};
use crate::token::Token;

/// Timeout for the start of an answer, and for each part of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of items of a page.
const LIMIT: usize = 10_000;
/// How often reading a list is started again because the daemon rearranged the table meanwhile.
const TRIES: usize = 5;

/// A daemon's address, with what is needed to connect.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    place: Place,
    token: Option<Token>,
    tls: TlsConfig,
}

impl fmt::Display for Daemon {
    /// Writes the host and the port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.host_and_port())
    }
}

/// The reason why a daemon did not give a valid answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot reach {0}/: {1} (does a daemon run there, with --http?)")]
    Unreachable(Place, ureq::Error),
    #[error("{0}/ says: {1}")]
    Refused(Place, String),
    /// The table was rearranged while its pages were read.
    #[error("the table of {0}/ changed again and again while it was read")]
    Moved(Place),
    #[error("{0}/ does not answer like a metalbond daemon: {1}")]
    Strange(Place, String),
}

impl Daemon {
    pub(super) fn new(place: Place, token: Option<Token>, tls: TlsConfig) -> Self {
        Self { place, token, tls }
    }

    /// Returns the daemon's address.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Reads one answer.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        let mut answer = self.ask(path, query, Some(PATIENCE))?;
        let strange = |error: &dyn fmt::Display| Failure::Strange(self.place.clone(), error.to_string());
        let reader = answer.body_mut().as_reader();
        serde_json::from_reader(BufReader::new(reader)).map_err(|error| strange(&error))
    }

    /// Reads all items of a list, page by page.
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

    /// Opens a stream of lines that lasts until the daemon ends it.
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
        // A redirect would send the token to another server.
        let config = config.max_redirects(0).tls_config(self.tls.clone());
        let mut request = Agent::new_with_config(config.build()).get(format!("{}{path}", self.place));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.authorization());
        }
        for (name, value) in query {
            request = request.query(*name, value);
        }
        let mut answer = request.call().map_err(|error| Failure::Unreachable(self.place.clone(), error))?;
        let status = answer.status().as_u16();
        if status == 410 {
            return Err(Failure::Moved(self.place.clone()));
        }
        if status != 200 {
            let refusal = serde_json::from_reader(answer.body_mut().as_reader());
            let why = refusal.map_or_else(|_| format!("status {status}"), |Refusal { error }| error);
            return Err(Failure::Refused(self.place.clone(), why));
        }
        Ok(answer)
    }
}
