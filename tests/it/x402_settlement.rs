//! Only a receipt that says so for certain ends a payment: everything unclear stays pending.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use idemstore::x402::Settlement::{self, Failed, Pending, Settled};
use serde_json::Value;

/// Receipts as text, since some are not values.
const RECEIPTS: &[(&str, Settlement)] = &[
    (r#"{"success":true,"transaction":"0x12","network":"eip155:84532","payer":"0x34"}"#, Settled),
    (r#"{"success":true,"transaction":""}"#, Settled),
    (r#"{"success":true,"errorReason":null,"transaction":null}"#, Settled),
    (r#"{"success":false,"errorReason":"insufficient_funds","transaction":"","network":"eip155:84532"}"#, Failed),
    (r#"{"success":false,"errorReason":"permit2_allowance_required","transaction":""}"#, Failed),
    (r#"{"success":false,"errorReason":"transaction_simulation_failed","transaction":""}"#, Failed),
    (r#"{"success":false,"errorReason":"invalid_x402_version","transaction":null}"#, Failed),
    // The chain has rejected what was sent.
    (r#"{"success":false,"errorReason":"invalid_transaction_state","transaction":"0x12"}"#, Failed),
    // A facilitator that cannot note which transaction it waits for calls it rejected, and says so.
    (
        r#"{"success":false,"errorReason":"invalid_transaction_state","errorMessage":"settlement_pending, but failed to persist for retry: x","transaction":"0x12"}"#,
        Pending,
    ),
    // What a message says beside that decides nothing, and it may be anything.
    (r#"{"success":false,"errorReason":"insufficient_funds","errorMessage":"no funds","transaction":""}"#, Failed),
    (r#"{"success":true,"errorMessage":{"code":7},"transaction":"0x12"}"#, Settled),
    // Not terminal, whatever else it says.
    (r#"{"success":false,"errorReason":"settlement_pending","transaction":"0x12"}"#, Pending),
    (r#"{"success":false,"errorReason":"settlement_pending","transaction":""}"#, Pending),
    (r#"{"success":true,"errorReason":"settlement_pending","transaction":"0x12"}"#, Pending),
    // Something was sent, and nothing says that it was rejected.
    (r#"{"success":false,"errorReason":"unexpected_settle_error","transaction":"0x12"}"#, Pending),
    (r#"{"success":false,"transaction":"0x12"}"#, Pending),
    // An exception of the server, not an answer of the facilitator, which may have settled before it died.
    (r#"{"success":false,"errorReason":"fetch failed","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"terminated","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"Server disconnected without sending a response.","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"Settlement failed","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"read__error","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"_","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"","transaction":""}"#, Pending),
    (r#"{"success":false}"#, Pending),
    // Charged, by this attempt or an earlier one.
    (r#"{"success":false,"errorReason":"invalid_exact_evm_nonce_already_used","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"permit2_invalid_nonce","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"duplicate_settlement","transaction":""}"#, Pending),
    // Codes for an exception while a transaction was being sent or waited for: no hash, and it may be on its way.
    (r#"{"success":false,"errorReason":"invalid_exact_evm_transaction_failed","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"transaction_failed","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"erc20_approval_broadcast_failed","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"invalid_batch_settlement_evm_wait_for_receipt_failed","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"settlement_failed","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"unexpected_settle_error","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"unexpected_settle_error"}"#, Pending),
    (r#"{"success":false,"errorReason":"unknown_error","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"settle_exact_node_failure","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"settle_exact_svm_transaction_confirmation_timed_out","transaction":""}"#, Pending),
    (r#"{"success":false,"errorReason":"transaction_pending","transaction":""}"#, Pending),
    // No receipts.
    ("{}", Pending),
    (r#"{"success":"true"}"#, Pending),
    (r#"{"success":1}"#, Pending),
    (r#"{"success":null}"#, Pending),
    (r#"{"success":false,"transaction":{"hash":"0x12"}}"#, Pending),
    (r#"{"success":false,"errorReason":7}"#, Pending),
    (r#"[false,null,""]"#, Pending),
    (r#"[true,null,"0x12"]"#, Pending),
    ("null", Pending),
];

/// Only a header can hold these.
const HEADERS: &[(&str, Settlement)] = &[
    // Another reader may see the other one.
    (r#"{"success":true,"success":false}"#, Pending),
    (r#"{"success":false,"transaction":"","transaction":"0x12"}"#, Pending),
    ("", Pending),
    (r#"{"success":true"#, Pending),
    // What does not matter may be anything.
    ("\n {\"success\":true,\"block\":18446744073709551616,\"gas\":1e999,\"a\":1,\"a\":2}", Settled),
];

#[test]
fn a_receipt_is_terminal_only_if_it_is_certain() {
    for (text, expected) in RECEIPTS {
        assert_eq!(Settlement::of(&serde_json::from_str::<Value>(text).unwrap()), *expected, "{text}");
    }
}

#[test]
fn a_header_says_what_its_receipt_says() {
    for (text, expected) in RECEIPTS.iter().chain(HEADERS) {
        assert_eq!(Settlement::of_header(STANDARD.encode(text)), *expected, "{text}");
    }
}

#[test]
fn a_header_that_cannot_be_read_is_pending() {
    for header in ["?", "{\"success\":true}", "eyJzdWNjZXNzIjp0cnVlfQ", &"A".repeat(1 << 20)] {
        assert_eq!(Settlement::of_header(header), Pending);
    }
    // The same with its padding.
    assert_eq!(Settlement::of_header("eyJzdWNjZXNzIjp0cnVlfQ=="), Settled);
}
