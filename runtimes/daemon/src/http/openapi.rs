//! `GET /api/v1/openapi.json`: a description of the API that is generated from its types.

use axum::Json;
use utoipa::OpenApi;

use crate::api;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "metalbond",
        description = "The state of a metalbond daemon. Read-only. Durations are seconds. A daemon with --http-token answers \
            only who shows it (Authorization: Bearer TOKEN), and others with 401."
    ),
    paths(paths::status, paths::peers, paths::vnis, paths::routes, paths::events),
    components(schemas(api::PeerEvent, api::RouteEvent, api::Refusal))
)]
struct Description;

pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

/// Stand-ins for the handlers, whose real parameters are types of the framework.
#[allow(dead_code, reason = "for the attributes")]
mod paths {
    use crate::api::{Destination, Page, Peer, Refusal, Status, Vni};

    #[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Status)))]
    fn status() {}

    #[utoipa::path(get, path = "/api/v1/peers",
        params(
            ("peer" = Option<String>, Query, description = "the one of this name"),
            ("limit" = Option<u32>, Query, description = "items of a page at most: 1 to 10000; 1000"),
            ("after" = Option<String>, Query, description = "`next` of the page before"),
        ),
        responses((status = 200, body = Page<Peer>), (status = 400, body = Refusal)))]
    fn peers() {}

    #[utoipa::path(get, path = "/api/v1/vnis",
        params(
            ("vni" = Option<u32>, Query, description = "this one"),
            ("limit" = Option<u32>, Query, description = "items of a page at most: 1 to 10000; 1000"),
            ("after" = Option<String>, Query, description = "`next` of the page before"),
        ),
        responses((status = 200, body = Page<Vni>), (status = 400, body = Refusal)))]
    fn vnis() {}

    #[utoipa::path(get, path = "/api/v1/routes",
        description = "In the order of VNIs; in a VNI, in no particular order. Destinations that are there all the time while \
            you page are shown once each.",
        params(
            ("vni" = Option<u32>, Query, description = "of this VNI"),
            ("prefix" = Option<String>, Query, description = "this destination, and those that lie in it"),
            ("addr" = Option<String>, Query, description = "destinations in which this address lies"),
            ("next_hop" = Option<String>, Query, description = "destinations with a next hop of this address"),
            ("peer" = Option<String>, Query, description = "destinations that the peer of this name announces"),
            ("limit" = Option<u32>, Query, description = "items of a page at most: 1 to 10000; 1000"),
            ("after" = Option<String>, Query, description = "`next` of the page before"),
        ),
        responses((status = 200, body = Page<Destination>), (status = 400, body = Refusal),
            (status = 410, body = Refusal, description = "the table was rearranged meanwhile: begin again")))]
    fn routes() {}

    #[utoipa::path(get, path = "/api/v1/events",
        description = "What happens from now on, as server-sent events: `following` ({}) when it begins, `route` (RouteEvent), `peer` (PeerEvent, as seen four \
            times a second), `missed` ({\"missed\": number}) for a reader that is too slow, and `incomplete` ({\"why\": text}) when changes of \
            some networks cannot be reported.",
        params(("vni" = Option<u32>, Query, description = "routes of this VNI only")),
        responses((status = 200, content_type = "text/event-stream"), (status = 400, body = Refusal)))]
    fn events() {}
}
