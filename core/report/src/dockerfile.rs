//! What a Dockerfile tells about an image: the base it stands on and the packages that it installs
//! ([Dockerfile reference](https://docs.docker.com/reference/dockerfile/)).

mod syntax;
mod variables;

use std::collections::HashMap;

use serde::Serialize;

use crate::instructions::Instructions;
use syntax::{Instruction, Keyword, parse};
use variables::{Scope, expand};

/// The fact `dockerfileAnalysis`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DockerfileAnalysis {
    #[serde(skip_serializing_if = "Option::is_none")]
    base_image: Option<String>,
    /// What the RUN instructions of all stages install.
    #[serde(flatten)]
    pub(crate) instructions: Instructions,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<AnalysisError>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct AnalysisError {
    code: &'static str,
}

const NOT_FOUND: AnalysisError = AnalysisError { code: "BASE_IMAGE_NAME_NOT_FOUND" };
const NON_RESOLVABLE: AnalysisError = AnalysisError { code: "BASE_IMAGE_NON_RESOLVABLE" };

impl DockerfileAnalysis {
    /// Analyses a Dockerfile. Whatever it holds, there is an analysis.
    pub(crate) fn parse(text: &str) -> Self {
        let mut walk = Walk::default();
        for instruction in parse(text) {
            walk.step(&instruction);
        }
        let (base_image, error) = match walk.base {
            Base::Missing => (None, Some(NOT_FOUND)),
            Base::Unresolvable => (None, Some(NON_RESOLVABLE)),
            Base::Image(image) => (Some(image), None),
        };
        Self { base_image, instructions: Instructions::parse(walk.runs), error }
    }

    /// Whether the image starts from nothing.
    pub(crate) fn is_from_scratch(&self) -> bool {
        self.base_image.as_deref() == Some("scratch")
    }
}

/// The image that a stage stands on.
#[derive(Clone, Default, PartialEq)]
enum Base {
    /// There was no FROM yet.
    #[default]
    Missing,
    /// A variable in it has no value.
    Unresolvable,
    Image(String),
}

#[derive(Default)]
struct Walk {
    /// ARGs in front of the first FROM, known to FROM instructions, and in a stage after an ARG that names them.
    global: Scope,
    stage: Scope,
    /// The base of each named stage.
    stages: HashMap<String, Base>,
    /// The base of the last stage so far.
    base: Base,
    runs: Vec<String>,
}

impl Walk {
    fn step(&mut self, instruction: &Instruction) {
        let words = &instruction.words;
        match instruction.keyword {
            Keyword::From => self.start_stage(words),
            Keyword::Arg if self.base == Base::Missing => self.global.declare(words, None),
            Keyword::Arg => self.stage.declare(words, Some(&self.global)),
            Keyword::Env => self.stage.assign(words),
            Keyword::Run => {
                let command = expand(&words.join(" "), &self.stage).text;
                let body = expand(&instruction.here_document, &self.stage).text;
                self.runs.push(format!("RUN {command}{body}"));
            }
        }
    }

    fn start_stage(&mut self, words: &[String]) {
        let mut words = words.iter().filter(|word| !word.starts_with("--"));
        let Some(image) = words.next() else { return };
        let image = expand(image, &self.global);
        let base = if !image.is_complete || image.text.is_empty() {
            Base::Unresolvable
        } else {
            let stage = self.stages.get(&image.text.to_lowercase()).cloned();
            stage.unwrap_or(Base::Image(image.text))
        };
        if let (Some(keyword), Some(name)) = (words.next(), words.next())
            && keyword.eq_ignore_ascii_case("as")
        {
            self.stages.insert(name.to_lowercase(), base.clone());
        }
        self.base = base;
        self.stage = Scope::default();
    }
}

#[cfg(test)]
mod tests;
