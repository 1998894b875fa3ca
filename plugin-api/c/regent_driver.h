/* What crosses between a Regent driver and its host, as C declares it.
 *
 * Written from the layouts of the plugin API: `cargo test -p regent-plugin-api --lib header` compares, and writes where
 * REGENT_WRITE_DOCUMENTS=1 is set. A struct never changes within 1.x, and a vtable grows at its end alone.
 * regent_support.h has what a driver needs beside it; docs/drivers-in-c.md says how they are used.
 *
 * Who owns what: a value that is passed or returned by value goes over to the other side, which frees it by the value's own
 * vtable. A pointer is borrowed for the length of the call.
 */
#ifndef REGENT_DRIVER_H
#define REGENT_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a struct: its size; of a field: where it begins. What a compiler lays out in another way does not compile. */
#define REGENT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#define REGENT_AT(type, field, bytes) _Static_assert(offsetof(struct type, field) == (bytes), #type "." #field)

struct regent_waker;

struct regent_waker_vtable {
    const struct regent_waker *(*clone)(const struct regent_waker *waker);
    void (*wake)(const struct regent_waker *waker);
    void (*wake_by_ref)(const struct regent_waker *waker);
    void (*drop)(const struct regent_waker *waker);
};
REGENT_SIZE(regent_waker_vtable, 32);
REGENT_AT(regent_waker_vtable, clone, 0);
REGENT_AT(regent_waker_vtable, wake, 8);
REGENT_AT(regent_waker_vtable, wake_by_ref, 16);
REGENT_AT(regent_waker_vtable, drop, 24);

/* Wakes whoever polls. What `clone` returns is owned, and ends with `wake` or `drop`; one of a context is neither. */
struct regent_waker {
    const struct regent_waker_vtable *vtable;
};
REGENT_SIZE(regent_waker, 8);
REGENT_AT(regent_waker, vtable, 0);

/* Handed to each poll. */
struct regent_context {
    const struct regent_waker *waker;
};
REGENT_SIZE(regent_context, 8);
REGENT_AT(regent_context, waker, 0);

/* Tells one library's buffers from another's: the address of anything in the library, and zeros. */
struct regent_type_id {
    const void *library;
    uint8_t type[16];
};
REGENT_SIZE(regent_type_id, 24);
REGENT_AT(regent_type_id, library, 0);
REGENT_AT(regent_type_id, type, 8);

#define REGENT_LIST_VTABLE_FIELDS UINT64_C(0xf)
struct regent_list_vtable {
    uint64_t fields;
    const void *unread;
    struct regent_type_id (*type_id)(void);
    void (*drop)(void *list);
    void (*grow)(void *list, size_t to, uint8_t exactly);
    void (*shrink)(void *list);
};
REGENT_SIZE(regent_list_vtable, 48);
REGENT_AT(regent_list_vtable, fields, 0);
REGENT_AT(regent_list_vtable, unread, 8);
REGENT_AT(regent_list_vtable, type_id, 16);
REGENT_AT(regent_list_vtable, drop, 24);
REGENT_AT(regent_list_vtable, grow, 32);
REGENT_AT(regent_list_vtable, shrink, 40);

/* A buffer with its own way to be freed. `buffer` is never null; `drop` frees elements and buffer. */
struct regent_bytes {
    uint8_t *buffer;
    size_t length;
    size_t capacity;
    const struct regent_list_vtable *vtable;
};
REGENT_SIZE(regent_bytes, 32);
REGENT_AT(regent_bytes, buffer, 0);
REGENT_AT(regent_bytes, length, 8);
REGENT_AT(regent_bytes, capacity, 16);
REGENT_AT(regent_bytes, vtable, 24);

/* UTF-8, without a null at its end. */
struct regent_text {
    struct regent_bytes bytes;
};
REGENT_SIZE(regent_text, 32);
REGENT_AT(regent_text, bytes, 0);

struct regent_pair {
    struct regent_text name;
    struct regent_text value;
};
REGENT_SIZE(regent_pair, 64);
REGENT_AT(regent_pair, name, 0);
REGENT_AT(regent_pair, value, 32);

/* Names and values; as `ext` it is room for what later versions add: empty, and unknown keys don't count. */
struct regent_pairs {
    struct regent_pair *buffer;
    size_t length;
    size_t capacity;
    const struct regent_list_vtable *vtable;
};
REGENT_SIZE(regent_pairs, 32);
REGENT_AT(regent_pairs, buffer, 0);
REGENT_AT(regent_pairs, length, 8);
REGENT_AT(regent_pairs, capacity, 16);
REGENT_AT(regent_pairs, vtable, 24);

/* What an object owns. Only the object's own `drop` reads the vtable. */
struct regent_box {
    void *data;
    const void *vtable;
};
REGENT_SIZE(regent_box, 16);
REGENT_AT(regent_box, data, 0);
REGENT_AT(regent_box, vtable, 8);

struct regent_optional_type_id {
    uint8_t is_none;
    struct regent_type_id some;
};
REGENT_SIZE(regent_optional_type_id, 32);
REGENT_AT(regent_optional_type_id, is_none, 0);
REGENT_AT(regent_optional_type_id, some, 8);

#define REGENT_OBJECT_VTABLE_FIELDS UINT64_C(0x3f)
/* What all objects have. `clone`, `debug` and `display` are null. */
struct regent_object_vtable {
    uint64_t fields;
    const void *unread;
    struct regent_optional_type_id (*type_id)(void);
    void (*drop)(struct regent_box *self);
    void (*clone)(void);
    void (*debug)(void);
    void (*display)(void);
};
REGENT_SIZE(regent_object_vtable, 56);
REGENT_AT(regent_object_vtable, fields, 0);
REGENT_AT(regent_object_vtable, unread, 8);
REGENT_AT(regent_object_vtable, type_id, 16);
REGENT_AT(regent_object_vtable, drop, 24);
REGENT_AT(regent_object_vtable, clone, 32);
REGENT_AT(regent_object_vtable, debug, 40);
REGENT_AT(regent_object_vtable, display, 48);

struct regent_header {
    struct regent_text name;
    struct regent_bytes value;
    bool sensitive;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_header, 104);
REGENT_AT(regent_header, name, 0);
REGENT_AT(regent_header, value, 32);
REGENT_AT(regent_header, sensitive, 64);
REGENT_AT(regent_header, ext, 72);

struct regent_header_list {
    struct regent_header *buffer;
    size_t length;
    size_t capacity;
    const struct regent_list_vtable *vtable;
};
REGENT_SIZE(regent_header_list, 32);
REGENT_AT(regent_header_list, buffer, 0);
REGENT_AT(regent_header_list, length, 8);
REGENT_AT(regent_header_list, capacity, 16);
REGENT_AT(regent_header_list, vtable, 24);

struct regent_duration {
    uint64_t seconds;
    uint32_t nanoseconds;
};
REGENT_SIZE(regent_duration, 16);
REGENT_AT(regent_duration, seconds, 0);
REGENT_AT(regent_duration, nanoseconds, 8);

struct regent_request {
    struct regent_text method;
    struct regent_text url;
    struct regent_header_list headers;
    struct regent_bytes body;
    struct regent_duration timeout;
    uint64_t max_body_bytes;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_request, 184);
REGENT_AT(regent_request, method, 0);
REGENT_AT(regent_request, url, 32);
REGENT_AT(regent_request, headers, 64);
REGENT_AT(regent_request, body, 96);
REGENT_AT(regent_request, timeout, 128);
REGENT_AT(regent_request, max_body_bytes, 144);
REGENT_AT(regent_request, ext, 152);

struct regent_response {
    uint16_t status;
    struct regent_header_list headers;
    struct regent_bytes body;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_response, 104);
REGENT_AT(regent_response, status, 0);
REGENT_AT(regent_response, headers, 8);
REGENT_AT(regent_response, body, 40);
REGENT_AT(regent_response, ext, 72);

/* `kind`: 1 refused, 2 invalid, 3 connect, 4 TLS, 5 timeout, 6 broken, 7 too large. */
struct regent_transport_error {
    uint32_t kind;
    struct regent_text host;
    struct regent_text reason;
    uint64_t limit_bytes;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_transport_error, 112);
REGENT_AT(regent_transport_error, kind, 0);
REGENT_AT(regent_transport_error, host, 8);
REGENT_AT(regent_transport_error, reason, 40);
REGENT_AT(regent_transport_error, limit_bytes, 72);
REGENT_AT(regent_transport_error, ext, 80);

struct regent_result_response {
    uint8_t is_error;
    union { struct regent_response ok; struct regent_transport_error err; } as;
};
REGENT_SIZE(regent_result_response, 120);
REGENT_AT(regent_result_response, is_error, 0);
REGENT_AT(regent_result_response, as, 8);

struct regent_poll_response {
    uint8_t state;
    struct regent_result_response ready;
};
REGENT_SIZE(regent_poll_response, 128);
REGENT_AT(regent_poll_response, state, 0);
REGENT_AT(regent_poll_response, ready, 8);

struct regent_call_response {
    void *future;
    struct regent_poll_response (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_response, 24);
REGENT_AT(regent_call_response, future, 0);
REGENT_AT(regent_call_response, poll, 8);
REGENT_AT(regent_call_response, drop, 16);

/* Nothing yet. */
struct regent_empty {
    struct regent_pairs ext;
};
REGENT_SIZE(regent_empty, 32);
REGENT_AT(regent_empty, ext, 0);

/* `class` and `retry`: REGENT_CLASS_…, REGENT_RETRY_… */
struct regent_error {
    uint32_t class;
    struct regent_text code;
    struct regent_text message;
    uint32_t retry;
    struct regent_duration retry_after;
    struct regent_pairs details;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_error, 160);
REGENT_AT(regent_error, class, 0);
REGENT_AT(regent_error, code, 8);
REGENT_AT(regent_error, message, 40);
REGENT_AT(regent_error, retry, 72);
REGENT_AT(regent_error, retry_after, 80);
REGENT_AT(regent_error, details, 96);
REGENT_AT(regent_error, ext, 128);

struct regent_result_empty {
    uint8_t is_error;
    union { struct regent_empty ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_empty, 168);
REGENT_AT(regent_result_empty, is_error, 0);
REGENT_AT(regent_result_empty, as, 8);

struct regent_optional_text {
    uint8_t is_none;
    struct regent_text some;
};
REGENT_SIZE(regent_optional_text, 40);
REGENT_AT(regent_optional_text, is_none, 0);
REGENT_AT(regent_optional_text, some, 8);

struct regent_variable {
    struct regent_optional_text value;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_variable, 72);
REGENT_AT(regent_variable, value, 0);
REGENT_AT(regent_variable, ext, 40);

struct regent_result_variable {
    uint8_t is_error;
    union { struct regent_variable ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_variable, 168);
REGENT_AT(regent_result_variable, is_error, 0);
REGENT_AT(regent_result_variable, as, 8);

struct regent_poll_empty {
    uint8_t state;
    struct regent_result_empty ready;
};
REGENT_SIZE(regent_poll_empty, 176);
REGENT_AT(regent_poll_empty, state, 0);
REGENT_AT(regent_poll_empty, ready, 8);

struct regent_call_empty {
    void *future;
    struct regent_poll_empty (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_empty, 24);
REGENT_AT(regent_call_empty, future, 0);
REGENT_AT(regent_call_empty, poll, 8);
REGENT_AT(regent_call_empty, drop, 16);

struct regent_time {
    bool before_1970;
    struct regent_duration distance;
};
REGENT_SIZE(regent_time, 24);
REGENT_AT(regent_time, before_1970, 0);
REGENT_AT(regent_time, distance, 8);

struct regent_result_time {
    uint8_t is_error;
    union { struct regent_time ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_time, 168);
REGENT_AT(regent_result_time, is_error, 0);
REGENT_AT(regent_result_time, as, 8);

struct regent_result_double {
    uint8_t is_error;
    union { double ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_double, 168);
REGENT_AT(regent_result_double, is_error, 0);
REGENT_AT(regent_result_double, as, 8);

#define REGENT_HOST_VTABLE_FIELDS UINT64_C(0xff)
struct regent_host_vtable {
    uint64_t fields;
    const void *unread;
    const struct regent_object_vtable *object;
    struct regent_call_response (*http)(const void *self, struct regent_request);
    struct regent_result_empty (*log)(const void *self, uint32_t, struct regent_text);
    struct regent_result_variable (*env)(const void *self, struct regent_text);
    struct regent_call_empty (*sleep)(const void *self, struct regent_duration);
    struct regent_result_time (*now)(const void *self);
    struct regent_result_double (*jitter)(const void *self);
};
REGENT_SIZE(regent_host_vtable, 72);
REGENT_AT(regent_host_vtable, fields, 0);
REGENT_AT(regent_host_vtable, unread, 8);
REGENT_AT(regent_host_vtable, object, 16);
REGENT_AT(regent_host_vtable, http, 24);
REGENT_AT(regent_host_vtable, log, 32);
REGENT_AT(regent_host_vtable, env, 40);
REGENT_AT(regent_host_vtable, sleep, 48);
REGENT_AT(regent_host_vtable, now, 56);
REGENT_AT(regent_host_vtable, jitter, 64);

struct regent_host {
    const struct regent_host_vtable *vtable;
    struct regent_box self;
};
REGENT_SIZE(regent_host, 24);
REGENT_AT(regent_host, vtable, 0);
REGENT_AT(regent_host, self, 8);

/* What a session is made from. `values` are secrets. */
struct regent_connect {
    struct regent_text registry_type;
    struct regent_pairs values;
    bool plain_http;
    struct regent_host host;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_connect, 128);
REGENT_AT(regent_connect, registry_type, 0);
REGENT_AT(regent_connect, values, 32);
REGENT_AT(regent_connect, plain_http, 64);
REGENT_AT(regent_connect, host, 72);
REGENT_AT(regent_connect, ext, 96);

/* `outcome`: REGENT_OUTCOME_… */
struct regent_check {
    struct regent_text name;
    uint32_t outcome;
    struct regent_text detail;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_check, 104);
REGENT_AT(regent_check, name, 0);
REGENT_AT(regent_check, outcome, 32);
REGENT_AT(regent_check, detail, 40);
REGENT_AT(regent_check, ext, 72);

struct regent_check_list {
    struct regent_check *buffer;
    size_t length;
    size_t capacity;
    const struct regent_list_vtable *vtable;
};
REGENT_SIZE(regent_check_list, 32);
REGENT_AT(regent_check_list, buffer, 0);
REGENT_AT(regent_check_list, length, 8);
REGENT_AT(regent_check_list, capacity, 16);
REGENT_AT(regent_check_list, vtable, 24);

/* What was looked at, in order. */
struct regent_validation {
    struct regent_text registry;
    struct regent_check_list checks;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_validation, 96);
REGENT_AT(regent_validation, registry, 0);
REGENT_AT(regent_validation, checks, 32);
REGENT_AT(regent_validation, ext, 64);

struct regent_result_validation {
    uint8_t is_error;
    union { struct regent_validation ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_validation, 168);
REGENT_AT(regent_result_validation, is_error, 0);
REGENT_AT(regent_result_validation, as, 8);

struct regent_poll_validation {
    uint8_t state;
    struct regent_result_validation ready;
};
REGENT_SIZE(regent_poll_validation, 176);
REGENT_AT(regent_poll_validation, state, 0);
REGENT_AT(regent_poll_validation, ready, 8);

struct regent_call_validation {
    void *future;
    struct regent_poll_validation (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_validation, 24);
REGENT_AT(regent_call_validation, future, 0);
REGENT_AT(regent_call_validation, poll, 8);
REGENT_AT(regent_call_validation, drop, 16);

struct regent_page_request {
    uint32_t size;
    struct regent_optional_text after;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_page_request, 80);
REGENT_AT(regent_page_request, size, 0);
REGENT_AT(regent_page_request, after, 8);
REGENT_AT(regent_page_request, ext, 48);

struct regent_texts {
    struct regent_text *buffer;
    size_t length;
    size_t capacity;
    const struct regent_list_vtable *vtable;
};
REGENT_SIZE(regent_texts, 32);
REGENT_AT(regent_texts, buffer, 0);
REGENT_AT(regent_texts, length, 8);
REGENT_AT(regent_texts, capacity, 16);
REGENT_AT(regent_texts, vtable, 24);

struct regent_names {
    struct regent_texts items;
    struct regent_optional_text next;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_names, 104);
REGENT_AT(regent_names, items, 0);
REGENT_AT(regent_names, next, 32);
REGENT_AT(regent_names, ext, 72);

struct regent_result_names {
    uint8_t is_error;
    union { struct regent_names ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_names, 168);
REGENT_AT(regent_result_names, is_error, 0);
REGENT_AT(regent_result_names, as, 8);

struct regent_poll_names {
    uint8_t state;
    struct regent_result_names ready;
};
REGENT_SIZE(regent_poll_names, 176);
REGENT_AT(regent_poll_names, state, 0);
REGENT_AT(regent_poll_names, ready, 8);

struct regent_call_names {
    void *future;
    struct regent_poll_names (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_names, 24);
REGENT_AT(regent_call_names, future, 0);
REGENT_AT(regent_call_names, poll, 8);
REGENT_AT(regent_call_names, drop, 16);

struct regent_optional_time {
    uint8_t is_none;
    struct regent_time some;
};
REGENT_SIZE(regent_optional_time, 32);
REGENT_AT(regent_optional_time, is_none, 0);
REGENT_AT(regent_optional_time, some, 8);

struct regent_optional_uint64 {
    uint8_t is_none;
    uint64_t some;
};
REGENT_SIZE(regent_optional_uint64, 16);
REGENT_AT(regent_optional_uint64, is_none, 0);
REGENT_AT(regent_optional_uint64, some, 8);

struct regent_tag_detail {
    struct regent_text tag;
    struct regent_text digest;
    struct regent_optional_time pushed;
    struct regent_optional_uint64 size_bytes;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_tag_detail, 144);
REGENT_AT(regent_tag_detail, tag, 0);
REGENT_AT(regent_tag_detail, digest, 32);
REGENT_AT(regent_tag_detail, pushed, 64);
REGENT_AT(regent_tag_detail, size_bytes, 96);
REGENT_AT(regent_tag_detail, ext, 112);

struct regent_tag_detail_list {
    struct regent_tag_detail *buffer;
    size_t length;
    size_t capacity;
    const struct regent_list_vtable *vtable;
};
REGENT_SIZE(regent_tag_detail_list, 32);
REGENT_AT(regent_tag_detail_list, buffer, 0);
REGENT_AT(regent_tag_detail_list, length, 8);
REGENT_AT(regent_tag_detail_list, capacity, 16);
REGENT_AT(regent_tag_detail_list, vtable, 24);

struct regent_tag_details {
    struct regent_tag_detail_list items;
    struct regent_optional_text next;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_tag_details, 104);
REGENT_AT(regent_tag_details, items, 0);
REGENT_AT(regent_tag_details, next, 32);
REGENT_AT(regent_tag_details, ext, 72);

struct regent_result_tag_details {
    uint8_t is_error;
    union { struct regent_tag_details ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_tag_details, 168);
REGENT_AT(regent_result_tag_details, is_error, 0);
REGENT_AT(regent_result_tag_details, as, 8);

struct regent_poll_tag_details {
    uint8_t state;
    struct regent_result_tag_details ready;
};
REGENT_SIZE(regent_poll_tag_details, 176);
REGENT_AT(regent_poll_tag_details, state, 0);
REGENT_AT(regent_poll_tag_details, ready, 8);

struct regent_call_tag_details {
    void *future;
    struct regent_poll_tag_details (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_tag_details, 24);
REGENT_AT(regent_call_tag_details, future, 0);
REGENT_AT(regent_call_tag_details, poll, 8);
REGENT_AT(regent_call_tag_details, drop, 16);

struct regent_access {
    struct regent_text repository;
    bool renew;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_access, 72);
REGENT_AT(regent_access, repository, 0);
REGENT_AT(regent_access, renew, 32);
REGENT_AT(regent_access, ext, 40);

struct regent_authorization {
    struct regent_text endpoint;
    struct regent_text repository;
    struct regent_header_list headers;
    struct regent_optional_time expires;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_authorization, 160);
REGENT_AT(regent_authorization, endpoint, 0);
REGENT_AT(regent_authorization, repository, 32);
REGENT_AT(regent_authorization, headers, 64);
REGENT_AT(regent_authorization, expires, 96);
REGENT_AT(regent_authorization, ext, 128);

struct regent_result_authorization {
    uint8_t is_error;
    union { struct regent_authorization ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_authorization, 168);
REGENT_AT(regent_result_authorization, is_error, 0);
REGENT_AT(regent_result_authorization, as, 8);

struct regent_poll_authorization {
    uint8_t state;
    struct regent_result_authorization ready;
};
REGENT_SIZE(regent_poll_authorization, 176);
REGENT_AT(regent_poll_authorization, state, 0);
REGENT_AT(regent_poll_authorization, ready, 8);

struct regent_call_authorization {
    void *future;
    struct regent_poll_authorization (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_authorization, 24);
REGENT_AT(regent_call_authorization, future, 0);
REGENT_AT(regent_call_authorization, poll, 8);
REGENT_AT(regent_call_authorization, drop, 16);

struct regent_content_request {
    struct regent_text repository;
    struct regent_text reference;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_content_request, 96);
REGENT_AT(regent_content_request, repository, 0);
REGENT_AT(regent_content_request, reference, 32);
REGENT_AT(regent_content_request, ext, 64);

struct regent_content {
    struct regent_text media_type;
    struct regent_bytes bytes;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_content, 96);
REGENT_AT(regent_content, media_type, 0);
REGENT_AT(regent_content, bytes, 32);
REGENT_AT(regent_content, ext, 64);

struct regent_result_content {
    uint8_t is_error;
    union { struct regent_content ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_content, 168);
REGENT_AT(regent_result_content, is_error, 0);
REGENT_AT(regent_result_content, as, 8);

struct regent_poll_content {
    uint8_t state;
    struct regent_result_content ready;
};
REGENT_SIZE(regent_poll_content, 176);
REGENT_AT(regent_poll_content, state, 0);
REGENT_AT(regent_poll_content, ready, 8);

struct regent_call_content {
    void *future;
    struct regent_poll_content (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_content, 24);
REGENT_AT(regent_call_content, future, 0);
REGENT_AT(regent_call_content, poll, 8);
REGENT_AT(regent_call_content, drop, 16);

struct regent_blob {
    uint64_t handle;
    struct regent_pairs ext;
};
REGENT_SIZE(regent_blob, 40);
REGENT_AT(regent_blob, handle, 0);
REGENT_AT(regent_blob, ext, 8);

struct regent_result_blob {
    uint8_t is_error;
    union { struct regent_blob ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_blob, 168);
REGENT_AT(regent_result_blob, is_error, 0);
REGENT_AT(regent_result_blob, as, 8);

struct regent_poll_blob {
    uint8_t state;
    struct regent_result_blob ready;
};
REGENT_SIZE(regent_poll_blob, 176);
REGENT_AT(regent_poll_blob, state, 0);
REGENT_AT(regent_poll_blob, ready, 8);

struct regent_call_blob {
    void *future;
    struct regent_poll_blob (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_blob, 24);
REGENT_AT(regent_call_blob, future, 0);
REGENT_AT(regent_call_blob, poll, 8);
REGENT_AT(regent_call_blob, drop, 16);

struct regent_result_bytes {
    uint8_t is_error;
    union { struct regent_bytes ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_bytes, 168);
REGENT_AT(regent_result_bytes, is_error, 0);
REGENT_AT(regent_result_bytes, as, 8);

struct regent_poll_bytes {
    uint8_t state;
    struct regent_result_bytes ready;
};
REGENT_SIZE(regent_poll_bytes, 176);
REGENT_AT(regent_poll_bytes, state, 0);
REGENT_AT(regent_poll_bytes, ready, 8);

struct regent_call_bytes {
    void *future;
    struct regent_poll_bytes (*poll)(void *future, struct regent_context *context);
    void (*drop)(void *future);
};
REGENT_SIZE(regent_call_bytes, 24);
REGENT_AT(regent_call_bytes, future, 0);
REGENT_AT(regent_call_bytes, poll, 8);
REGENT_AT(regent_call_bytes, drop, 16);

#define REGENT_SESSION_VTABLE_FIELDS UINT64_C(0x7ff)
struct regent_session_vtable {
    uint64_t fields;
    const void *unread;
    const struct regent_object_vtable *object;
    struct regent_call_validation (*validate)(const void *self, struct regent_empty);
    struct regent_call_names (*repositories)(const void *self, struct regent_page_request);
    struct regent_call_names (*tags)(const void *self, struct regent_text, struct regent_page_request);
    struct regent_call_tag_details (*tag_details)(const void *self, struct regent_text, struct regent_page_request);
    struct regent_call_authorization (*authorize)(const void *self, struct regent_access);
    struct regent_call_content (*manifest)(const void *self, struct regent_content_request);
    struct regent_call_blob (*open_blob)(const void *self, struct regent_content_request);
    struct regent_call_bytes (*read_blob)(const void *self, struct regent_blob, uint64_t);
    struct regent_call_empty (*close_blob)(const void *self, struct regent_blob);
};
REGENT_SIZE(regent_session_vtable, 96);
REGENT_AT(regent_session_vtable, fields, 0);
REGENT_AT(regent_session_vtable, unread, 8);
REGENT_AT(regent_session_vtable, object, 16);
REGENT_AT(regent_session_vtable, validate, 24);
REGENT_AT(regent_session_vtable, repositories, 32);
REGENT_AT(regent_session_vtable, tags, 40);
REGENT_AT(regent_session_vtable, tag_details, 48);
REGENT_AT(regent_session_vtable, authorize, 56);
REGENT_AT(regent_session_vtable, manifest, 64);
REGENT_AT(regent_session_vtable, open_blob, 72);
REGENT_AT(regent_session_vtable, read_blob, 80);
REGENT_AT(regent_session_vtable, close_blob, 88);

struct regent_session {
    const struct regent_session_vtable *vtable;
    struct regent_box self;
};
REGENT_SIZE(regent_session, 24);
REGENT_AT(regent_session, vtable, 0);
REGENT_AT(regent_session, self, 8);

struct regent_result_session {
    uint8_t is_error;
    union { struct regent_session ok; struct regent_error err; } as;
};
REGENT_SIZE(regent_result_session, 168);
REGENT_AT(regent_result_session, is_error, 0);
REGENT_AT(regent_result_session, as, 8);

#define REGENT_DRIVER_FIELDS UINT64_C(0x1)
struct regent_driver {
    uint64_t fields;
    const void *unread;
    struct regent_result_session (*connect)(struct regent_connect);
};
REGENT_SIZE(regent_driver, 24);
REGENT_AT(regent_driver, fields, 0);
REGENT_AT(regent_driver, unread, 8);
REGENT_AT(regent_driver, connect, 16);

/* Open sets: a number that the other side does not know has a reading there. */
#define REGENT_CLASS_AUTHENTICATION 1
#define REGENT_CLASS_DENIED 2
#define REGENT_CLASS_ABSENT 3
#define REGENT_CLASS_THROTTLED 4
#define REGENT_CLASS_UNAVAILABLE 5
#define REGENT_CLASS_TIMEOUT 6
#define REGENT_CLASS_CORRUPT 7
#define REGENT_CLASS_UNSUPPORTED 8
#define REGENT_CLASS_LIMIT 9
#define REGENT_CLASS_REFUSED 10
#define REGENT_CLASS_INVALID 11
#define REGENT_CLASS_INTERNAL 12
#define REGENT_RETRY_NEVER 0
#define REGENT_RETRY_BACKOFF 1
#define REGENT_RETRY_AFTER 2
#define REGENT_OUTCOME_PASSED 1
#define REGENT_OUTCOME_DENIED 2
#define REGENT_OUTCOME_FAILED 3
#define REGENT_OUTCOME_SKIPPED 4
#define REGENT_LOG_TRACE 1
#define REGENT_LOG_DEBUG 2
#define REGENT_LOG_INFO 3
#define REGENT_LOG_WARN 4
#define REGENT_LOG_ERROR 5
#define REGENT_POLL_READY 0
#define REGENT_POLL_PENDING 1

/* For the description: the version of the plugin API, that of abi_stable, and what the layouts above are called. */
#define REGENT_API "1.0.0"
#define REGENT_ABI_STABLE "0.11.3"
#define REGENT_LAYOUTS "{\"1.0\":\"041e8b3983aabb98152140c612664a49\"}"

#endif
