//! Descriptors of berry's lock files, `name@protocol:source#selector::parameters`, and the forms under which a
//! dependency may ask for them.

use percent_encoding::percent_decode_str;

/// `name@range` → both, where the name may begin with `@`.
pub(super) fn split_descriptor(descriptor: &str) -> Option<(&str, &str)> {
    let scope_bytes = usize::from(descriptor.starts_with('@'));
    let at = descriptor.get(scope_bytes..)?.find('@')? + scope_bytes;
    Some((descriptor.get(..at)?, descriptor.get(at + 1..)?)).filter(|(name, _)| !name.is_empty())
}

/// The texts under which a descriptor is found, itself first.
pub(super) fn forms(descriptor: &str) -> Vec<String> {
    let mut forms = vec![descriptor.to_owned()];
    let Some((name, range)) = split_descriptor(descriptor) else { return forms };
    let Range { protocol, source, selector } = Range::parse(range);
    let whole = match &source {
        Some(source) => format!("{name}@{protocol}{source}#{selector}"),
        None => format!("{name}@{protocol}{selector}"),
    };
    match (protocol, source) {
        ("npm:" | "file:", _) => {
            forms.push(format!("{name}@{selector}"));
            forms.push(format!("{name}@{protocol}{selector}"));
        }
        ("patch:", Some(source)) if is_builtin(&selector) => forms.push(source),
        ("patch:", _) => forms.push(whole),
        (protocol, _) if is_git(protocol) => forms.push(whole),
        _ => forms.push(format!("{name}@{protocol}{selector}")),
    }
    forms
}

/// Patches that come with yarn, which it applies to packages unasked.
fn is_builtin(selector: &str) -> bool {
    let selector = selector.rsplit('!').next().unwrap_or(selector);
    selector.trim_start_matches('~').starts_with("builtin<")
}

fn is_git(protocol: &str) -> bool {
    protocol.starts_with("git") || matches!(protocol, "http:" | "https:" | "ssh:")
}

/// The part of a descriptor behind the name, without parameters, and decoded.
struct Range<'a> {
    /// With its colon; empty if there is none.
    protocol: &'a str,
    source: Option<String>,
    selector: String,
}

impl<'a> Range<'a> {
    fn parse(range: &'a str) -> Self {
        let colon =
            range.find([':', '#']).filter(|at| range.get(*at..).is_some_and(|rest| rest.starts_with(':')));
        let (protocol, rest) = colon.and_then(|at| range.split_at_checked(at + 1)).unwrap_or(("", range));
        let rest = rest.split_once("::").map_or(rest, |(before, _)| before);
        match rest.split_once('#') {
            Some((source, selector)) => {
                Self { protocol, source: Some(decoded(source)), selector: decoded(selector) }
            }
            None => Self { protocol, source: None, selector: decoded(rest) },
        }
    }
}

/// The text with its percent escapes resolved.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_found_under_itself_and_the_forms_of_its_protocol() {
        let rows: [(&str, &[&str]); 11] = [
            ("a@npm:^1.0.0", &["a@^1.0.0", "a@npm:^1.0.0"]),
            ("@s/a@npm:@t/b@^1", &["@s/a@@t/b@^1", "@s/a@npm:@t/b@^1"]),
            ("a@file:./a.tgz::locator=root%40workspace%3A.", &["a@./a.tgz", "a@file:./a.tgz"]),
            ("a@git+ssh://git@host/a.git#commit=1", &["a@git+ssh://git@host/a.git#commit=1"]),
            ("a@https://host/a%20b.git#main", &["a@https://host/a b.git#main"]),
            ("a@github:owner/a", &["a@github:owner/a"]),
            ("a@patch:a@npm%3A^1#~builtin<compat/a>", &["a@npm:^1"]),
            ("a@patch:a@^1#optional!builtin<compat/a>", &["a@^1"]),
            ("a@patch:a@npm%3A1.0.0#./a.patch::version=1", &["a@patch:a@npm:1.0.0#./a.patch"]),
            ("a@workspace:packages/a", &["a@workspace:packages/a"]),
            ("a@link:../a::locator=root", &["a@link:../a"]),
        ];
        for (descriptor, expected) in rows {
            let forms = forms(descriptor);
            assert_eq!(forms[0], descriptor);
            assert_eq!(&forms[1..], expected, "{descriptor}");
        }
        for descriptor in ["", "a", "@", "@a", "@@"] {
            assert_eq!(forms(descriptor)[0], descriptor);
        }
    }
}
