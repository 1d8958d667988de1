//! Reading what a request carries: bodies within bounds, JSON, queries, ids in paths.

use crate::fault::QueryFault;
use crate::problem::{Code, Problem};
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use core::str::FromStr;
use core::time::Duration;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// The largest body of this route and how long it may take to arrive.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimit {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// The media type without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let field = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    field.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// The whole body, within its limits.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge).with("most", limit.bytes);
    // What says that it is too large is not read at all.
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<usize>().ok()).is_some_and(|n| n > limit.bytes) {
        return Err(too_large());
    }
    match tokio::time::timeout(limit.time, Limited::new(body, limit.bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(too_large()),
        // The connection broke; nobody will read this.
        Ok(Err(_broken)) => Err(Problem::broken_off()),
        Err(_late) => Err(Problem::new(Code::BodyTimeout).with("seconds", limit.time.as_secs())),
    }
}

/// The body as JSON of the expected form.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
) -> Result<T, Problem> {
    parse(&json_bytes(headers, body, limit).await?)
}

/// The body, not yet read, of a request that says that it is JSON.
pub(crate) async fn json_bytes(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
) -> Result<Bytes, Problem> {
    if media_type(headers) != "application/json" {
        return Err(Problem::new(Code::UnsupportedType).with("expected", "application/json"));
    }
    read(headers, body, limit).await
}

/// JSON of the expected form. The message names line and column.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    Ok(serde_json::from_slice(bytes)?)
}

/// An id in a path. What is no id names nothing.
pub(crate) fn id<T: FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::new(Code::NotFound))
}

/// The parameters of a query: each at most once, none unknown.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; only the parameters `known` are taken. No value of ours needs percent-encoding but a comma
    /// or a colon, and those may stand as they are (RFC 3986 §3.4).
    pub(crate) fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let shown: String = name.chars().take(32).filter(|c| c.is_ascii_graphic()).collect();
            if !known.contains(&name) {
                return Err(Problem::bad_query(&shown, &QueryFault::Unknown));
            }
            if pairs.iter().any(|(other, _)| other == name) {
                return Err(Problem::bad_query(&shown, &QueryFault::Twice));
            }
            pairs.push((name.to_owned(), value.replace("%2F", "/").replace("%2f", "/")));
        }
        Ok(Self(pairs))
    }

    /// The text of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter as a value.
    pub(crate) fn value<T: FromStr<Err: core::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let parsed = self.text(name).map(str::parse).transpose();
        let form = |why: T::Err| QueryFault::Form(why.to_string());
        parsed.map_err(|why| Problem::bad_query(name, &form(why)))
    }

    /// Which page of a list: `after` and `limit`, at most `most` items.
    pub(crate) fn page<K: FromStr<Err: core::fmt::Display>>(
        &self,
        most: usize,
    ) -> Result<Page<K>, Problem> {
        Ok(Page { after: self.value("after")?, limit: self.limit(most)? })
    }

    /// How many items: 1 to `most`, `most` when not said.
    pub(crate) fn limit(&self, most: usize) -> Result<usize, Problem> {
        match self.value::<usize>("limit")? {
            None => Ok(most),
            Some(limit) if (1..=most).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::bad_query("limit", &QueryFault::Range(most))),
        }
    }
}

/// A page of a list: so many items after a key.
#[derive(Clone, Copy)]
pub(crate) struct Page<K> {
    pub(crate) after: Option<K>,
    pub(crate) limit: usize,
}

impl<K> Page<K> {
    /// The parameters of a query for a page.
    pub(crate) const QUERY: [&'static str; 2] = ["after", "limit"];

    /// The key of the last item if the page is full, so that there may be more.
    pub(crate) fn next<T>(&self, items: &[T], key: impl FnOnce(&T) -> K) -> Option<K> {
        items.last().filter(|_| items.len() >= self.limit).map(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_takes_each_known_parameter_once() {
        let known = ["limit", "account"];
        let query = Query::parse(Some("limit=7&account=x"), &known).unwrap();
        assert_eq!(query.limit(10).unwrap(), 7);
        assert_eq!(query.text("account"), Some("x"));
        for bad in ["other=1", "limit=1&limit=2", "%00", "limit[]=1"] {
            assert!(Query::parse(Some(bad), &known).is_err(), "{bad}");
        }
        for bad in ["limit=0", "limit=11", "limit=-1", "limit=x", "limit=99999999999999999999"] {
            assert!(Query::parse(Some(bad), &known).unwrap().limit(10).is_err(), "{bad}");
        }
        assert_eq!(Query::parse(None, &known).unwrap().limit(10).unwrap(), 10);
    }

    proptest::proptest! {
        #[test]
        fn no_query_makes_it_panic(text: String) {
            let _answer = Query::parse(Some(&text), &["limit"]).map(|query| query.limit(9));
        }

        #[test]
        fn no_body_makes_it_panic(bytes: Vec<u8>) {
            let _answer = parse::<crate::wire::Pay>(&bytes);
            let _answer = parse::<crate::wire::PeopleBatch>(&bytes);
            let _answer = parse::<crate::wire::Payment>(&bytes);
        }
    }
}
