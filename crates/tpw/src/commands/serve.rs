//! `tpw serve`: the operator's server.
