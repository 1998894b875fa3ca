//! The codes of problems: what `docs/operating.md` lists and `/openapi.json` names.

/// A code that an answer, an operation or a callback may carry.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// Stable; clients and runbooks go by it.
    pub code: &'static str,
    /// The HTTP status of an answer with it.
    pub status: u16,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What an operator does about it.
    pub remedy: &'static str,
}

const fn row(code: &'static str, status: u16, title: &'static str, remedy: &'static str) -> Code {
    Code { code, status, title, remedy }
}

/// All codes of the host, the core crates, the plugin API and the driver for local images, in alphabetical order. Another
/// driver may add codes of its own: those get their status from their class.
pub const CODES: &[Code] = &[
    row(
        "agent_stopping",
        503,
        "The agent is stopping",
        "Ask another replica, or this one again when it has been started anew.",
    ),
    row(
        "archive_damaged",
        502,
        "An archive is damaged",
        "Save or copy the archive again; the detail says what is wrong with it.",
    ),
    row(
        "archive_truncated",
        502,
        "An archive ends early",
        "Save or copy the archive again; what wrote it was cut off.",
    ),
    row(
        "archive_unsupported",
        501,
        "An archive of a kind that is not read",
        "Save the image as a Docker, OCI or Kaniko archive, or as an OCI image layout.",
    ),
    row(
        "blob_handle_unknown",
        500,
        "A blob was not open any more",
        "Report it with the log around the request id.",
    ),
    row(
        "blob_truncated",
        502,
        "A blob ended early",
        "Try again; if it stays, the registry's storage or a proxy in between cuts it off.",
    ),
    row(
        "body_too_large",
        502,
        "An answer is too large",
        "Look at what answers under the registry's address; it sends more than a registry would.",
    ),
    row(
        "callback_refused",
        403,
        "The callback's host is not allowed",
        "Add the host to `REGENT_CALLBACK_HOSTS`, or mend the request's `callbackUrl`.",
    ),
    row(
        "callback_rejected",
        502,
        "A callback was refused",
        "The Broker Client or the service behind it does not take the result; see its log by the request id.",
    ),
    row(
        "callback_undeliverable",
        502,
        "A callback was not delivered in time",
        "Check that the Broker Client runs and is connected, then redeliver the operation.",
    ),
    row(
        "catalog_unsupported",
        501,
        "The registry can't list repositories",
        "Name the repositories to the service by hand.",
    ),
    row(
        "circuit_open",
        503,
        "The registry keeps failing",
        "Look at the registry: it failed several times in a row. It is asked again after the time of `Retry-After`.",
    ),
    row(
        "config_too_large",
        422,
        "The image's configuration is too large",
        "Build the image again with a shorter history.",
    ),
    row(
        "connection_broken",
        502,
        "The registry hung up",
        "Try again; if it stays, look for a proxy or firewall that cuts connections.",
    ),
    row(
        "connection_malformed",
        400,
        "The connection can't be read",
        "Mend the credentials given to the Broker Client; quotes and backslashes in values need escaping.",
    ),
    row(
        "connection_missing",
        401,
        "No registry connection",
        "Give the Broker Client its `CR_…` settings, or the agent its own.",
    ),
    row(
        "credentials_missing",
        401,
        "The registry wants credentials",
        "Add user and password, or a token, to the connection.",
    ),
    row(
        "credentials_rejected",
        401,
        "The registry rejects the credentials",
        "Check user, password or key; expired tokens need to be made anew.",
    ),
    row(
        "credentials_unusable",
        401,
        "The credentials can't be used",
        "Check that the credentials are complete and of the kind that this registry takes.",
    ),
    row("cursor_invalid", 400, "No such page", "Begin the listing anew, without `last`."),
    row(
        "diff_id_mismatch",
        502,
        "A layer is not the one that the image names",
        "Build or push the image again: its configuration and its layers disagree.",
    ),
    row(
        "digest_mismatch",
        502,
        "The content has another digest",
        "Try again; if it stays, the registry's storage or a cache in between is corrupt.",
    ),
    row(
        "disk_full",
        503,
        "The data directory is nearly full",
        "Make room in `REGENT_DATA_DIR`; operations are accepted again when `REGENT_MIN_FREE_DISK` is free.",
    ),
    row(
        "disk_unwritable",
        507,
        "The layer store can't be written",
        "Check space and permissions of `REGENT_DATA_DIR`.",
    ),
    row(
        "document_invalid",
        502,
        "A document of the archive can't be used",
        "Save or copy the archive again; the detail names the document and the place in it.",
    ),
    row(
        "driver_busy",
        503,
        "The driver has too many calls at once",
        "Try again; if it stays, the registry answers too slowly for what is asked of it.",
    ),
    row(
        "driver_contract_broken",
        502,
        "The driver broke its contract",
        "Report it with the log around the request id; other drivers are not affected.",
    ),
    row(
        "driver_crashed",
        503,
        "The driver's process is gone",
        "Try again: it is started anew. If it stays, report the driver with the log; other drivers are not affected.",
    ),
    row(
        "driver_limit_exceeded",
        502,
        "The driver asks for too much",
        "The detail names the driver and the bound. Report it with the log around the request id; other drivers are not affected.",
    ),
    row(
        "driver_panicked",
        502,
        "The driver failed",
        "Report it with the log around the request id; other drivers are not affected.",
    ),
    row(
        "driver_quarantined",
        503,
        "The driver is quarantined",
        "Replace the driver's file, or clear it after reading why it stalled or crashed.",
    ),
    row(
        "driver_timeout",
        504,
        "The driver did not answer in time",
        "Check that the registry answers from this machine; if it does, report the driver.",
    ),
    row(
        "driver_unavailable",
        503,
        "The driver can't be loaded",
        "The detail lists every file looked at and why it was not taken.",
    ),
    row(
        "driver_unknown",
        422,
        "No driver for the type",
        "Check the connection's type, or put its driver into `REGENT_PLUGIN_DIR`.",
    ),
    row(
        "driver_wedged",
        503,
        "The driver hung and was started anew",
        "Try again; if it stays, report the driver.",
    ),
    row(
        "egress_refused",
        403,
        "A host that the driver may not reach",
        "The detail names host, rule and driver. Check the registry's address and `REGENT_EGRESS`; loopback needs an entry in `REGENT_INSECURE_REGISTRIES`.",
    ),
    row(
        "grant_unsupported",
        502,
        "The token service speaks another protocol",
        "Check that the connection's type is the one for this registry.",
    ),
    row(
        "host_panicked",
        500,
        "The agent failed in a driver's call",
        "Report it with the log around the request id.",
    ),
    row(
        "image_too_large",
        413,
        "The image is too large",
        "Raise `SNYK_MAX_IMAGE_SIZE_IN_BYTES`, or make the image smaller.",
    ),
    row("index_too_deep", 422, "Indexes in indexes", "Ask for the digest of one image instead of the index."),
    row("internal", 500, "The agent failed", "Report it with the log around the request id."),
    row("layer_missing", 404, "The archive lacks a layer", "Save the image again, with all its layers."),
    row(
        "layer_undecodable",
        502,
        "A layer can't be decoded",
        "Build or push the image again; the layer is no archive that any runtime could unpack.",
    ),
    row(
        "layer_unreadable",
        502,
        "A layer could not be read to its end",
        "Try again; if it stays, look at the network and the registry's storage.",
    ),
    row(
        "layout_unsupported",
        501,
        "Not an image layout of a version that is read",
        "The directory has to be an OCI image layout of version 1.0.",
    ),
    row(
        "limit_exceeded",
        422,
        "A limit was reached",
        "The detail names the limit; images this unusual are refused to protect the agent.",
    ),
    row("local_path_refused", 403, "Not below `REGENT_LOCAL_ROOT`", "Put the image below that directory."),
    row(
        "local_root_unset",
        403,
        "Local images are not allowed",
        "Set `REGENT_LOCAL_ROOT`, if requests should be able to name local images.",
    ),
    row(
        "manifest_invalid",
        502,
        "A manifest can't be used",
        "Build or push the image again; its manifest breaks the specification.",
    ),
    row(
        "manifest_missing",
        404,
        "The archive names no image",
        "Save the image again; the archive or layout has no manifest.",
    ),
    row("method_not_allowed", 405, "Not with this method", "Use a method of the `Allow` header."),
    row(
        "name_invalid",
        400,
        "Not a name",
        "The detail says which rule the repository, tag or digest breaks.",
    ),
    row(
        "no_thread",
        503,
        "No thread for the driver",
        "Raise the limits of processes and memory of the agent's machine or container.",
    ),
    row(
        "not_found",
        404,
        "Not there, or not to be seen",
        "Check the name, and that the credentials may see it.",
    ),
    row(
        "operation_abandoned",
        500,
        "The agent died each time",
        "Report the image with the agent's log: something in it brings the agent or a driver down.",
    ),
    row(
        "operation_cancelled",
        503,
        "The operation was cancelled",
        "Ask again if it is wanted after all: somebody asked for it to be stopped.",
    ),
    row(
        "operation_state",
        409,
        "Not in this state of the operation",
        "Only dead-lettered operations can be redelivered; what is being delivered can be neither cancelled nor dropped.",
    ),
    row("operation_unknown", 404, "No such operation", "Finished operations are forgotten after a day."),
    row(
        "overloaded",
        503,
        "The agent has too much to do",
        "Wait as `Retry-After` says; the detail names the limit. Give the agent more memory, or add a replica.",
    ),
    row("paging_limit", 502, "A listing without end", "Look at the registry: it names ever more pages."),
    row(
        "paging_loop",
        502,
        "A listing that goes in circles",
        "Look at the registry: a page names one that came before.",
    ),
    row(
        "path_not_found",
        404,
        "The path is not there",
        "Check the connection's `registryBase`, as the agent's machine or container sees it.",
    ),
    row(
        "path_outside_root",
        403,
        "A link leads out of the image",
        "Put the files into the image's own directory; links out of it are not followed.",
    ),
    row(
        "path_unreadable",
        403,
        "The path may not be read",
        "Let the agent's user read the file or directory.",
    ),
    row("permission_missing", 403, "The credentials lack a right", "Grant the right that the detail names."),
    row(
        "platform_absent",
        422,
        "No image for the platform",
        "Ask for one of the platforms that the detail lists.",
    ),
    row(
        "queue_damaged",
        500,
        "The queue's store is damaged",
        "Stop the agent and see `docs/operating.md`, *When the queue is damaged*.",
    ),
    row(
        "queue_full",
        429,
        "Too many operations wait",
        "Wait as `Retry-After` says; raise `MAX_ACTIVE_OPERATIONS` or `REGENT_QUEUE_LENGTH`, or add a replica.",
    ),
    row(
        "queue_unwritable",
        503,
        "The queue can't be written",
        "Check space and permissions of `REGENT_DATA_DIR`, or the NATS server; nothing that was accepted is lost.",
    ),
    row("rate_limited", 429, "The registry throttles", "Wait, or use credentials with a higher limit."),
    row(
        "read_failed",
        502,
        "A file could not be read",
        "Look at the disk or the share that the image is on.",
    ),
    row(
        "realm_refused",
        502,
        "A token service that gets no credentials",
        "Check the registry: it sends clients to a host that the driver does not know.",
    ),
    row(
        "redirect_refused",
        502,
        "A redirect that is not followed",
        "Check the registry's address: it redirects to somewhere that gets no credentials.",
    ),
    row(
        "redirect_target_failed",
        502,
        "The registry's blob store failed",
        "Check that the storage that the registry redirects to can be reached from this machine.",
    ),
    row(
        "registry_address_invalid",
        400,
        "Not a registry's address",
        "The connection's base is `host[:port][/path]`.",
    ),
    row(
        "registry_answer_invalid",
        502,
        "Not a registry's answer",
        "Check the address and type; something else may answer there, as a login page or a proxy.",
    ),
    row(
        "registry_answer_too_large",
        502,
        "An answer is too large",
        "Look at what answers under the registry's address; it sends more than a registry would.",
    ),
    row(
        "registry_slow",
        503,
        "The registry is slow",
        "Look at the registry: its operations wait for it, and are taken up in turn.",
    ),
    row(
        "registry_timeout",
        504,
        "The registry did not answer in time",
        "Check that it runs and can be reached from this machine.",
    ),
    row(
        "registry_unavailable",
        502,
        "The registry fails",
        "Look at the registry: it answers with server errors.",
    ),
    row(
        "registry_unreachable",
        502,
        "The registry can't be reached",
        "Check the address, name resolution, firewall and proxy settings.",
    ),
    row(
        "request_invalid",
        400,
        "The registry can't be asked that",
        "Check the connection's address and values for stray characters.",
    ),
    row("request_malformed", 400, "The request can't be read", "The detail names the field at fault."),
    row("request_too_large", 413, "The request's body is too large", "Bodies hold at most 1 MiB."),
    row(
        "result_too_large",
        422,
        "A result is too large for a callback",
        "The broker takes at most 10 MiB; leave parts of the scan out by its options.",
    ),
    row("route_unknown", 404, "No such route", "`/openapi.json` lists the routes."),
    row(
        "scan_stopped",
        500,
        "A scan stopped before its end",
        "Report it with the log around the operation id.",
    ),
    row(
        "seal_key_unknown",
        500,
        "Something is sealed with another key",
        "Give the agent the key of this id again, behind the one that is to seal from now on (`REGENT_SEAL_KEY`).",
    ),
    row("setting_invalid", 400, "A field of the connection can't be used", "The detail names the field."),
    row(
        "size_mismatch",
        502,
        "The content has another size",
        "Try again; if it stays, the registry's storage or a cache in between is corrupt.",
    ),
    row(
        "target_occupied",
        409,
        "The target directory is not empty",
        "Choose another directory, or empty it.",
    ),
    row(
        "tls_untrusted",
        502,
        "The registry's certificate is not trusted",
        "Give its authority to `NODE_EXTRA_CA_CERTS`; check name and dates of the certificate.",
    ),
    row(
        "too_many_open_blobs",
        503,
        "Too many layers are read at once",
        "Try again; if it stays, lower `MAX_ACTIVE_OPERATIONS`.",
    ),
    row(
        "type_ambiguous",
        422,
        "Several drivers claim the type",
        "Set `REGENT_DRIVER_BINDINGS`, or remove one of the drivers.",
    ),
    row(
        "unsupported",
        501,
        "Not possible with this registry",
        "The driver for this registry has no way to do it.",
    ),
];

/// The row of a code.
pub fn code(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.code == name)
}

/// All codes as a Markdown table, exactly as it stands in `docs/operating.md`.
pub fn markdown() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| code | status | what it is | what to do |\n| --- | --- | --- | --- |\n");
    for row in CODES {
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", row.code, row.status, row.title, row.remedy);
    }
    text
}
