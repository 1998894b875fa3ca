//! The table of settings for `docs/operating.md`.

use std::fmt::Write as _;

use super::table::SETTINGS;

/// All settings as a Markdown table, exactly as it stands in `docs/operating.md`.
pub fn markdown() -> String {
    let mut text = String::from("| setting | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let mut name = format!("`{}`", setting.name);
        for alias in setting.aliases {
            let _ = write!(name, ", `{alias}`");
        }
        let mut kind = setting.kind.words();
        if setting.secret {
            kind.push_str(", secret");
        }
        let default = match (setting.default, setting.reason) {
            ("", "") => "unset".to_owned(),
            ("", reason) => format!("unset: {reason}"),
            (default, reason) => format!("{default} ({reason})"),
        };
        let _ = writeln!(text, "| {name} | {kind} | {default} | {} |", setting.help);
    }
    text
}
