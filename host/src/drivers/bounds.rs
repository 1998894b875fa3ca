//! Every bound of what crosses between drivers and the agent, as `docs/drivers.md` lists them.

use std::fmt::Write as _;

use regent_distribution::PageLimits;
use regent_oci::MAX_MANIFEST_BYTES;
use regent_plugin_api::{Error, bounds as b};

use super::DriversConfig;
use super::bulkhead::MAX_IN_FLIGHT;

/// What happens beyond a bound.
const CONTRACT: &str = "`driver_contract_broken`";
const LIMIT: &str = "`driver_limit_exceeded`, where the call fails over it";
const CUT: &str = "cut";
const TURN: &str = "the next one waits for its turn";

/// A count as people read it: `8 KiB`, `100,000`.
fn bytes(n: usize) -> String {
    match n {
        n if n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n if n.is_multiple_of(1 << 10) => format!("{} KiB", n >> 10),
        n => format!("{n} B"),
    }
}

fn count(n: usize) -> String {
    let digits = n.to_string();
    digits.chars().enumerate().fold(String::new(), |mut text, (i, digit)| {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
        text
    })
}

/// The table of `docs/drivers.md`.
pub(crate) fn markdown() -> String {
    let PageLimits { pages, items } = PageLimits::default();
    let answer_bytes = usize::try_from(b::MAX_ANSWER_BODY_BYTES).unwrap_or(usize::MAX);
    let requests = usize::try_from(b::MAX_REQUESTS_OF_A_CALL).unwrap_or(usize::MAX);
    let lines = format!("{} in {} s", b::MAX_LOG_LINES, b::LOG_WINDOW.as_secs());
    let sessions = count(DriversConfig::DEFAULT_MAX_SESSIONS);
    let idle = DriversConfig::DEFAULT_SESSION_IDLE.as_secs() / 60;
    let rows: Vec<(&str, String, &str)> = vec![
        ("items on a page", count(b::MAX_PAGE_ITEMS), CONTRACT),
        ("a cursor", bytes(b::MAX_CURSOR_BYTES), CONTRACT),
        ("pages of a listing", count(pages), "`paging_limit`"),
        ("items of a listing", count(items), "`paging_limit`"),
        ("the same cursor in a listing, or a page without a new item", "1".to_owned(), "`paging_loop`"),
        ("headers of an authorization", count(b::MAX_AUTHORIZATION_HEADERS), CONTRACT),
        ("their names and values", bytes(b::MAX_HEADER_BYTES), CONTRACT),
        ("the endpoint of an authorization", bytes(b::MAX_URL_BYTES), CONTRACT),
        ("checks of a validation", count(b::MAX_CHECKS), CONTRACT),
        ("a manifest", bytes(MAX_MANIFEST_BYTES), CONTRACT),
        ("its media type", bytes(b::MAX_MEDIA_TYPE_BYTES), CONTRACT),
        ("a piece of a blob", "what was asked for".to_owned(), CONTRACT),
        ("the message of an error, or a detail", bytes(Error::MAX_MESSAGE_BYTES), CUT),
        ("the code of an error, or a name of a detail or check", bytes(b::MAX_NAME_BYTES), CUT),
        ("details of an error", count(b::MAX_DETAILS), "more are left out"),
        ("requests in one call", count(requests), LIMIT),
        ("requests of a session at once", count(b::MAX_REQUESTS_AT_ONCE), TURN),
        ("pauses of a session at once", count(b::MAX_PAUSES_AT_ONCE), TURN),
        ("headers of a request", count(b::MAX_REQUEST_HEADERS), LIMIT),
        ("their names and values", bytes(b::MAX_HEADER_BYTES), LIMIT),
        ("the URL of a request", bytes(b::MAX_URL_BYTES), LIMIT),
        ("the body of a request", bytes(b::MAX_REQUEST_BODY_BYTES), LIMIT),
        ("the body of an answer", bytes(answer_bytes), LIMIT),
        ("the same, where the request allows less", "that".to_owned(), "`body_too_large`"),
        ("lines of the log, of a session", lines, "counted, and left out"),
        ("a line of the log", bytes(b::MAX_LOG_BYTES), CUT),
        ("calls of a driver at once", count(MAX_IN_FLIGHT), TURN),
        ("sessions that are kept, of all drivers", sessions, "the one unused for longest is closed"),
        ("the time that an unused session is kept", format!("{idle} min"), "it is closed"),
        ("one call", "`REGENT_DRIVER_TIMEOUT`".to_owned(), "`driver_timeout`"),
    ];
    let mut table = "| what | at most | beyond it |\n| --- | --- | --- |\n".to_owned();
    for (what, most, beyond) in rows {
        let _ = writeln!(table, "| {what} | {most} | {beyond} |"); // a String takes everything
    }
    table
}
