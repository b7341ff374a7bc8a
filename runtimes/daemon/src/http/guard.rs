//! Checks of every request, and headers of every answer: requests can only read, requests that come from other websites
//! are refused, and a token is required if one is configured.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;

use super::host::{Host, HostPattern, Site};
use super::refusal::Fault;
use crate::args::Listen;
use crate::tls::Secrets;

/// Paths that need no token: health probes, and the page, which asks for the token.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/"];

/// Paths that accept any host name: probes use the name that they are configured with, and the answer contains no data.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// The content security policy of all answers except the page, which has its own.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The checks of a request.
#[derive(Debug)]
pub(super) struct Guard {
    secrets: watch::Receiver<Secrets>,
    /// The names that a request may use, besides `localhost` and every address. A request with another name may come
    /// from a website that uses its visitor's browser to read from the daemon (DNS rebinding). That is possible at
    /// every listen address, because the browser may be inside the network.
    names: Box<[HostPattern]>,
}

impl Guard {
    /// Returns a guard that accepts the names in `--http` and `--http-host`, and this machine's name with and without
    /// its domain.
    pub(super) fn new(secrets: watch::Receiver<Secrets>, place: Option<&Listen>, allowed: &[HostPattern]) -> Self {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { secrets, names: names(place, allowed, &machine) }
    }

    fn check(&self, request: &Request) -> Result<(), Fault> {
        let refused = |status, why: &str| Err(Fault { status, why: why.to_owned() });
        let (headers, path) = (request.headers(), request.uri().path());
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "everything here is only read: GET or HEAD");
        }
        let secrets = self.secrets.borrow();
        let shown = headers.get(AUTHORIZATION);
        let has_token =
            secrets.token.as_ref().zip(shown).is_some_and(|(token, shown)| token.is_shown_by(shown.as_bytes()));
        let site = site(request)?;
        // Another website does not have the token, so a request with the token may use any name.
        if !has_token
            && !HEALTH.contains(&path)
            && let Some(name) = site.as_ref().and_then(|site| self.foreign(&site.host))
        {
            let why = format!(
                "{name} is no name of this daemon: ask by its address, by localhost, or allow the name with --http-host {name}"
            );
            return refused(StatusCode::MISDIRECTED_REQUEST, &why);
        }
        let is_from_here = |origin: &HeaderValue| site.as_ref().is_some_and(|site| site.is_origin(origin.as_bytes()));
        if !headers.get_all(ORIGIN).iter().all(is_from_here) {
            return refused(StatusCode::FORBIDDEN, "other sites have no access");
        }
        if secrets.token.is_some() && !has_token && !OPEN.contains(&path) {
            return refused(StatusCode::UNAUTHORIZED, "a token is to be shown (Authorization: Bearer)");
        }
        Ok(())
    }

    /// Returns the host's name if it is not a name of this daemon.
    fn foreign<'a>(&self, host: &'a Host) -> Option<&'a str> {
        let Host::Name(name) = host else { return None };
        let is_own = name == "localhost" || self.names.iter().any(|pattern| pattern.matches(name));
        (!is_own).then_some(name)
    }
}

fn names(place: Option<&Listen>, allowed: &[HostPattern], machine: &str) -> Box<[HostPattern]> {
    let listen = match place {
        Some(Listen::Name(name)) => Site::parse(name.as_str().as_bytes()).map(|site| site.host.to_string()),
        Some(Listen::Addr(_)) | None => None,
    };
    let short = machine.split('.').next().unwrap_or_default();
    let own = listen.iter().map(String::as_str).chain([machine, short]);
    own.filter_map(|name| name.parse().ok()).chain(allowed.iter().cloned()).collect()
}

/// Returns the site that a request names: its `Host` header, which must agree with its target if that is an absolute
/// URI. `None` if it names no site, as HTTP/1.0 permits.
fn site(request: &Request) -> Result<Option<Site>, Fault> {
    let misdirected = |why: &str| Fault { status: StatusCode::MISDIRECTED_REQUEST, why: why.to_owned() };
    let mut named = request.headers().get_all(HOST).iter();
    let host = match (named.next(), named.next()) {
        (_, Some(_)) => return Err(misdirected("more than one Host")),
        (Some(host), None) => {
            Some(Site::parse(host.as_bytes()).ok_or_else(|| misdirected("Host is no host with or without a port"))?)
        }
        (None, None) => None,
    };
    let target = match request.uri().authority() {
        Some(target) => {
            let site = Site::parse(target.as_str().as_bytes());
            Some(site.ok_or_else(|| misdirected("the target is at no host with or without a port"))?)
        }
        None => None,
    };
    match (host, target) {
        (Some(host), Some(target)) if host.host != target.host => Err(misdirected("the target is not at the Host")),
        (None, None) if request.version() == Version::HTTP_11 => Err(Fault::bad("HTTP/1.1 without a Host")),
        (host, target) => Ok(host.or(target)),
    }
}

/// Checks a request and passes it on. Adds headers that restrict how a browser may use the answer.
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

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn guard(place: &str, allowed: &[&str]) -> Guard {
        let place = crate::args::parse_listen(place).unwrap();
        let allowed: Vec<_> = allowed.iter().map(|name| name.parse().unwrap()).collect();
        let names = names(Some(&place), &allowed, "server-a.corp.example");
        Guard { secrets: watch::channel(Secrets::default()).1, names }
    }

    fn status(guard: &Guard, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let checked = guard.check(&request.body(Body::empty()).unwrap());
        checked.map_or_else(|fault| fault.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_own_names_are_accepted_at_every_listen_address() {
        for place in ["127.0.0.1:4712", "[::]:4712", "192.0.2.1:4712", "routes.example:4712"] {
            let guard = guard(place, &["*.svc.example", "other.example"]);
            let status = |host: &str| status(&guard, "/metrics", &[("host", host)]);
            for host in [
                "127.0.0.1:4712",
                "192.0.2.7",
                "[::1]:4712",
                "[::1]",
                "[fe80::1%25eth0]:4712",
                "localhost",
                "localhost.:4712",
                "LOCALHOST:1",
                "server-a:4712",
                "server-a.corp.example",
                "Server-A.Corp.Example.:4712",
                "other.example",
                "a.svc.example",
                "a.b.svc.example:1",
            ] {
                assert_eq!(status(host), 200, "{place}: {host}");
            }
            for host in [
                "evil.example:4712",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "server-a.evil.example",
                "corp.example",
                "svc.example",
                "evilsvc.example",
                "a.other.example",
                "",
                "a b",
                "[::1",
                ":1",
                "localhost@evil.example",
                "evil.example@localhost",
                "evil.example#localhost",
                "evil.example/localhost",
                "localhost,evil.example",
            ] {
                assert_eq!(status(host), 421, "{place}: {host}");
            }
            assert_eq!(status("routes.example:1") == 200, place.starts_with("routes"), "{place}");
        }
    }

    #[test]
    fn health_is_answered_under_every_name() {
        for path in HEALTH {
            assert_eq!(status(&guard("[::]:4712", &[]), path, &[("host", "balancer.example")]), 200);
        }
    }

    #[test]
    fn an_absolute_uri_as_the_target_is_checked_in_the_same_way() {
        let guard = guard("[::]:4712", &[]);
        let status = |uri: &str, headers: &[(&str, &str)]| status(&guard, uri, headers);
        assert_eq!(status("http://localhost:4712/metrics", &[("host", "localhost:4712")]), 200);
        assert_eq!(status("http://localhost:4712/metrics", &[]), 200);
        assert_eq!(status("http://evil.example/metrics", &[]), 421);
        assert_eq!(status("http://evil.example/metrics", &[("host", "localhost")]), 421);
        assert_eq!(status("http://localhost/metrics", &[("host", "evil.example")]), 421);
    }

    #[test]
    fn a_request_may_lack_a_host_in_http_1_0_only() {
        let guard = guard("[::]:4712", &[]);
        assert_eq!(status(&guard, "/metrics", &[]), 400);
        let request = Request::builder().version(Version::HTTP_10).uri("/metrics").body(Body::empty()).unwrap();
        assert!(guard.check(&request).is_ok());
    }

    #[test]
    fn only_a_page_of_this_daemon_has_the_same_origin() {
        let guard = guard("[::]:4712", &["routes.example"]);
        let status = |host: &str, origin: &str| status(&guard, "/metrics", &[("host", host), ("origin", origin)]);
        for (host, origin) in [
            ("localhost:4712", "http://localhost:4712"),
            ("localhost:4712", "https://LOCALHOST:4712"),
            ("[::1]:4712", "http://[0:0::1]:4712"),
            ("routes.example", "https://routes.example"),
            ("routes.example:443", "https://routes.example"),
        ] {
            assert_eq!(status(host, origin), 200, "{host} {origin}");
        }
        for origin in [
            "null",
            "",
            "http://",
            "http://localhost",
            "http://localhost:4713",
            "http://evil.example",
            "http://localhost:4712@evil.example",
            "http://localhost:4712/",
            "localhost:4712",
            "ftp://localhost:4712",
        ] {
            assert_eq!(status("localhost:4712", origin), 403, "{origin}");
        }
    }
}
