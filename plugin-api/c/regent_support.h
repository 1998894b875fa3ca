/* What a Regent driver in C needs beside the declarations: making and freeing what crosses, and being found.
 *
 * Written by hand, and no part of the ABI: a driver may do all of it in its own way. C11; gcc or clang. Where memory is used up
 * it ends the process, as everything else in it does.
 */
#ifndef REGENT_SUPPORT_H
#define REGENT_SUPPORT_H

#include <stdlib.h>
#include <string.h>

#include "regent_driver.h"

#if defined(__linux__) && defined(__GLIBC__) && defined(__x86_64__)
#define REGENT_TARGET "x86_64-unknown-linux-gnu"
#elif defined(__linux__) && defined(__GLIBC__) && defined(__aarch64__)
#define REGENT_TARGET "aarch64-unknown-linux-gnu"
#else
#error "Regent does not load drivers for this system"
#endif

/* Being found. The symbols are quoted, since a name may have hyphens. NAME and the others are literals; REST is JSON that begins with a comma, or "": settings, egress, env and
 * capabilities as the description has them. */
#define REGENT_DRIVER(NAME, VERSION, TYPES, SUMMARY, REST, CONNECT)                                                            \
    REGENT_DESCRIPTION(NAME, "{\"format\":1,\"name\":\"" NAME "\",\"version\":\"" VERSION "\",\"api\":\"" REGENT_API            \
                             "\",\"requires_api\":\"1.0.0\",\"target\":\"" REGENT_TARGET "\",\"rustc\":\"cc " __VERSION__      \
                             "\",\"abi_stable\":\"" REGENT_ABI_STABLE "\",\"layouts\":" REGENT_LAYOUTS ",\"types\":" TYPES     \
                             ",\"summary\":\"" SUMMARY "\"" REST "}")                                                          \
    const struct regent_driver regent_driver_root __asm__("\"regent_driver_c_v1." NAME "\"")                                          \
        __attribute__((used, visibility("default"))) = {REGENT_DRIVER_FIELDS, regent_nothing, CONNECT}

/* The description has no null at its end. */
#define REGENT_DESCRIPTION(NAME, JSON)                                                                                         \
    const char regent_driver_meta[sizeof(JSON) - 1] __asm__("\"regent_driver_meta_v1." NAME "\"")                                     \
        __attribute__((used, nonstring, visibility("default"), section(".regent.meta"))) = JSON;

/* What `unread` points to, and the buffer of what is empty. */
static _Alignas(16) char regent_nothing[256] __attribute__((unused));

/* ---- Lists. Their buffers are malloc's. */

static inline struct regent_type_id regent_this_library(void) {
    struct regent_type_id id = {.library = regent_nothing};
    return id;
}

static inline void *regent_resized(void *buffer, size_t bytes) {
    void *resized = realloc(buffer, bytes);
    if (!resized) {
        abort();
    }
    return resized;
}

/* Frees any list, whoever made it. A text is freed by its bytes. */
#define REGENT_FREE(LIST) ((LIST)->vtable->drop(LIST))

/* Defines NAME_new and NAME_push for `struct NAME`, a list of ITEM, each of which DROP_ITEM frees. */
#define REGENT_LIST(NAME, ITEM, DROP_ITEM)                                                                                     \
    static inline void NAME##_drop(void *list) {                                                                               \
        struct NAME *of = list;                                                                                                \
        for (size_t i = 0; i < of->length; i++) {                                                                              \
            DROP_ITEM(&of->buffer[i]);                                                                                         \
        }                                                                                                                      \
        if (of->capacity) {                                                                                                    \
            free(of->buffer);                                                                                                  \
        }                                                                                                                      \
    }                                                                                                                          \
    static inline void NAME##_grow(void *list, size_t to, uint8_t exactly) {                                                   \
        struct NAME *of = list;                                                                                                \
        (void)exactly;                                                                                                         \
        if (to > of->capacity) {                                                                                               \
            of->buffer = regent_resized(of->capacity ? of->buffer : NULL, to * sizeof(ITEM));                                  \
            of->capacity = to;                                                                                                 \
        }                                                                                                                      \
    }                                                                                                                          \
    static inline void NAME##_shrink(void *list) { (void)list; }                                                               \
    static const struct regent_list_vtable NAME##_vtable __attribute__((unused)) = {                                           \
        REGENT_LIST_VTABLE_FIELDS, regent_nothing, regent_this_library, NAME##_drop, NAME##_grow, NAME##_shrink};              \
    static inline struct NAME NAME##_new(void) {                                                                               \
        struct NAME list = {.buffer = (ITEM *)(void *)regent_nothing, .vtable = &NAME##_vtable};                               \
        return list;                                                                                                           \
    }                                                                                                                          \
    static inline void NAME##_push(struct NAME *list, ITEM item) {                                                             \
        if (list->length == list->capacity) {                                                                                  \
            list->vtable->grow(list, list->capacity ? 2 * list->capacity : 4, 0);                                              \
        }                                                                                                                      \
        list->buffer[list->length++] = item;                                                                                   \
    }

static inline void regent_nothing_to_drop(const uint8_t *byte) { (void)byte; }

REGENT_LIST(regent_bytes, uint8_t, regent_nothing_to_drop)

static inline struct regent_bytes regent_bytes_of(const void *from, size_t length) {
    struct regent_bytes bytes = regent_bytes_new();
    if (length) {
        regent_bytes_grow(&bytes, length, 1);
        memcpy(bytes.buffer, from, length);
        bytes.length = length;
    }
    return bytes;
}

static inline struct regent_text regent_text_of(const char *from, size_t length) {
    struct regent_text text = {regent_bytes_of(from, length)};
    return text;
}

static inline struct regent_text regent_text(const char *from) { return regent_text_of(from, strlen(from)); }

static inline bool regent_text_is(const struct regent_text *text, const char *other) {
    return text->bytes.length == strlen(other) && memcmp(text->bytes.buffer, other, text->bytes.length) == 0;
}

static inline void regent_text_drop(struct regent_text *text) { REGENT_FREE(&text->bytes); }

static inline void regent_pair_drop(struct regent_pair *pair) {
    regent_text_drop(&pair->name);
    regent_text_drop(&pair->value);
}

REGENT_LIST(regent_texts, struct regent_text, regent_text_drop)
REGENT_LIST(regent_pairs, struct regent_pair, regent_pair_drop)

static inline void regent_header_drop(struct regent_header *header) {
    regent_text_drop(&header->name);
    REGENT_FREE(&header->value);
    REGENT_FREE(&header->ext);
}

static inline void regent_check_drop(struct regent_check *check) {
    regent_text_drop(&check->name);
    regent_text_drop(&check->detail);
    REGENT_FREE(&check->ext);
}

REGENT_LIST(regent_header_list, struct regent_header, regent_header_drop)
REGENT_LIST(regent_check_list, struct regent_check, regent_check_drop)

/* ---- Values that are more than a list. */

static inline void regent_optional_text_drop(struct regent_optional_text *text) {
    if (!text->is_none) {
        regent_text_drop(&text->some);
    }
}

static inline void regent_empty_drop(struct regent_empty *empty) { REGENT_FREE(&empty->ext); }

static inline void regent_blob_drop(struct regent_blob *blob) { REGENT_FREE(&blob->ext); }

static inline void regent_error_drop(struct regent_error *error) {
    regent_text_drop(&error->code);
    regent_text_drop(&error->message);
    REGENT_FREE(&error->details);
    REGENT_FREE(&error->ext);
}

static inline void regent_transport_error_drop(struct regent_transport_error *error) {
    regent_text_drop(&error->host);
    regent_text_drop(&error->reason);
    REGENT_FREE(&error->ext);
}

static inline void regent_response_drop(struct regent_response *response) {
    REGENT_FREE(&response->headers);
    REGENT_FREE(&response->body);
    REGENT_FREE(&response->ext);
}

static inline void regent_page_request_drop(struct regent_page_request *page) {
    regent_optional_text_drop(&page->after);
    REGENT_FREE(&page->ext);
}

static inline void regent_access_drop(struct regent_access *access) {
    regent_text_drop(&access->repository);
    REGENT_FREE(&access->ext);
}

static inline void regent_content_request_drop(struct regent_content_request *request) {
    regent_text_drop(&request->repository);
    regent_text_drop(&request->reference);
    REGENT_FREE(&request->ext);
}

static inline void regent_names_drop(struct regent_names *names) {
    REGENT_FREE(&names->items);
    regent_optional_text_drop(&names->next);
    REGENT_FREE(&names->ext);
}

static inline void regent_validation_drop(struct regent_validation *validation) {
    regent_text_drop(&validation->registry);
    REGENT_FREE(&validation->checks);
    REGENT_FREE(&validation->ext);
}

static inline void regent_authorization_drop(struct regent_authorization *authorization) {
    regent_text_drop(&authorization->endpoint);
    regent_text_drop(&authorization->repository);
    REGENT_FREE(&authorization->headers);
    REGENT_FREE(&authorization->ext);
}

static inline void regent_host_drop(struct regent_host *host) { host->vtable->object->drop(&host->self); }

/* ---- Errors. */

static inline struct regent_error regent_error(uint32_t class, const char *code, const char *message) {
    bool again = class == REGENT_CLASS_THROTTLED || class == REGENT_CLASS_UNAVAILABLE || class == REGENT_CLASS_TIMEOUT;
    struct regent_error error = {
        .class = class,
        .code = regent_text(code),
        .message = regent_text(message),
        .retry = again ? REGENT_RETRY_BACKOFF : REGENT_RETRY_NEVER,
        .details = regent_pairs_new(),
        .ext = regent_pairs_new(),
    };
    return error;
}

/* What a request that got no answer means to the host. Takes the error. */
static inline struct regent_error regent_error_of_transport(struct regent_transport_error *from) {
    static const struct {
        uint32_t class, retry;
        const char *code, *message;
    } kinds[] = {
        {REGENT_CLASS_UNAVAILABLE, REGENT_RETRY_BACKOFF, "connection_broken", "the connection broke"},
        {REGENT_CLASS_REFUSED, REGENT_RETRY_NEVER, "egress_refused", "the host may not be reached"},
        {REGENT_CLASS_INVALID, REGENT_RETRY_NEVER, "request_invalid", "the request can't be sent"},
        {REGENT_CLASS_UNAVAILABLE, REGENT_RETRY_BACKOFF, "registry_unreachable", "can't connect"},
        {REGENT_CLASS_UNAVAILABLE, REGENT_RETRY_NEVER, "tls_untrusted", "no trusted TLS connection"},
        {REGENT_CLASS_TIMEOUT, REGENT_RETRY_BACKOFF, "registry_timeout", "no answer in time"},
        {REGENT_CLASS_UNAVAILABLE, REGENT_RETRY_BACKOFF, "connection_broken", "the connection broke"},
        {REGENT_CLASS_LIMIT, REGENT_RETRY_NEVER, "body_too_large", "an answer larger than allowed"},
    };
    size_t kind = from->kind < sizeof kinds / sizeof *kinds ? from->kind : 0;
    struct regent_error error = regent_error(kinds[kind].class, kinds[kind].code, kinds[kind].message);
    error.retry = kinds[kind].retry;
    if (from->reason.bytes.length) {
        static const char between[] = ": ";
        struct regent_bytes *message = &error.message.bytes;
        size_t length = message->length, more = sizeof between - 1;
        regent_bytes_grow(message, length + more + from->reason.bytes.length, 1);
        memcpy(message->buffer + length, between, more);
        memcpy(message->buffer + length + more, from->reason.bytes.buffer, from->reason.bytes.length);
        message->length = length + more + from->reason.bytes.length;
    }
    regent_transport_error_drop(from);
    return error;
}

/* ---- Calls that are over when they begin. Defines regent_ready_KIND, which makes one of a result. */

#define REGENT_READY(KIND, DROP_OK)                                                                                            \
    struct regent_ready_##KIND {                                                                                               \
        struct regent_result_##KIND result;                                                                                    \
        bool is_taken;                                                                                                         \
    };                                                                                                                         \
    static inline struct regent_poll_##KIND regent_ready_##KIND##_poll(void *future, struct regent_context *context) {         \
        struct regent_ready_##KIND *ready = future;                                                                            \
        struct regent_poll_##KIND polled = {.state = REGENT_POLL_READY, .ready = ready->result};                               \
        (void)context;                                                                                                         \
        ready->is_taken = true;                                                                                                \
        return polled;                                                                                                         \
    }                                                                                                                          \
    static inline void regent_ready_##KIND##_drop(void *future) {                                                              \
        struct regent_ready_##KIND *ready = future;                                                                            \
        if (!ready->is_taken) {                                                                                                \
            if (ready->result.is_error) {                                                                                      \
                regent_error_drop(&ready->result.as.err);                                                                      \
            } else {                                                                                                           \
                DROP_OK(&ready->result.as.ok);                                                                                 \
            }                                                                                                                  \
        }                                                                                                                      \
        free(ready);                                                                                                           \
    }                                                                                                                          \
    static inline struct regent_call_##KIND regent_ready_##KIND(struct regent_result_##KIND result) {                          \
        struct regent_ready_##KIND *ready = regent_resized(NULL, sizeof *ready);                                               \
        ready->result = result;                                                                                                \
        ready->is_taken = false;                                                                                               \
        struct regent_call_##KIND call = {ready, regent_ready_##KIND##_poll, regent_ready_##KIND##_drop};                      \
        return call;                                                                                                           \
    }                                                                                                                          \
    static inline struct regent_call_##KIND regent_failed_##KIND(struct regent_error error) {                                  \
        struct regent_result_##KIND result = {.is_error = 1, .as.err = error};                                                 \
        return regent_ready_##KIND(result);                                                                                    \
    }

/* For kinds that are only ever failed: there is nothing to drop. */
static inline void regent_never(const void *value) { (void)value; }

#endif
