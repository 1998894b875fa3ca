//! Query strings.

/// The parameters of a query, decoded. Of a name that occurs twice the first counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// A parameter that is not empty, its name in any case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n.eq_ignore_ascii_case(name) && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// Whether a switch is on: `true`, `1`, or there without a value.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let value = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        value.is_some_and(|v| v.is_empty() || v == "1" || v.eq_ignore_ascii_case("true"))
    }
}
