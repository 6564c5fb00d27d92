//! Millstream's own plain pages: health, metrics, and the download of functions' code.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};

use super::call::Call;
use crate::answer::Answer;
use crate::authenticate::Admission;
use crate::listener::Peer;

const CODE: &str = "/_millstream/code/";

pub(super) async fn serve(call: &Call<'_>) -> Answer {
    if call.head.method != Method::GET && call.head.method != Method::HEAD {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is possible here\n");
    }
    let path = call.head.uri.path();
    if let Some(token) = path.strip_prefix(CODE) {
        return download(call, token).await;
    }
    // A function has no business with the server's state.
    match path {
        "/health/live" if call.admission == Admission::Everybody => Answer::text(StatusCode::OK, "live\n"),
        "/health/ready" if call.admission == Admission::Everybody => ready(call),
        "/metrics" if call.admission == Admission::Everybody => metrics(call).await,
        _ => Answer::text(StatusCode::NOT_FOUND, "there is nothing here\n"),
    }
}

fn ready(call: &Call<'_>) -> Answer {
    if !call.shared.ready.load(Ordering::Relaxed) {
        return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
    }
    let troubles = call.shared.parts.health.troubles();
    if troubles.is_empty() {
        return Answer::text(StatusCode::OK, "ready\n");
    }
    // Still ready: everything that is not damaged is served.
    Answer::text(StatusCode::OK, format!("ready, but degraded\n- {}\n", troubles.join("\n- ")))
}

async fn metrics(call: &Call<'_>) -> Answer {
    let local = call.head.extensions.get::<Peer>().is_none_or(|Peer(address)| address.ip().is_loopback());
    if !local {
        return Answer::text(StatusCode::FORBIDDEN, "metrics are for this machine only\n");
    }
    let parts = &call.shared.parts;
    let held = crate::body::IN_FLIGHT_BYTES_MAX.saturating_sub(parts.budget.available());
    let shards = parts.services.streams.shard_metrics().await;
    let figures = parts.health.figures();
    let mut text = parts.metrics.text(held, &shards, &figures);
    text.push_str(&parts.services.metrics.prometheus());
    Answer::new(StatusCode::OK, "text/plain; version=0.0.4", text)
}

/// The archive behind a link that `GetFunction` gave out: the token is its own permission.
async fn download(call: &Call<'_>, token: &str) -> Answer {
    match call.shared.parts.services.functions.code_download(token).await {
        Some(archive) => Answer::new(StatusCode::OK, "application/zip", archive),
        None => Answer::text(StatusCode::FORBIDDEN, "this link is not valid, or not any more\n"),
    }
}
