//! How much may cross between a driver and its host: what a driver may answer, and what it may ask for.
//!
//! Whatever a driver answers beyond these is an error with the code `driver_contract_broken`, or is cut where it is text for
//! people. What it asks its host for is held against the second part, by the host; a call that fails over it has the code
//! `driver_limit_exceeded`.

use std::time::Duration;

/// The code of the error that an answer of a driver becomes which is beyond a bound, or is none.
pub const CONTRACT_BROKEN: &str = "driver_contract_broken";

/// Most items on a page: a registry's page has at most some thousands.
pub const MAX_PAGE_ITEMS: usize = 100_000;
/// Longest cursor, in bytes.
pub const MAX_CURSOR_BYTES: usize = 8 << 10;
/// Most headers of an authorization.
pub const MAX_AUTHORIZATION_HEADERS: usize = 64;
/// Longest endpoint of an authorization, in bytes.
pub const MAX_URL_BYTES: usize = 16 << 10;
/// Most bytes of the names and values of headers.
pub const MAX_HEADER_BYTES: usize = 64 << 10;
/// Most checks of a validation.
pub const MAX_CHECKS: usize = 64;
/// Most details of an error; more are left out.
pub const MAX_DETAILS: usize = 32;
/// Longest code of an error, or name of a detail or a check, in bytes; longer ones are cut.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest media type of a manifest, in bytes.
pub const MAX_MEDIA_TYPE_BYTES: usize = 256;

/// Most requests that one call may have sent.
pub const MAX_REQUESTS_OF_A_CALL: u32 = 5_000;
/// Most requests of a session that are under way; more wait for their turn.
pub const MAX_REQUESTS_AT_ONCE: usize = 32;
/// Most pauses of a session at once; more wait for their turn.
pub const MAX_PAUSES_AT_ONCE: usize = 256;
/// Most headers of a request.
pub const MAX_REQUEST_HEADERS: usize = 128;
/// Largest body of a request, in bytes.
pub const MAX_REQUEST_BODY_BYTES: usize = 8 << 20;
/// Largest body of an answer that a driver is given, in bytes, whatever its request allows.
pub const MAX_ANSWER_BODY_BYTES: u64 = 64 << 20;
/// Longest line of the log, in bytes; longer ones are cut.
pub const MAX_LOG_BYTES: usize = 8 << 10;
/// Lines of the log that a session may write within [`LOG_WINDOW`]; more are counted and left out.
pub const MAX_LOG_LINES: u32 = 50;
/// The time that the lines of the log are counted in.
pub const LOG_WINDOW: Duration = Duration::from_secs(10);
