#![doc = include_str!("../README.md")]

mod access;
mod books;
mod device;
mod evidence;
mod identity;
mod mirror;
mod oauth;
mod ots;
mod partner;
mod script;
mod told;
mod world;

/// One reader under test.
pub struct Target {
    /// The name of its program.
    pub name: &'static str,
    /// Takes any bytes; panics when a rule is broken.
    pub run: fn(&[u8]),
    /// Good examples to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($module:ident :: $name:ident, $seeds:ident;)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$(
            Target { name: stringify!($name), run: $module::$name, seeds: $module::$seeds },
        )*];
    };
}

targets! {
    evidence::receipt, receipt_seeds;
    evidence::intent, intent_seeds;
    evidence::step_up, step_up_seeds;
    evidence::record, record_seeds;
    evidence::leaf, leaf_seeds;
    evidence::statement, statement_seeds;
    evidence::tsp_request, tsp_request_seeds;
    evidence::tsp_response, tsp_response_seeds;
    evidence::evidence_record, evidence_record_seeds;
    evidence::checkpoint, checkpoint_seeds;
    evidence::add_checkpoint, add_checkpoint_seeds;
    evidence::witness_policy, witness_policy_seeds;
    evidence::tlog_proof, tlog_proof_seeds;
    evidence::cose_receipt, cose_receipt_seeds;
    evidence::chain_anchor, chain_anchor_seeds;
    mirror::add_entries, add_entries_seeds;
    mirror::mirror_info, mirror_info_seeds;
    mirror::sign_subtree, sign_subtree_seeds;
    evidence::tile_path, tile_path_seeds;
    evidence::bundle, bundle_seeds;
    evidence::trust, trust_seeds;
    ots::ots_proof, ots_proof_seeds;
    evidence::public_key, public_key_seeds;
    access::dpop_proof, dpop_proof_seeds;
    access::access_token, access_token_seeds;
    access::enrolment_code, enrolment_code_seeds;
    access::address, address_seeds;
    identity::identity_record, identity_record_seeds;
    identity::vote, vote_seeds;
    identity::approval, approval_seeds;
    identity::payees, payees_seeds;
    identity::webauthn_registration, webauthn_registration_seeds;
    identity::webauthn_assertion, webauthn_assertion_seeds;
    identity::typed_code, typed_code_seeds;
    oauth::oauth_request, oauth_request_seeds;
    oauth::client_assertion, client_assertion_seeds;
    oauth::client_token, client_token_seeds;
    oauth::token_narrowing, token_narrowing_seeds;
    oauth::client_keys, client_keys_seeds;
    oauth::client_certificate, client_certificate_seeds;
    told::decision_record, decision_record_seeds;
    told::block_proof, block_proof_seeds;
    told::prompt_answer, prompt_answer_seeds;
    told::letter_message, letter_message_seeds;
    device::vault, vault_seeds;
    device::profile, profile_seeds;
    device::journal, journal_seeds;
    device::batch_csv, batch_csv_seeds;
    books::stored_payment, stored_payment_seeds;
    books::transfer_row, transfer_row_seeds;
    books::screen_rules, screen_rules_seeds;
    books::words, words_seeds;
    partner::partner_camt, partner_camt_seeds;
    partner::partner_csv, partner_csv_seeds;
    script::script, script_seeds;
}

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    //! Goal: every target takes its own seeds, and every seed is accepted by its reader far enough to be worth mutating.

    #[test]
    fn every_target_takes_its_seeds_and_nothing() {
        for target in super::TARGETS {
            (target.run)(&[]);
            for seed in (target.seeds)() {
                (target.run)(&seed);
            }
        }
    }
}
