/* A Regent driver in C: registries that speak the distribution protocol, with an Authorization header as they are given it.
 *
 * It lists repositories and tags over the host's HTTP, and lets the host read images. To build it:
 *
 *     cc -std=c11 -O2 -shared -fPIC -fvisibility=hidden -o example.so example.c
 *     regent drivers check example.so
 *
 * All calls of a driver come on one thread, and none of them waits: a call is an object that the host polls, and each poll
 * here polls the host's own HTTP call.
 */
#include <stdio.h>

#include "regent_support.h"

#define MAX_PAGE 1000

/* A session: what `connect` was given, and nothing that changes. */
struct session {
    struct regent_host host;
    char *base;          /* https://registry.example.com/ */
    char *authorization; /* or null */
};

/* ---- Small things. */

static char *joined(const char *a, const char *b, size_t b_length, const char *c) {
    size_t a_length = strlen(a), c_length = strlen(c);
    char *text = regent_resized(NULL, a_length + b_length + c_length + 1);
    memcpy(text, a, a_length);
    memcpy(text + a_length, b, b_length);
    memcpy(text + a_length + b_length, c, c_length + 1);
    return text;
}

static const struct regent_text *setting(const struct regent_pairs *values, const char *name) {
    for (size_t i = 0; i < values->length; i++) {
        if (regent_text_is(&values->buffer[i].name, name)) {
            return &values->buffer[i].value;
        }
    }
    return NULL;
}

/* What may stand in a path or query as it is. A cursor comes from API clients. */
static bool is_plain(const struct regent_text *text) {
    for (size_t i = 0; i < text->bytes.length; i++) {
        unsigned char c = text->bytes.buffer[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._/-", c);
        if (!plain || c == 0) {
            return false;
        }
    }
    return text->bytes.length > 0;
}

static struct regent_header header(const char *name, const char *value, bool sensitive) {
    struct regent_header made = {
        .name = regent_text(name),
        .value = regent_bytes_of(value, strlen(value)),
        .sensitive = sensitive,
        .ext = regent_pairs_new(),
    };
    return made;
}

static const struct regent_header *header_of(const struct regent_response *response, const char *name) {
    for (size_t i = 0; i < response->headers.length; i++) {
        if (regent_text_is(&response->headers.buffer[i].name, name)) { /* names are lower case */
            return &response->headers.buffer[i];
        }
    }
    return NULL;
}

static void say(const struct session *session, uint32_t level, const char *line) {
    struct regent_result_empty said = session->host.vtable->log(session->host.self.data, level, regent_text(line));
    if (said.is_error) {
        regent_error_drop(&said.as.err);
    } else {
        regent_empty_drop(&said.as.ok);
    }
}

/* ---- The registry. */

/* Sends GET base + path. */
static struct regent_call_response get(const struct session *session, const char *path) {
    char *url = joined(session->base, path, strlen(path), "");
    struct regent_request request = {
        .method = regent_text("GET"),
        .url = regent_text(url),
        .headers = regent_header_list_new(),
        .body = regent_bytes_new(),
        .timeout = {.seconds = 30},
        .max_body_bytes = 16 << 20,
        .ext = regent_pairs_new(),
    };
    free(url);
    regent_header_list_push(&request.headers, header("accept", "application/json", false));
    if (session->authorization) {
        regent_header_list_push(&request.headers, header("authorization", session->authorization, true));
    }
    return session->host.vtable->http(session->host.self.data, request);
}

/* Whether an answer is a good one; if not, what it means. */
static bool is_good(const struct regent_response *response, struct regent_error *error) {
    switch (response->status) {
    case 200:
        return true;
    case 401:
        *error = regent_error(REGENT_CLASS_AUTHENTICATION, "credentials_rejected",
                              "the registry does not take the authorization: check it");
        return false;
    case 403:
        *error = regent_error(REGENT_CLASS_DENIED, "permission_missing",
                              "the authorization lacks a right: grant it to list and to pull");
        return false;
    case 404:
        *error = regent_error(REGENT_CLASS_ABSENT, "not_found", "the registry has nothing of that name");
        return false;
    case 429: {
        const struct regent_header *after = header_of(response, "retry-after");
        *error = regent_error(REGENT_CLASS_THROTTLED, "throttled", "the registry asks for a pause");
        uint64_t seconds = 0;
        for (size_t i = 0; after && i < after->value.length && seconds < 1000000; i++) {
            unsigned char digit = after->value.buffer[i];
            if (digit < '0' || digit > '9') {
                seconds = 0;
                break;
            }
            seconds = seconds * 10 + (digit - '0');
        }
        if (seconds) {
            error->retry = REGENT_RETRY_AFTER;
            error->retry_after.seconds = seconds;
        }
        return false;
    }
    default:
        if (response->status >= 500) {
            *error = regent_error(REGENT_CLASS_UNAVAILABLE, "unavailable", "the registry is down");
        } else {
            *error = regent_error(REGENT_CLASS_CORRUPT, "bad_answer", "the registry answers what it should not");
        }
        return false;
    }
}

static const char *past_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    return at;
}

/* Reads {"KEY":["a","b"]} or {"KEY":null}, among other keys. Names need no escapes. */
static bool read_names(const struct regent_bytes *body, const char *key, struct regent_texts *names) {
    const char *at = (const char *)body->buffer, *end = at + body->length;
    size_t key_length = strlen(key);
    at = past_space(at, end);
    if (at == end || *at != '{') {
        return false;
    }
    while (at + key_length <= end && memcmp(at, key, key_length) != 0) {
        at++;
    }
    at += key_length;
    if (at >= end) {
        return false;
    }
    at = past_space(at, end);
    if (at == end || *at++ != ':') {
        return false;
    }
    at = past_space(at, end);
    if (end - at >= 4 && memcmp(at, "null", 4) == 0) {
        return true;
    }
    if (at == end || *at++ != '[') {
        return false;
    }
    at = past_space(at, end);
    if (at < end && *at == ']') {
        return true;
    }
    for (;;) {
        at = past_space(at, end);
        if (at == end || *at++ != '"') {
            return false;
        }
        const char *start = at;
        while (at < end && *at != '"' && *at != '\\') {
            at++;
        }
        if (at == end || *at == '\\') {
            return false;
        }
        struct regent_text name = regent_text_of(start, (size_t)(at - start));
        if (is_plain(&name)) {
            regent_texts_push(names, name);
        } else {
            regent_text_drop(&name); /* one that the protocol can't say is left out */
        }
        at = past_space(at + 1, end);
        if (at < end && *at == ']') {
            return true;
        }
        if (at == end || *at++ != ',') {
            return false;
        }
    }
}

/* ---- Calls that wait for the registry. */

struct waiting {
    struct regent_call_response http;
    const char *key; /* of the list in the answer */
    char *registry;  /* for `validate` */
};

static void waiting_drop(void *future) {
    struct waiting *waiting = future;
    waiting->http.drop(waiting->http.future);
    free(waiting->registry);
    free(waiting);
}

static struct waiting *wait_for(struct regent_call_response http) {
    struct waiting *waiting = regent_resized(NULL, sizeof *waiting);
    waiting->http = http;
    waiting->key = NULL;
    waiting->registry = NULL;
    return waiting;
}

/* The answer, if it is there and good; else whether to wait, or why there is none. */
enum got { GOT_NOTHING, GOT_ANSWER, GOT_ERROR };

static enum got poll_http(struct waiting *waiting, struct regent_context *context, struct regent_response *response,
                          struct regent_error *error) {
    struct regent_poll_response polled = waiting->http.poll(waiting->http.future, context);
    if (polled.state == REGENT_POLL_PENDING) {
        return GOT_NOTHING;
    }
    if (polled.state != REGENT_POLL_READY) {
        *error = regent_error(REGENT_CLASS_INTERNAL, "host_panicked", "the host's HTTP failed");
        return GOT_ERROR;
    }
    if (polled.ready.is_error) {
        *error = regent_error_of_transport(&polled.ready.as.err);
        return GOT_ERROR;
    }
    *response = polled.ready.as.ok;
    if (!is_good(response, error)) {
        regent_response_drop(response);
        return GOT_ERROR;
    }
    return GOT_ANSWER;
}

static struct regent_poll_names poll_names(void *future, struct regent_context *context) {
    struct waiting *waiting = future;
    struct regent_response response;
    struct regent_error error;
    struct regent_poll_names polled = {.state = REGENT_POLL_READY};
    switch (poll_http(waiting, context, &response, &error)) {
    case GOT_NOTHING:
        polled.state = REGENT_POLL_PENDING;
        return polled;
    case GOT_ERROR:
        polled.ready.is_error = 1;
        polled.ready.as.err = error;
        return polled;
    case GOT_ANSWER:
        break;
    }
    struct regent_names names = {
        .items = regent_texts_new(),
        .next = {.is_none = 1},
        .ext = regent_pairs_new(),
    };
    if (read_names(&response.body, waiting->key, &names.items)) {
        if (header_of(&response, "link") && names.items.length) {
            const struct regent_bytes *last = &names.items.buffer[names.items.length - 1].bytes;
            names.next.is_none = 0;
            names.next.some = regent_text_of((const char *)last->buffer, last->length);
        }
        polled.ready.as.ok = names;
    } else {
        regent_names_drop(&names);
        polled.ready.is_error = 1;
        polled.ready.as.err = regent_error(REGENT_CLASS_CORRUPT, "bad_answer", "an answer that is not the JSON expected");
    }
    regent_response_drop(&response);
    return polled;
}

static struct regent_poll_validation poll_validation(void *future, struct regent_context *context) {
    struct waiting *waiting = future;
    struct regent_response response;
    struct regent_error error;
    struct regent_poll_validation polled = {.state = REGENT_POLL_READY};
    switch (poll_http(waiting, context, &response, &error)) {
    case GOT_NOTHING:
        polled.state = REGENT_POLL_PENDING;
        return polled;
    case GOT_ERROR:
        polled.ready.is_error = 1;
        polled.ready.as.err = error;
        return polled;
    case GOT_ANSWER:
        break;
    }
    regent_response_drop(&response);
    struct regent_validation validation = {
        .registry = regent_text(waiting->registry),
        .checks = regent_check_list_new(),
        .ext = regent_pairs_new(),
    };
    static const char *const checks[][2] = {
        {"reached", "the registry answers"},
        {"authenticated", "it takes the authorization"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct regent_check check = {
            .name = regent_text(checks[i][0]),
            .outcome = REGENT_OUTCOME_PASSED,
            .detail = regent_text(checks[i][1]),
            .ext = regent_pairs_new(),
        };
        regent_check_list_push(&validation.checks, check);
    }
    polled.ready.as.ok = validation;
    return polled;
}

REGENT_READY(names, regent_names_drop)
REGENT_READY(authorization, regent_authorization_drop)
REGENT_READY(empty, regent_empty_drop)
REGENT_READY(tag_details, regent_never)
REGENT_READY(content, regent_never)
REGENT_READY(blob, regent_blob_drop)
REGENT_READY(bytes, regent_never)

static struct regent_error unsupported(void) {
    return regent_error(REGENT_CLASS_UNSUPPORTED, "unsupported", "this driver does not support it");
}

/* ---- The methods. `self` is the session; arguments by value are ours to free. */

static struct regent_call_validation validate(const void *self, struct regent_empty request) {
    const struct session *session = self;
    regent_empty_drop(&request);
    struct waiting *waiting = wait_for(get(session, "v2/"));
    const char *host = strstr(session->base, "://") + 3;
    waiting->registry = joined("", host, strcspn(host, "/"), "");
    struct regent_call_validation call = {waiting, poll_validation, waiting_drop};
    return call;
}

/* One page of the list at `path`, which is freed. */
static struct regent_call_names list(const struct session *session, char *path, const char *key,
                                     struct regent_page_request *page) {
    uint32_t size = page->size < 1 ? 1 : page->size > MAX_PAGE ? MAX_PAGE : page->size;
    struct regent_call_names call;
    char number[32];
    snprintf(number, sizeof number, "?n=%u", (unsigned)size);
    if (page->after.is_none) {
        char *whole = joined(path, number, strlen(number), "");
        struct waiting *waiting = wait_for(get(session, whole));
        waiting->key = key;
        call = (struct regent_call_names){waiting, poll_names, waiting_drop};
        free(whole);
    } else if (is_plain(&page->after.some)) {
        char *place = joined("&last=", (const char *)page->after.some.bytes.buffer, page->after.some.bytes.length, "");
        char *start = joined(path, number, strlen(number), "");
        char *whole = joined(start, place, strlen(place), "");
        struct waiting *waiting = wait_for(get(session, whole));
        waiting->key = key;
        call = (struct regent_call_names){waiting, poll_names, waiting_drop};
        free(whole);
        free(start);
        free(place);
    } else {
        call = regent_failed_names(regent_error(REGENT_CLASS_INVALID, "cursor_invalid",
                                                "the place to go on from is none that this listing gave"));
    }
    regent_page_request_drop(page);
    free(path);
    return call;
}

static struct regent_call_names repositories(const void *self, struct regent_page_request page) {
    return list(self, joined("", "v2/_catalog", strlen("v2/_catalog"), ""), "\"repositories\"", &page);
}

static struct regent_call_names tags(const void *self, struct regent_text repository, struct regent_page_request page) {
    char *path = joined("v2/", (const char *)repository.bytes.buffer, repository.bytes.length, "/tags/list");
    regent_text_drop(&repository);
    return list(self, path, "\"tags\"", &page);
}

static struct regent_call_tag_details tag_details(const void *self, struct regent_text repository,
                                                  struct regent_page_request page) {
    (void)self;
    regent_text_drop(&repository);
    regent_page_request_drop(&page);
    return regent_failed_tag_details(unsupported());
}

static struct regent_call_authorization authorize(const void *self, struct regent_access access) {
    const struct session *session = self;
    struct regent_result_authorization result = {
        .as.ok = {
            .endpoint = regent_text(session->base),
            .repository = access.repository, /* goes on to the host */
            .headers = regent_header_list_new(),
            .expires = {.is_none = 1},
            .ext = regent_pairs_new(),
        }};
    REGENT_FREE(&access.ext);
    if (session->authorization) {
        regent_header_list_push(&result.as.ok.headers, header("authorization", session->authorization, true));
    }
    return regent_ready_authorization(result);
}

static struct regent_call_content manifest(const void *self, struct regent_content_request request) {
    (void)self;
    regent_content_request_drop(&request);
    return regent_failed_content(unsupported());
}

static struct regent_call_blob open_blob(const void *self, struct regent_content_request request) {
    (void)self;
    regent_content_request_drop(&request);
    return regent_failed_blob(unsupported());
}

static struct regent_call_bytes read_blob(const void *self, struct regent_blob blob, uint64_t max_bytes) {
    (void)self;
    (void)max_bytes;
    regent_blob_drop(&blob);
    return regent_failed_bytes(unsupported());
}

static struct regent_call_empty close_blob(const void *self, struct regent_blob blob) {
    (void)self;
    regent_blob_drop(&blob);
    return regent_failed_empty(unsupported());
}

/* ---- The session as an object. */

static struct regent_optional_type_id no_type(void) {
    struct regent_optional_type_id none = {.is_none = 1};
    return none;
}

static void end(struct regent_box *self) {
    struct session *session = self->data;
    say(session, REGENT_LOG_DEBUG, "the session ends");
    regent_host_drop(&session->host);
    if (session->authorization) {
        memset(session->authorization, 0, strlen(session->authorization));
    }
    free(session->authorization);
    free(session->base);
    free(session);
}

static const struct regent_object_vtable object = {
    .fields = REGENT_OBJECT_VTABLE_FIELDS,
    .unread = regent_nothing,
    .type_id = no_type,
    .drop = end,
};

static const struct regent_session_vtable methods = {
    .fields = REGENT_SESSION_VTABLE_FIELDS,
    .unread = regent_nothing,
    .object = &object,
    .validate = validate,
    .repositories = repositories,
    .tags = tags,
    .tag_details = tag_details,
    .authorize = authorize,
    .manifest = manifest,
    .open_blob = open_blob,
    .read_blob = read_blob,
    .close_blob = close_blob,
};

static struct regent_result_session connect(struct regent_connect request) {
    const struct regent_text *base = setting(&request.values, "registryBase");
    const struct regent_text *authorization = setting(&request.values, "authorization");
    struct regent_result_session result = {.is_error = 0};
    if (!base) {
        result.is_error = 1;
        result.as.err = regent_error(REGENT_CLASS_INVALID, "setting_invalid", "the connection's registryBase is missing");
        regent_host_drop(&request.host);
    } else {
        struct session *session = regent_resized(NULL, sizeof *session);
        const char *scheme = request.plain_http ? "http://" : "https://";
        session->host = request.host;
        session->base = joined(scheme, (const char *)base->bytes.buffer, base->bytes.length, "/");
        session->authorization = authorization ? joined("", (const char *)authorization->bytes.buffer,
                                                        authorization->bytes.length, "")
                                               : NULL;
        say(session, REGENT_LOG_INFO, "connected, in C");
        result.as.ok.vtable = &methods;
        result.as.ok.self.data = session;
        result.as.ok.self.vtable = regent_nothing;
    }
    regent_text_drop(&request.registry_type);
    REGENT_FREE(&request.values);
    REGENT_FREE(&request.ext);
    return result;
}

REGENT_DRIVER("example-c", "1.0.0", "[\"example-c\"]", "Any registry that speaks the distribution protocol, in C",
              ",\"settings\":["
              "{\"name\":\"registryBase\",\"required\":true,\"secret\":false,\"help\":\"host[:port] of the registry\"},"
              "{\"name\":\"authorization\",\"required\":false,\"secret\":true,\"help\":\"the Authorization header\"}]",
              connect);
