//! Why policies are not accepted.

use super::request::Fact;

/// Why a set of policies cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A file that is none of those that a set consists of.
    #[error(
        "`{0}` is no file of a policy set: it has `schema.cedarschema`, `NAME.cedar` and `cases/NAME.toml`, names in lower case"
    )]
    FileName(String),
    /// Without a schema nothing can be checked.
    #[error("`schema.cedarschema` is missing")]
    NoSchema,
    /// Larger than is kept.
    #[error("the files have {bytes} bytes with their names; a policy set has at most {most}")]
    TooLarge {
        /// So many.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// More files than are kept.
    #[error(
        "there are {files} files; a policy set has at most {most}: put several policies into one"
    )]
    TooManyFiles {
        /// So many.
        files: usize,
        /// The bound.
        most: usize,
    },
    /// More policies than are loaded.
    #[error("there are {policies} policies; a policy set has at most {most}")]
    TooManyPolicies {
        /// So many.
        policies: usize,
        /// The bound.
        most: usize,
    },
    /// What is nested more deeply than is parsed.
    #[error(
        "`{file}` has an expression that is nested more than {most} deep, where each `&&` and `||` of a chain counts: write lists as `[…].contains(…)`, or several policies"
    )]
    TooDeep {
        /// Where.
        file: String,
        /// The bound.
        most: usize,
    },
    /// The schema does not parse.
    #[error("the schema cannot be read: {0}")]
    Schema(String),
    /// A file of policies does not parse.
    #[error("`{file}` cannot be read: {cause}")]
    Syntax {
        /// Which.
        file: String,
        /// What is wrong.
        cause: String,
    },
    /// A template, which has no id of its own in answers.
    #[error("`{file}` has a template; write policies without `?principal` and `?resource`")]
    Template {
        /// Where.
        file: String,
    },
    /// A policy without a name.
    #[error("a policy in `{file}` has no `@id(\"…\")`; reasons name policies by it")]
    NoId {
        /// Where.
        file: String,
    },
    /// Two policies of one name.
    #[error("two policies have the id `{0}`")]
    SameId(String),
    /// An annotation that means nothing here: a misspelt obligation would oblige nobody.
    #[error(
        "`{policy}` has the annotation `@{annotation}`; known are `@id`, `@acr`, `@max_age` and `@approvals`"
    )]
    Annotation {
        /// In which policy.
        policy: String,
        /// Which.
        annotation: String,
    },
    /// An annotation with a value that is not allowed, or where it has no meaning.
    #[error("`{policy}`: `@{annotation}(\"{value}\")` is not allowed here")]
    AnnotationValue {
        /// In which policy.
        policy: String,
        /// Which.
        annotation: String,
        /// Its value.
        value: String,
    },
    /// A policy that the schema contradicts.
    #[error("the policies do not fit the schema: {0}")]
    Invalid(String),
    /// The requests of this program do not fit the schema.
    #[error("the schema does not fit the action `{action}`: {cause}")]
    Request {
        /// Which.
        action: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// Who may agree depends on what is not always known.
    #[error(
        "a policy about `approve` looks at `{0}`; who may agree is asked when votes are counted too, where nothing of a request is known: use roles, owner and initiator"
    )]
    ApproveLooksAt(Fact),
    /// A table of cases that cannot be read.
    #[error("`{file}` cannot be read: {cause}")]
    Cases {
        /// Which.
        file: String,
        /// What is wrong.
        cause: String,
    },
}
