//! What every request has to pass, and what every answer says of itself: nothing but reading, no way in from other sites, and, if
//! there is a token, only for those who show it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;

use super::refusal::Fault;
use crate::cli::Listen;
use crate::tls::Held;

/// Where nobody has to show a token: what machines ask before they know anything, and the page, which asks for it.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/"];

/// For what is no page. The page has a policy of its own.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What requests are held to.
#[derive(Debug)]
pub(super) struct Guard {
    held: watch::Receiver<Held>,
    /// On loopback: the one name, besides `localhost`, by which it may be asked. A name that leads here though nobody here has given
    /// it is another site's, which would read with its visitors' browsers.
    only: Option<Option<Box<str>>>,
}

impl Guard {
    pub(super) fn new(held: watch::Receiver<Held>, bound: SocketAddr, place: Option<&Listen>) -> Self {
        let name = match place {
            Some(Listen::Name(name)) => Some(name.as_str()),
            Some(Listen::Addr(_)) | None => None,
        };
        let only = bound.ip().to_canonical().is_loopback().then(|| name.map(|name| host(name).into()));
        Self { held, only }
    }

    fn check(&self, request: &Request) -> Result<(), Fault> {
        let refused = |status, why: &str| Err(Fault { status, why: why.to_owned() });
        let headers = request.headers();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "everything here is only read: GET or HEAD");
        }
        let named = headers.get(HOST).map(HeaderValue::as_bytes);
        if named.is_some_and(|named| !self.is_own(named)) || headers.get_all(HOST).iter().count() > 1 {
            let why = "this daemon is asked by its address, by localhost, or by the name of its --http";
            return refused(StatusCode::MISDIRECTED_REQUEST, why);
        }
        if headers.get_all(ORIGIN).iter().any(|origin| !is_same(origin.as_bytes(), named)) {
            return refused(StatusCode::FORBIDDEN, "other sites have no access");
        }
        let held = self.held.borrow();
        if let Some(token) = &held.token
            && !OPEN.contains(&request.uri().path())
            && !headers.get(AUTHORIZATION).is_some_and(|shown| token.is_shown_by(shown.as_bytes()))
        {
            return refused(StatusCode::UNAUTHORIZED, "a token is to be shown (Authorization: Bearer)");
        }
        Ok(())
    }

    fn is_own(&self, named: &[u8]) -> bool {
        let Some(only) = &self.only else { return true };
        let Ok(named) = str::from_utf8(named) else { return false };
        let named = host(named);
        let is_address = match named.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
            None => named.parse::<Ipv4Addr>().is_ok(),
        };
        let is = |name: &str| named.eq_ignore_ascii_case(name);
        is_address || is("localhost") || only.as_deref().is_some_and(is)
    }
}

/// Passes a request on if it may be, and closes what could be made of its answer elsewhere.
pub(super) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut answer = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(fault) => refuse(fault),
    };
    close(answer.headers_mut());
    answer
}

fn refuse(fault: Fault) -> Response {
    let status = fault.status;
    let mut answer = fault.into_response();
    match status {
        StatusCode::METHOD_NOT_ALLOWED => answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD")),
        StatusCode::UNAUTHORIZED => {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"metalbond\""))
        }
        _ => None,
    };
    answer
}

fn close(headers: &mut HeaderMap) {
    const RESOURCES: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCES, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Without its port.
fn host(place: &str) -> &str {
    match place.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => place,
    }
}

/// Whether a page that was loaded from here asks.
fn is_same(origin: &[u8], named: Option<&[u8]>) -> bool {
    let of_here = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| origin.strip_prefix(scheme));
    of_here.zip(named).is_some_and(|(of_here, named)| of_here.eq_ignore_ascii_case(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(bound: &str, place: &str) -> Guard {
        let place = crate::cli::parse_listen(place).unwrap();
        Guard::new(watch::channel(Held::default()).1, bound.parse().unwrap(), Some(&place))
    }

    #[test]
    fn on_loopback_nobody_else_gives_it_a_name() {
        let guard = guard("127.0.0.1:4712", "routes.example:4712");
        for named in ["127.0.0.1:4712", "[::1]:4712", "[::1]", "localhost", "LOCALHOST:1", "routes.example:4712"] {
            assert!(guard.is_own(named.as_bytes()), "{named}");
        }
        for named in ["evil.example:4712", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b", "[::1", ":1"]
        {
            assert!(!guard.is_own(named.as_bytes()), "{named}");
        }
        assert!(!guard.is_own(b"\xff"));
    }

    #[test]
    fn elsewhere_names_are_the_networks() {
        assert!(guard("[::]:4712", "[::]:4712").is_own(b"server-a.example:4712"));
        assert!(!guard("[::ffff:127.0.0.1]:4712", "[::ffff:127.0.0.1]:4712").is_own(b"server-a.example:4712"));
    }

    #[test]
    fn only_a_page_from_here_is_of_here() {
        let named = Some(&b"localhost:4712"[..]);
        assert!(is_same(b"http://localhost:4712", named) && is_same(b"https://LOCALHOST:4712", named));
        for origin in ["null", "", "http://localhost", "http://evil.example", "localhost:4712", "ftp://localhost:4712"]
        {
            assert!(!is_same(origin.as_bytes(), named), "{origin}");
        }
        assert!(!is_same(b"http://", None));
    }
}
