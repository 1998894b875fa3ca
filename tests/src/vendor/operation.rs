//! The table of what a vendor takes, and for each of its rules a request that breaks it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderName, Method};
use serde_json::{Map, Value};

use super::message::{Received, decoded};

/// One operation of a vendor's API, as its document describes it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its name in the document, or what it does.
    pub id: &'static str,
    /// Where it is described.
    pub source: &'static str,
    /// The host that offers it, with the port where it is not 443.
    pub host: &'static str,
    /// The methods that it takes.
    pub methods: &'static [&'static str],
    /// Its path: `{name}` stands for one segment, `{name+}` for one or more.
    pub path: Cow<'static, str>,
    /// Its query parameters. Others are refused.
    pub query: &'static [Parameter],
    /// Headers with rules. Others pass.
    pub headers: &'static [Parameter],
    /// Its body.
    pub body: Payload,
}

impl Operation {
    /// Whether the request names this operation where all have one path: every header and field of a form that must be
    /// there and takes one word has that word.
    fn is_named_by(&self, request: &Received) -> bool {
        let word = |rule: &Parameter| match rule.kind {
            Kind::OneOf(&[word]) if rule.required => Some((rule.name, word)),
            _ => None,
        };
        let form = request.form();
        let fields = if let Payload::Form(fields) = self.body { fields } else { &[] };
        self.headers.iter().filter_map(word).all(|(name, word)| request.header(name) == Some(word))
            && fields
                .iter()
                .filter_map(word)
                .all(|(name, word)| form.iter().any(|(n, value)| n == name && value == word))
    }
}

/// What an operation takes as its body.
#[derive(Debug, Clone, Copy)]
pub enum Payload {
    /// None.
    Nothing,
    /// A form with these fields.
    Form(&'static [Parameter]),
    /// A JSON object with these keys.
    Json(&'static [Parameter]),
    /// Text in a language of its own, which the vendor's implementation looks at.
    Text,
}

/// A parameter of a query, a header, a field of a body.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name; of a header in lower case.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Whether it may stand there more than once.
    pub repeated: bool,
    /// Its values.
    pub kind: Kind,
}

impl Parameter {
    /// One that may be left out.
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, required: false, repeated: false, kind }
    }

    /// One that may not be left out.
    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, required: true, repeated: false, kind }
    }

    /// The same, more than once.
    #[must_use]
    pub const fn repeated(self) -> Self {
        Self { repeated: true, ..self }
    }
}

/// The values that a parameter takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A whole number within bounds, both included.
    Integer {
        /// The least.
        min: u64,
        /// The largest; [`u64::MAX`] for none.
        max: u64,
    },
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Text of a length in characters within bounds, both included.
    Text {
        /// The shortest.
        min: usize,
        /// The longest; [`usize::MAX`] for none.
        max: usize,
    },
    /// Text of a certain form.
    Like {
        /// An example.
        example: &'static str,
        /// A counterexample.
        counterexample: &'static str,
        /// Tells one from the other.
        fits: fn(&str) -> bool,
    },
}

impl Kind {
    /// `true` or `false`.
    pub const BOOLEAN: Self = Self::OneOf(&["true", "false"]);
    /// Any text but none.
    pub const TEXT: Self = Self::Text { min: 1, max: usize::MAX };

    fn fits(self, value: &str) -> bool {
        match self {
            Self::Integer { min, max } => value.parse().is_ok_and(|n: u64| (min..=max).contains(&n)),
            Self::OneOf(words) => words.contains(&value),
            Self::Text { min, max } => (min..=max).contains(&value.chars().count()),
            Self::Like { fits, .. } => fits(value),
        }
    }

    fn example(self) -> String {
        match self {
            Self::Integer { min, .. } => min.to_string(),
            Self::OneOf(words) => words[0].to_owned(),
            Self::Text { min, .. } => "x".repeat(min.max(1)),
            Self::Like { example, .. } => example.to_owned(),
        }
    }

    fn counterexamples(self) -> Vec<String> {
        match self {
            Self::Integer { min, max } => {
                let below = min.checked_sub(1);
                let above = max.checked_add(1);
                let text = [Some("many".to_owned()), Some("-1".to_owned())];
                [below, above].map(|n| n.map(|n| n.to_string())).into_iter().chain(text).flatten().collect()
            }
            Self::OneOf(_) => vec!["no-such-word".to_owned()],
            Self::Text { min, max } => {
                let short = (min > 1).then(|| "x".repeat(min - 1));
                let long = (max < usize::MAX).then(|| "x".repeat(max + 1));
                let empty = (min > 0).then(String::new);
                [short, long, empty].into_iter().flatten().collect()
            }
            Self::Like { counterexample, .. } => vec![counterexample.to_owned()],
        }
    }
}

/// The values of a path's placeholders, decoded once.
pub type PathValues = BTreeMap<String, String>;

/// A request that the vendor would refuse for its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The status of the refusal.
    pub status: u16,
    /// The rule that it breaks.
    pub rule: String,
}

impl Violation {
    /// A refusal with this status, for breaking this rule.
    pub fn new(status: u16, rule: impl Into<String>) -> Self {
        Self { status, rule: rule.into() }
    }
}

/// Finds the operation that a request is for, and holds the request against its rules. The first that fits its path stands; of
/// several with one path and method, the one that the request names in a header or a field.
///
/// # Errors
/// [`Violation`].
pub fn find<'a>(
    table: &'a [Operation],
    request: &Received,
) -> Result<(&'a Operation, PathValues), Violation> {
    let mut with_path = table
        .iter()
        .filter(|operation| operation.host == request.host)
        .filter_map(|operation| Some((operation, values(&operation.path, &request.path)?)))
        .peekable();
    if with_path.peek().is_none() {
        return Err(Violation::new(404, "there is no such path"));
    }
    let with_method: Vec<_> =
        with_path.filter(|(operation, _)| operation.methods.contains(&request.method.as_str())).collect();
    let named = with_method.iter().position(|(operation, _)| operation.is_named_by(request)).unwrap_or(0);
    let found = with_method.into_iter().nth(named);
    let (operation, values) = found.ok_or_else(|| Violation::new(405, "there is no such method"))?;
    let query = request.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    check("parameter", operation.query, &query.collect::<Vec<_>>())?;
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .filter(|(name, _)| operation.headers.iter().any(|rule| rule.name == name.as_str()))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("\u{fffd}")))
        .collect();
    check("header", operation.headers, &headers)?;
    check_body(operation, request)?;
    Ok((operation, values))
}

/// The placeholders' values, if the path fits.
fn values(template: &str, path: &str) -> Option<PathValues> {
    let template: Vec<&str> = template.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    let mut found = PathValues::new();
    fit(&template, &path, &mut found).then_some(found)
}

fn fit(template: &[&str], path: &[&str], found: &mut PathValues) -> bool {
    let (Some((first, template)), true) = (template.split_first(), !path.is_empty()) else {
        return template.is_empty() && path.is_empty();
    };
    let Some(name) = first.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return *first == path[0] && fit(template, &path[1..], found);
    };
    let Some(name) = name.strip_suffix('+') else {
        found.insert(name.to_owned(), decoded(path[0]));
        return !path[0].is_empty() && fit(template, &path[1..], found);
    };
    // As many segments as possible: what stands behind is the operation's own.
    for taken in (1..=path.len()).rev() {
        let all = &path[..taken];
        if all.iter().all(|segment| !segment.is_empty()) && fit(template, &path[taken..], found) {
            found.insert(name.to_owned(), decoded(&all.join("/")));
            return true;
        }
    }
    false
}

fn check(what: &str, rules: &[Parameter], given: &[(&str, &str)]) -> Result<(), Violation> {
    for (i, (name, value)) in given.iter().enumerate() {
        let Some(rule) = rules.iter().find(|rule| rule.name == *name) else {
            return Err(Violation::new(400, format!("there is no {what} {name}")));
        };
        if !rule.kind.fits(value) {
            return Err(Violation::new(400, format!("the {what} {name} does not take {value:?}")));
        }
        if !rule.repeated && given[..i].iter().any(|(earlier, _)| earlier == name) {
            return Err(Violation::new(400, format!("the {what} {name} is there twice")));
        }
    }
    match rules.iter().find(|rule| rule.required && given.iter().all(|(name, _)| *name != rule.name)) {
        Some(rule) => Err(Violation::new(400, format!("the {what} {} is missing", rule.name))),
        None => Ok(()),
    }
}

fn check_body(operation: &Operation, request: &Received) -> Result<(), Violation> {
    match operation.body {
        Payload::Nothing if !request.body.is_empty() => Err(Violation::new(400, "there is a body")),
        Payload::Nothing | Payload::Text => Ok(()),
        Payload::Form(rules) => {
            let is_form = |v: &str| v.starts_with("application/x-www-form-urlencoded");
            if !request.header("content-type").is_some_and(is_form) {
                return Err(Violation::new(415, "the body is a form"));
            }
            let form = request.form();
            let given: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            check("field", rules, &given)
        }
        Payload::Json(rules) => {
            let Value::Object(object) = request.json() else {
                return Err(Violation::new(400, "the body is a JSON object"));
            };
            let given: Vec<(String, String)> =
                object.into_iter().map(|(name, value)| (name, plain(value))).collect();
            let given: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            check("key", rules, &given)
        }
    }
}

/// A string as it is, everything else as JSON.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A request for an operation, made from its table.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Which rule it breaks; none if it is as it should be.
    pub breaks: String,
    method: &'static str,
    host: &'static str,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<(String, String)>,
    payload: Payload,
}

impl Draft {
    /// As it would arrive.
    pub fn received(&self, at: std::time::SystemTime) -> Received {
        let mut request = Received::new(self.method.parse::<Method>().unwrap(), self.host, &self.path, at);
        request.query.clone_from(&self.query);
        for (name, value) in &self.headers {
            request.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        match self.payload {
            Payload::Nothing => {}
            Payload::Text => request.body = "x".into(),
            Payload::Form(_) => {
                let form: String =
                    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.body).finish();
                request.body = form.into();
                request.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
            }
            Payload::Json(_) => {
                let pairs = self.body.iter().map(|(name, value)| {
                    (
                        name.clone(),
                        value.parse::<u64>().map_or_else(|_| Value::from(value.as_str()), Value::from),
                    )
                });
                request.body = Value::Object(pairs.collect::<Map<_, _>>()).to_string().into();
                request.headers.entry("content-type").or_insert("application/json".parse().unwrap());
            }
        }
        request
    }
}

/// A request that breaks no rule, with all that is required and nothing else.
pub fn conforming(operation: &Operation) -> Draft {
    let segments = operation.path.split('/').map(|segment| match segment.strip_prefix('{') {
        Some(name) if name.ends_with("+}") => "x/y",
        Some(_) => "x",
        None => segment,
    });
    let required = |rules: &[Parameter]| {
        let rules = rules.iter().filter(|rule| rule.required);
        rules.map(|rule| (rule.name.to_owned(), rule.kind.example())).collect::<Vec<_>>()
    };
    let fields = match operation.body {
        Payload::Form(fields) | Payload::Json(fields) => fields,
        Payload::Nothing | Payload::Text => &[],
    };
    Draft {
        breaks: String::new(),
        method: operation.methods[0],
        host: operation.host,
        path: segments.collect::<Vec<_>>().join("/"),
        query: required(operation.query),
        headers: required(operation.headers),
        body: required(fields),
        payload: operation.body,
    }
}

/// For each rule of an operation a request that breaks it and no other.
pub fn violating(operation: &Operation) -> Vec<Draft> {
    let good = conforming(operation);
    let named = |rule: String| Draft { breaks: format!("{}: {rule}", operation.id), ..good.clone() };
    let mut drafts = vec![Draft { method: "DELETE", ..named("method".to_owned()) }];
    drafts.push(Draft { path: "/no/such/path/at/all".to_owned(), ..named("path".to_owned()) });
    let fields = match operation.body {
        Payload::Form(fields) | Payload::Json(fields) => fields,
        Payload::Nothing | Payload::Text => &[],
    };
    for variant in variants(operation.query, &good.query, true) {
        drafts.push(Draft { query: variant.1, ..named(format!("parameter {}", variant.0)) });
    }
    for variant in variants(operation.headers, &good.headers, false) {
        drafts.push(Draft { headers: variant.1, ..named(format!("header {}", variant.0)) });
    }
    let is_form = matches!(operation.body, Payload::Form(_));
    if matches!(operation.body, Payload::Form(_) | Payload::Json(_)) {
        for variant in variants(fields, &good.body, true) {
            // A JSON object has each key once.
            if is_form || !variant.0.ends_with("twice") {
                drafts.push(Draft { body: variant.1, ..named(format!("field {}", variant.0)) });
            }
        }
    }
    drafts
}

type Pairs = Vec<(String, String)>;

fn variants(rules: &[Parameter], good: &Pairs, closed: bool) -> Vec<(String, Pairs)> {
    let mut found = Vec::new();
    if closed {
        let mut unknown = good.clone();
        unknown.push(("no_such_thing".to_owned(), "1".to_owned()));
        found.push(("that is unknown".to_owned(), unknown));
    }
    for rule in rules {
        let without: Pairs = good.iter().filter(|(name, _)| name != rule.name).cloned().collect();
        let with = |value: String| {
            let mut pairs = without.clone();
            pairs.push((rule.name.to_owned(), value));
            pairs
        };
        for value in rule.kind.counterexamples() {
            let shown: String = value.chars().take(20).collect();
            found.push((format!("{} of {shown:?}", rule.name), with(value)));
        }
        if rule.required {
            found.push((format!("{} missing", rule.name), without.clone()));
        }
        if !rule.repeated && closed {
            let mut twice = with(rule.kind.example());
            twice.push((rule.name.to_owned(), rule.kind.example()));
            found.push((format!("{} twice", rule.name), twice));
        }
    }
    found
}
