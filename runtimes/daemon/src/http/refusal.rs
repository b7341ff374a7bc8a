//! Why a request is refused: a status and one line of text.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::Refusal;

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// A status of 400 or above, and the reason.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

impl Fault {
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into() }
    }

    pub(super) fn gone(why: impl Into<String>) -> Self {
        Self { status: StatusCode::GONE, why: why.into() }
    }

    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, why: why.into() }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(Refusal { error: self.why })).into_response()
    }
}

impl From<QueryRejection> for Fault {
    fn from(rejection: QueryRejection) -> Self {
        let why = std::error::Error::source(&rejection).map_or_else(|| rejection.to_string(), ToString::to_string);
        Self::bad(why)
    }
}

/// Answers a request for an unknown path.
pub(super) async fn nowhere() -> Fault {
    Fault { status: StatusCode::NOT_FOUND, why: "there is nothing here: see /api/v1/openapi.json".to_owned() }
}
