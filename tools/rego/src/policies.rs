//! Loaded policies, and one question after the other to them.

use core::num::{NonZeroU32, NonZeroUsize};
use core::time::Duration;
use std::sync::Arc;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, PolicyLengthConfig, Value};

use crate::bundle::Bundle;
use crate::path::{DataPath, Segment};

/// After so many steps of an evaluation its time is looked at.
const STEPS_BETWEEN_LOOKS: NonZeroU32 = NonZeroU32::MIN.saturating_add(63);

/// What a module and a query may be long. A bundle has bounds of its own; a path becomes a query of one line.
const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: NonZeroU32::MIN.saturating_add(64 << 10),
    max_file_bytes: NonZeroUsize::MIN.saturating_add(4 << 20),
    max_lines: NonZeroUsize::MIN.saturating_add(100_000),
};

/// Why policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A module that is none, or modules that do not fit together.
    #[error("the policies cannot be loaded: {0}")]
    Policy(String),
    /// A module whose package the bundle does not own.
    #[error("package `{package}` of `{file}` is outside the manifest's roots")]
    Roots {
        /// Of which file.
        file: String,
        /// Which.
        package: String,
    },
}

/// Why there is no answer. What is undefined is an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It took too long.
    #[error("caller cancelled query execution")]
    Late,
    /// Two rules say different things of the same document.
    #[error("{0}")]
    Conflict(String),
    /// Anything else that went wrong in an evaluation.
    #[error("{0}")]
    Evaluation(String),
}

/// What becomes of an error inside a built-in function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuiltinErrors {
    /// The call is undefined, as Rego has it.
    #[default]
    Undefined,
    /// There is no answer.
    Fatal,
}

/// Loaded policies. A copy shares them; what an evaluation changes is each copy's own, so that each thread has one.
#[derive(Clone)]
pub struct Policies {
    engine: Engine,
    /// The paths of all packages.
    packages: Arc<[Vec<String>]>,
}

impl core::fmt::Debug for Policies {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Policies").finish_non_exhaustive()
    }
}

impl Policies {
    /// Loads a bundle; no evaluation will take much longer than `time_max`.
    ///
    /// # Errors
    /// [`LoadError`] names the first thing that is wrong.
    pub fn load(bundle: &Bundle, time_max: Duration) -> Result<Self, LoadError> {
        let refused = |error: &dyn core::fmt::Display| LoadError::Policy(error.to_string());
        let mut engine = Engine::new();
        engine.set_policy_length_config(LENGTHS);
        let mut packages = Vec::new();
        for (name, text) in &bundle.modules {
            let package = engine.add_policy(name.clone(), text.clone());
            let package = package.map_err(|error| refused(&error))?;
            let path: Vec<String> = package.split('.').skip(1).map(str::to_owned).collect();
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            if !bundle.manifest.owns(&names) {
                return Err(LoadError::Roots { file: name.clone(), package: path.join("/") });
            }
            packages.push(path);
        }
        engine.add_data(Value::from(bundle.data.clone())).map_err(|error| refused(&error))?;
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: time_max,
            check_interval: STEPS_BETWEEN_LOOKS,
        });
        // Whatever is wrong between the modules is found by the first question: it is asked now.
        engine.eval_query("true".to_owned(), false).map_err(|error| refused(&error))?;
        Ok(Self { engine, packages: packages.into() })
    }

    /// The document at a path for an input; `None` where there is none. Without an input, Rego's `input` is undefined.
    ///
    /// # Errors
    /// [`AskError`]
    pub fn ask(
        &mut self,
        path: &DataPath,
        input: Option<Value>,
        builtin_errors: BuiltinErrors,
    ) -> Result<Option<Value>, AskError> {
        let strict = builtin_errors == BuiltinErrors::Fatal;
        self.engine.set_strict_builtin_errors(strict);
        self.engine.set_input(input.unwrap_or(Value::Undefined));
        // From the first number on it is a place in what comes out: it cannot be part of a rule's name.
        let named = |segment: &&Segment| matches!(segment, Segment::Name(_));
        let names = path.segments().iter().take_while(named).count();
        // The engine loses rules of a package that stands in several files when it is asked for the package, and not when it is
        // asked for one rule or for everything.
        let names = if self.is_package(path.segments()) { 0 } else { names };
        let (names, rest) = path.segments().split_at_checked(names).unwrap_or_default();
        let results =
            self.engine.eval_query(query(names), false).map_err(|error| failed(&error))?;
        let found = results.result.into_iter().next();
        let found = found.and_then(|result| result.expressions.into_iter().next());
        let found = found.map(|expression| expression.value);
        Ok(found.and_then(|value| inside(value, rest)))
    }

    /// Whether a path leads to a package, or to what packages are in.
    fn is_package(&self, path: &[Segment]) -> bool {
        self.packages.iter().any(|package| {
            let mut package = package.iter();
            path.iter().all(|segment| match segment {
                Segment::Name(name) => package.next() == Some(name),
                Segment::Number(number) => package.next() == Some(&number.to_string()),
            })
        })
    }
}

/// Names become string literals: whatever they contain, they stay names.
fn query(names: &[Segment]) -> String {
    let mut query = "data".to_owned();
    for segment in names {
        if let Segment::Name(name) = segment {
            query += &format!("[{}]", serde_json::Value::from(name.as_str()));
        }
    }
    query
}

fn inside(value: Value, rest: &[Segment]) -> Option<Value> {
    let defined = Some(value).filter(|value| *value != Value::Undefined);
    rest.iter().try_fold(defined?, |value, segment| {
        if let (Segment::Number(place), Ok(array)) = (segment, value.as_array()) {
            return array.get(*place).cloned();
        }
        let object = value.as_object().ok()?;
        match segment {
            Segment::Name(name) => object.get(&Value::from(name.as_str())).cloned(),
            Segment::Number(number) => {
                let text = Value::from(number.to_string());
                object.get(&text).or_else(|| object.get(&Value::from(*number))).cloned()
            }
        }
    })
}

fn failed(
    error: &(impl AsRef<dyn core::error::Error + Send + Sync> + core::fmt::Display),
) -> AskError {
    let mut cause: Option<&(dyn core::error::Error + 'static)> = Some(error.as_ref());
    while let Some(this) = cause {
        if this.downcast_ref::<LimitError>().is_some() {
            return AskError::Late;
        }
        cause = this.source();
    }
    let text = error.to_string();
    match text.contains("multiple outputs") || text.contains("rule conflicts") {
        true => AskError::Conflict(text),
        false => AskError::Evaluation(text),
    }
}
