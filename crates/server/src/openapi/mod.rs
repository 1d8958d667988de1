//! The description of this API (OpenAPI 3.1). It is made from the wire types by this crate's tests, which hold it fresh, and is a part
//! of the program as text: what makes it is compiled for tests alone.

#[cfg(test)]
mod described;

/// The version of the API: the date of its shape.
pub const VERSION: &str = "2026-11-22";

/// The whole description as JSON, ending in a newline.
#[must_use]
pub const fn openapi_json() -> &'static str {
    include_str!("../../../../openapi/2026-11-22.json")
}
