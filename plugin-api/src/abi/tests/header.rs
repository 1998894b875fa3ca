//! `c/regent_driver.h`: what crosses, as C declares it, written from the layouts that `abi_stable` has of it.
//!
//! `REGENT_WRITE_DOCUMENTS=1 cargo test -p regent-plugin-api --lib header` writes it. What its structs are called in the
//! description of a library (`layouts`) is made of the same walk: names, sizes, offsets and signatures, without the
//! words around them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use abi_stable::StableAbi;
use abi_stable::type_layout::{TLData, TLField, TLFields, TLFunction, TLPrimitive, TypeLayout};
use regent_oci::Digest;

use crate::abi::DriverModuleRef;
use crate::abi::layouts::LAYOUTS;
use crate::export::meta::{ABI_STABLE, API_VERSION};

/// How long the name of a version's layouts is, in characters of a SHA-256.
const NAME_LEN: usize = 32;

const HEAD: &str = "\
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
#define REGENT_AT(type, field, bytes) _Static_assert(offsetof(struct type, field) == (bytes), #type \".\" #field)
";

/// What is said of structs that do not explain themselves.
const REMARKS: [(&str, &str); 14] = [
    (
        "regent_bytes",
        "A buffer with its own way to be freed. `buffer` is never null; `drop` frees elements and buffer.",
    ),
    (
        "regent_type_id",
        "Tells one library's buffers from another's: the address of anything in the library, and zeros.",
    ),
    ("regent_text", "UTF-8, without a null at its end."),
    (
        "regent_pairs",
        "Names and values; as `ext` it is room for what later versions add: empty, and unknown keys don't count.",
    ),
    (
        "regent_waker",
        "Wakes whoever polls. What `clone` returns is owned, and ends with `wake` or `drop`; one of a context is neither.",
    ),
    ("regent_context", "Handed to each poll."),
    ("regent_empty", "Nothing yet."),
    ("regent_error", "`class` and `retry`: REGENT_CLASS_…, REGENT_RETRY_…"),
    ("regent_validation", "What was looked at, in order."),
    ("regent_check", "`outcome`: REGENT_OUTCOME_…"),
    (
        "regent_transport_error",
        "`kind`: 1 refused, 2 invalid, 3 connect, 4 TLS, 5 timeout, 6 broken, 7 too large.",
    ),
    ("regent_box", "What an object owns. Only the object's own `drop` reads the vtable."),
    ("regent_object_vtable", "What all objects have. `clone`, `debug` and `display` are null."),
    ("regent_connect", "What a session is made from. `values` are secrets."),
];

const TAIL: &str = "
/* Open sets: a number that the other side does not know has a reading there. */
";

/// Writes declarations, each after those that it needs.
#[derive(Default)]
struct Header {
    declared: BTreeSet<String>,
    /// The C.
    c: String,
    /// What is stable of it, a line each.
    facts: String,
}

/// A member of a struct: name, declaration with a `{}` where the name goes, size, alignment.
struct Member(String, String, usize, usize);

impl Header {
    fn of_the_api() -> Self {
        let mut header = Self::default();
        header.wakers();
        header.prefix("regent_driver", target(<DriverModuleRef as StableAbi>::LAYOUT), &[]);
        header
    }

    /// The name of the layouts.
    fn name(&self) -> String {
        Digest::sha256(self.facts.as_bytes()).hex().chars().take(NAME_LEN).collect()
    }

    /// How C spells a value of this type. What it needs is declared.
    fn value(&mut self, layout: &'static TypeLayout) -> String {
        if let TLData::Primitive(primitive) = layout.data() {
            return spelled(primitive).to_owned();
        }
        match layout.name() {
            "()" => "void".to_owned(),
            "RString" => self.text(layout),
            "RVec" => self.list(layout),
            "Tuple2" => self.fields("regent_pair", layout, fields(layout), &["name", "value"]),
            "ROption" => self.optional(layout),
            "RResult" => self.result(layout),
            "BorrowingFfiFuture" => self.call(layout),
            "RRef" => "const void *".to_owned(),
            "RMut" => "void *".to_owned(),
            "WireSession_TO" => self.object("regent_session", layout),
            "WireHost_TO" => self.object("regent_host", layout),
            name => match name.strip_prefix("Wire") {
                Some(rest) => self.fields(&format!("regent_{}", snake(rest)), layout, fields(layout), &[]),
                None => panic!("how C spells {} is not said", layout.full_type()),
            },
        }
    }

    /// What a type is called within the names of others.
    fn short(&mut self, layout: &'static TypeLayout) -> String {
        let spelled = self.value(layout);
        let name = spelled.strip_prefix("struct regent_").or_else(|| spelled.strip_suffix("_t"));
        name.unwrap_or(&spelled).to_owned()
    }

    /// A struct with the fields of a Rust one, under other names where some are given.
    fn fields(
        &mut self,
        name: &str,
        layout: &'static TypeLayout,
        fields: TLFields,
        names: &[&str],
    ) -> String {
        let mut members = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            let of = field.layout();
            if of.size() > 0 {
                let declared = format!("{} {{}}", self.value(of));
                let field = names.get(at).map_or(field.name(), |name| *name);
                members.push(Member(field.to_owned(), declared, of.size(), of.alignment()));
            }
        }
        self.declare(name, &members, layout.size(), layout.alignment())
    }

    fn declare(&mut self, name: &str, members: &[Member], size: usize, alignment: usize) -> String {
        let spelled = format!("struct {name}");
        if !self.declared.insert(name.to_owned()) {
            return spelled;
        }
        let (mut body, mut asserts, mut end) = (String::new(), String::new(), 0_usize);
        writeln!(self.facts, "{name} {size} {alignment}").expect("a string");
        for Member(field, declared, bytes, align) in members {
            let at = end.next_multiple_of(*align);
            end = at + bytes;
            let declared = tidied(&declared.replace("{}", field));
            writeln!(body, "    {declared};").expect("a string");
            writeln!(asserts, "REGENT_AT({name}, {field}, {at});").expect("a string");
            writeln!(self.facts, "  {at} {declared}").expect("a string");
        }
        assert_eq!(end.next_multiple_of(alignment), size, "{name} has fields that are not declared");
        let remark = REMARKS.iter().find(|(of, _)| *of == name);
        let remark = remark.map(|(_, text)| format!("/* {text} */\n")).unwrap_or_default();
        write!(self.c, "\n{remark}{spelled} {{\n{body}}};\nREGENT_SIZE({name}, {size});\n{asserts}")
            .expect("a string");
        spelled
    }

    fn text(&mut self, layout: &'static TypeLayout) -> String {
        self.fields("regent_text", layout, fields(layout), &["bytes"])
    }

    /// A list of anything has the same form: buffer, count, room, vtable.
    fn list(&mut self, layout: &'static TypeLayout) -> String {
        let item = parameter(layout, 0);
        let (name, item) = match item.name() {
            "u8" => ("regent_bytes".to_owned(), "uint8_t".to_owned()),
            "Tuple2" => ("regent_pairs".to_owned(), self.value(item)),
            "RString" => ("regent_texts".to_owned(), self.value(item)),
            _ => (format!("regent_{}_list", self.short(item)), self.value(item)),
        };
        if self.declared.contains(&name) {
            return format!("struct {name}");
        }
        let found = fields(layout).iter().filter(|field| field.layout().size() > 0);
        let names: Vec<_> = found.map(|field| field.name()).collect();
        assert_eq!(names, ["buffer", "length", "capacity", "vtable"], "a list has another form");
        self.list_vtable(fields(layout).get(3).expect("the fourth").layout());
        let word = (size_of::<usize>(), align_of::<usize>());
        let member =
            |name: &str, declared: &str| Member(name.to_owned(), declared.to_owned(), word.0, word.1);
        let members = [
            member("buffer", &format!("{item} *{{}}")),
            member("length", "size_t {}"),
            member("capacity", "size_t {}"),
            member("vtable", "const struct regent_list_vtable *{}"),
        ];
        self.declare(&name, &members, layout.size(), layout.alignment())
    }

    fn list_vtable(&mut self, reference: &'static TypeLayout) {
        self.type_id();
        let names = ["type_id", "destructor", "grow_capacity_to", "shrink_to_fit"];
        self.known_prefix(
            "regent_list_vtable",
            target(reference),
            &names,
            &[
                ("type_id", "struct regent_type_id (*{})(void)"),
                ("drop", "void (*{})(void *list)"),
                ("grow", "void (*{})(void *list, size_t to, uint8_t exactly)"),
                ("shrink", "void (*{})(void *list)"),
            ],
        );
    }

    fn type_id(&mut self) {
        let layout = <abi_stable::std_types::UTypeId as StableAbi>::LAYOUT;
        let word = (size_of::<usize>(), align_of::<usize>());
        let members = [
            Member("library".to_owned(), "const void *{}".to_owned(), word.0, word.1),
            Member("type".to_owned(), "uint8_t {}[16]".to_owned(), 16, 1),
        ];
        self.declare("regent_type_id", &members, layout.size(), layout.alignment());
    }

    /// A tag, and what is there where it is 0.
    fn optional(&mut self, layout: &'static TypeLayout) -> String {
        let of = parameter(layout, 0);
        let name = format!("regent_optional_{}", self.short(of));
        let spelled = self.value(of);
        let members =
            [tag("is_none"), Member("some".to_owned(), format!("{spelled} {{}}"), of.size(), of.alignment())];
        self.declare(&name, &members, layout.size(), layout.alignment())
    }

    /// A tag, and one of two.
    fn result(&mut self, layout: &'static TypeLayout) -> String {
        let (ok, err) = (parameter(layout, 0), parameter(layout, 1));
        let name = format!("regent_result_{}", self.short(ok));
        let union = format!("union {{ {} ok; {} err; }} {{}}", self.value(ok), self.value(err));
        let (size, alignment) = (ok.size().max(err.size()), ok.alignment().max(err.alignment()));
        let members =
            [tag("is_error"), Member("as".to_owned(), union, size.next_multiple_of(alignment), alignment)];
        self.declare(&name, &members, layout.size(), layout.alignment())
    }

    /// A call that is under way: a future.
    fn call(&mut self, layout: &'static TypeLayout) -> String {
        let output = parameter(layout, 0);
        let result = self.value(output);
        let short = self.short(output).replace("result_", "");
        let (size, alignment) = (output.size(), output.alignment());
        let members = [tag("state"), Member("ready".to_owned(), format!("{result} {{}}"), size, alignment)];
        let poll = self.declare(
            &format!("regent_poll_{short}"),
            &members,
            (alignment + size).next_multiple_of(alignment),
            alignment,
        );
        let word = (size_of::<usize>(), align_of::<usize>());
        let member =
            |name: &str, declared: &str| Member(name.to_owned(), declared.to_owned(), word.0, word.1);
        let members = [
            member("future", "void *{}"),
            member("poll", &format!("{poll} (*{{}})(void *future, struct regent_context *context)")),
            member("drop", "void (*{})(void *future)"),
        ];
        self.declare(&format!("regent_call_{short}"), &members, layout.size(), layout.alignment())
    }

    /// What a future is polled with. Of `async-ffi`, which keeps these types to itself: its ABI version stands for them.
    fn wakers(&mut self) {
        assert_eq!(async_ffi::ABI_VERSION, 2, "what is written here is version 2 of async-ffi's ABI");
        let word = (size_of::<usize>(), align_of::<usize>());
        let member =
            |name: &str, declared: &str| Member(name.to_owned(), declared.to_owned(), word.0, word.1);
        self.c.push_str("\nstruct regent_waker;\n");
        let functions = [
            member("clone", "const struct regent_waker *(*{})(const struct regent_waker *waker)"),
            member("wake", "void (*{})(const struct regent_waker *waker)"),
            member("wake_by_ref", "void (*{})(const struct regent_waker *waker)"),
            member("drop", "void (*{})(const struct regent_waker *waker)"),
        ];
        self.declare("regent_waker_vtable", &functions, 4 * word.0, word.1);
        let vtable = [member("vtable", "const struct regent_waker_vtable *{}")];
        self.declare("regent_waker", &vtable, word.0, word.1);
        let context = size_of::<async_ffi::FfiContext<'_>>();
        let waker = [member("waker", "const struct regent_waker *{}")];
        self.declare("regent_context", &waker, context, word.1);
    }

    /// An object: its vtable, and what it owns.
    fn object(&mut self, name: &str, layout: &'static TypeLayout) -> String {
        if self.declared.contains(name) {
            return format!("struct {name}");
        }
        let object = fields(layout).get(0).expect("the object").layout();
        let parts = fields(object);
        let [vtable, owned] = [0, 1].map(|at| parts.get(at).expect("vtable and pointer"));
        assert_eq!([vtable.name(), owned.name()], ["vtable", "ptr"], "an object has another form");
        let word = (size_of::<usize>(), align_of::<usize>());
        let member =
            |name: &str, declared: &str| Member(name.to_owned(), declared.to_owned(), word.0, word.1);
        self.declare(
            "regent_box",
            &[member("data", "void *{}"), member("vtable", "const void *{}")],
            owned.layout().size(),
            owned.layout().alignment(),
        );
        let vtable = target(vtable.layout());
        self.object_vtable(vtable);
        self.prefix(&format!("{name}_vtable"), vtable, &["_sabi_tys", "_sabi_vtable"]);
        let members = [
            member("vtable", &format!("const struct {name}_vtable *{{}}")),
            Member("self".to_owned(), "struct regent_box {}".to_owned(), 2 * word.0, word.1),
        ];
        self.declare(name, &members, layout.size(), layout.alignment())
    }

    fn object_vtable(&mut self, vtable: &'static TypeLayout) {
        if self.declared.contains("regent_object_vtable") {
            return;
        }
        self.type_id();
        let (word, id) = ((size_of::<usize>(), align_of::<usize>()), 24);
        let members =
            [tag("is_none"), Member("some".to_owned(), "struct regent_type_id {}".to_owned(), id, word.1)];
        self.declare("regent_optional_type_id", &members, id + word.0, word.1);
        let of_all = prefix_fields(vtable).get(1).expect("behind the marker").layout();
        let names =
            ["_sabi_tys", "_sabi_type_id", "_sabi_drop", "_sabi_clone", "_sabi_debug", "_sabi_display"];
        self.known_prefix(
            "regent_object_vtable",
            target(of_all),
            &names,
            &[
                ("type_id", "struct regent_optional_type_id (*{})(void)"),
                ("drop", "void (*{})(struct regent_box *self)"),
                ("clone", "void (*{})(void)"),
                ("debug", "void (*{})(void)"),
                ("display", "void (*{})(void)"),
            ],
        );
    }

    /// A table of functions of `abi_stable`'s own, whose fields have these names there.
    fn known_prefix(
        &mut self,
        name: &str,
        layout: &'static TypeLayout,
        names: &[&str],
        members: &[(&str, &str)],
    ) {
        let found: Vec<_> = prefix_fields(layout).iter().map(|field| field.name()).collect();
        assert_eq!(found, names, "{name} has another form");
        let bits = (1_u64 << names.len()) - 1;
        let word = (size_of::<usize>(), align_of::<usize>());
        let members: Vec<_> = members
            .iter()
            .map(|(name, declared)| Member((*name).to_owned(), (*declared).to_owned(), word.0, word.1))
            .collect();
        self.table(name, bits, members);
    }

    /// A table of functions that grows at its end.
    fn prefix(&mut self, name: &str, layout: &'static TypeLayout, own: &[&str]) {
        let fields = prefix_fields(layout);
        let bits = (1_u64 << fields.len()) - 1;
        let word = (size_of::<usize>(), align_of::<usize>());
        let mut members = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            if let Some(expected) = own.get(at) {
                assert_eq!(field.name(), *expected, "{name} has another form");
                if field.layout().size() > 0 {
                    let declared = "const struct regent_object_vtable *{}".to_owned();
                    members.push(Member("object".to_owned(), declared, word.0, word.1));
                }
            } else {
                let declared = self.function(&field);
                members.push(Member(field.name().to_owned(), declared, word.0, word.1));
            }
        }
        self.table(name, bits, members);
    }

    /// In front of every such table: which of its fields are there, and what is only read in a failure.
    fn table(&mut self, name: &str, bits: u64, functions: Vec<Member>) {
        if self.declared.contains(name) {
            return;
        }
        let word = (size_of::<usize>(), align_of::<usize>());
        let mut members = vec![
            Member("fields".to_owned(), "uint64_t {}".to_owned(), 8, 8),
            Member("unread".to_owned(), "const void *{}".to_owned(), word.0, word.1),
        ];
        members.extend(functions);
        let size = 8 + (members.len() - 1) * word.0;
        write!(self.c, "\n#define {}_FIELDS UINT64_C({bits:#x})", name.to_uppercase()).expect("a string");
        writeln!(self.facts, "{name} {bits:#x}").expect("a string");
        self.declare(name, &members, size, word.1);
    }

    fn function(&mut self, field: &TLField) -> String {
        let function: TLFunction = field.function_range().iter().next().expect("a function");
        let mut parameters = Vec::new();
        let names = function.param_names.as_str().split(',');
        for (name, layout) in names.zip(function.param_type_layouts.iter()) {
            // The derive numbers those that have no name in the table.
            let name = if name.starts_with("param_") { "" } else { name.trim_start_matches('_') };
            parameters.push(format!("{} {name}", self.value(layout())).trim_end().to_owned());
        }
        let returned = function.return_type_layout().map_or("void".to_owned(), |layout| self.value(layout()));
        format!("{returned} (*{{}})({})", parameters.join(", "))
    }
}

fn tag(name: &str) -> Member {
    Member(name.to_owned(), "uint8_t {}".to_owned(), 1, 1)
}

fn spelled(primitive: TLPrimitive) -> &'static str {
    match primitive {
        TLPrimitive::U8 => "uint8_t",
        TLPrimitive::U16 => "uint16_t",
        TLPrimitive::U32 => "uint32_t",
        TLPrimitive::U64 => "uint64_t",
        TLPrimitive::Usize => "size_t",
        TLPrimitive::F64 => "double",
        TLPrimitive::Bool => "bool",
        other => panic!("how C spells {other:?} is not said"),
    }
}

/// `PageRequest` → `page_request`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A star stands at the name.
fn tidied(declared: &str) -> String {
    declared.replace("* ", "*")
}

fn fields(layout: &'static TypeLayout) -> TLFields {
    match layout.data() {
        TLData::Struct { fields } => fields,
        _ => panic!("{} is no struct", layout.full_type()),
    }
}

fn prefix_fields(layout: &'static TypeLayout) -> TLFields {
    match layout.data() {
        TLData::PrefixType(prefix) => prefix.fields,
        _ => panic!("{} is no table of functions", layout.full_type()),
    }
}

/// What a generic type is of, by where it keeps one: the derive notes no parameters.
fn parameter(layout: &'static TypeLayout, at: usize) -> &'static TypeLayout {
    match (layout.name(), layout.data()) {
        ("ROption" | "RResult" | "FfiPoll", TLData::Enum(of)) => {
            of.fields.get(at).expect("a variant").layout()
        }
        ("RVec", TLData::Struct { fields }) => {
            let buffer = fields.get(0).expect("the buffer").layout();
            buffer.generics().type_params().first().expect("what it points to")()
        }
        ("BorrowingFfiFuture", TLData::Struct { fields }) => {
            parameter(fields.get(0).expect("the future").layout(), at)
        }
        ("LocalBorrowingFfiFuture", TLData::Struct { fields }) => {
            let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
            assert_eq!(names, ["fut_ptr", "poll_fn", "drop_fn", "_marker"], "a future has another form");
            let poll = fields.get(1).expect("the second").function_range().iter().next().expect("a function");
            parameter(poll.return_type_layout().expect("an answer")(), at)
        }
        _ => panic!("what {} is of is not said", layout.full_type()),
    }
}

/// What a reference to a table of functions leads to, through the types around it.
fn target(reference: &'static TypeLayout) -> &'static TypeLayout {
    if reference.name() == "PrefixRef" {
        return reference.phantom_fields().get(0).expect("its target").layout();
    }
    target(fields(reference).get(0).expect("what it is around").layout())
}

fn header() -> (String, String) {
    let header = Header::of_the_api();
    let name = header.name();
    let mut text = format!("{HEAD}{}{TAIL}", header.c);
    for (number, class) in regent_transport::Class::ALL.iter().map(|class| (class.number(), class)) {
        writeln!(text, "#define REGENT_CLASS_{} {number}", format!("{class:?}").to_uppercase())
            .expect("a string");
    }
    text.push_str(
        "#define REGENT_RETRY_NEVER 0\n#define REGENT_RETRY_BACKOFF 1\n#define REGENT_RETRY_AFTER 2\n\
         #define REGENT_OUTCOME_PASSED 1\n#define REGENT_OUTCOME_DENIED 2\n#define REGENT_OUTCOME_FAILED 3\n\
         #define REGENT_OUTCOME_SKIPPED 4\n\
         #define REGENT_LOG_TRACE 1\n#define REGENT_LOG_DEBUG 2\n#define REGENT_LOG_INFO 3\n\
         #define REGENT_LOG_WARN 4\n#define REGENT_LOG_ERROR 5\n\
         #define REGENT_POLL_READY 0\n#define REGENT_POLL_PENDING 1\n",
    );
    let layouts: Vec<_> =
        LAYOUTS.iter().map(|(version, name)| format!("\\\"{version}\\\":\\\"{name}\\\"")).collect();
    write!(
        text,
        "\n/* For the description: the version of the plugin API, that of abi_stable, and what the layouts above are called. */\n\
         #define REGENT_API \"{API_VERSION}\"\n#define REGENT_ABI_STABLE \"{ABI_STABLE}\"\n\
         #define REGENT_LAYOUTS \"{{{}}}\"\n\n#endif\n",
        layouts.join(","),
    )
    .expect("a string");
    (text, name)
}

#[expect(clippy::disallowed_methods, reason = "the one place where this crate's tests read the environment")]
fn is_to_be_written() -> bool {
    std::env::var_os("REGENT_WRITE_DOCUMENTS").is_some()
}

#[test]
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
fn the_c_header_is_written_from_the_layouts() {
    let (text, name) = header();
    let version = API_VERSION.rsplit_once('.').expect("three numbers").0;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/regent_driver.h");
    if is_to_be_written() {
        std::fs::write(&path, &text).expect("written");
    }
    assert_eq!(
        LAYOUTS.last(),
        Some(&(version, name.as_str())),
        "what crosses has changed. Where drivers are out there that have been built with {version}, that is a change for \
         another version: its layouts get a row of their own in abi/layouts.rs"
    );
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{} is not what the layouts say: REGENT_WRITE_DOCUMENTS=1 writes it",
        path.display()
    );
}
