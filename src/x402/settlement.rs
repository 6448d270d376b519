use super::header::bytes_of;
use serde::Deserialize;
use serde_json::Value;

/// What a receipt says about the money, and so what has to become of the payment's key.
///
/// ```
/// use idemstore::x402::Settlement;
/// use serde_json::json;
///
/// assert_eq!(Settlement::of(&json!({"success": true, "transaction": "0x12"})), Settlement::Settled);
/// assert_eq!(Settlement::of(&json!({"success": false, "errorReason": "invalid_payload"})), Settlement::Failed);
/// assert_eq!(Settlement::of(&json!({"success": false, "errorReason": "fetch failed"})), Settlement::Pending);
/// assert_eq!(Settlement::of(&json!({"success": false, "errorReason": "settlement_pending"})), Settlement::Pending);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The money has moved. Complete the key.
    Settled,
    /// The money has not moved and will not by this attempt. Release the key.
    Failed,
    /// Nobody knows yet, or the receipt does not say. Keep the key in flight: a release would let the client pay twice.
    Pending,
}

/// The reason that says that the transaction was sent and may still be confirmed.
const REASON_PENDING: &str = "settlement_pending";
/// The reason that says that the transaction was rejected, though it has a hash.
const REASON_REJECTED: &str = "invalid_transaction_state";
/// How the codes end that do not say that no money has moved, though they name no transaction.
const DOUBTFUL: [&str; 16] = [
    // This very authorization has moved money before, or is moving it now.
    "nonce_already_used",
    "invalid_nonce",
    "duplicate_settlement",
    "pending",
    // The official facilitators answer so to any exception while they send the transaction, such as a node that took it and did not
    // answer in time.
    "transaction_failed",
    "tx_failed",
    "broadcast_failed",
    "receipt_failed",
    "settlement_failed",
    "settle_failed",
    "settle_error",
    "unknown_error",
    "node_failure",
    "timed_out",
    "timeout",
    "height_exceeded",
];

/// What decides. A member that occurs twice is an error of serde.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    success: bool,
    error_reason: Option<String>,
    /// Of any type: it must not make a receipt unreadable.
    error_message: Option<Value>,
    transaction: Option<String>,
}

impl Settlement {
    /// Reads the state out of a `SettlementResponse`.
    ///
    /// Only what is certain is terminal. `success: true` is settled. `success: false` has failed if the chain rejected the
    /// transaction, or if none is named and `errorReason` is a facilitator's code, such as `insufficient_funds`. Everything else
    /// is pending, also what is not a receipt.
    ///
    /// A reason that is no code decides nothing: when a facilitator settles and dies before it answers, the official servers put
    /// the text of their own exception there (`fetch failed`, `timed out`) and no transaction, though the money has moved.
    /// Nor does a code that says that the nonce is used: this payment has been charged, if not now then before. Nor does one that
    /// stands for an exception of the facilitator while it sent the transaction (`transaction_failed`, `unexpected_settle_error`,
    /// `settle_exact_node_failure`): the node may have taken it.
    pub fn of(receipt: &Value) -> Self {
        // serde would take an array for a receipt as well.
        let receipt = receipt.as_object().and_then(|receipt| Receipt::deserialize(receipt).ok());
        receipt.map_or(Self::Pending, |receipt| receipt.settlement())
    }

    /// Reads the state out of a `PAYMENT-RESPONSE` or `X-PAYMENT-RESPONSE` header. One that cannot be read is pending.
    ///
    /// ```
    /// use idemstore::x402::{Settlement, encode_header};
    /// use serde_json::json;
    ///
    /// let header = encode_header(&json!({"success": true, "transaction": "0x12", "network": "eip155:84532"}))?;
    /// assert_eq!(Settlement::of_header(header), Settlement::Settled);
    /// assert_eq!(Settlement::of_header("?"), Settlement::Pending);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    pub fn of_header(header: impl AsRef<[u8]>) -> Self {
        let bytes = bytes_of(header.as_ref()).ok().filter(|bytes| bytes.trim_ascii_start().starts_with(b"{"));
        let receipt = bytes.and_then(|bytes| serde_json::from_slice::<Receipt>(&bytes).ok());
        receipt.map_or(Self::Pending, |receipt| receipt.settlement())
    }
}

impl Receipt {
    fn settlement(&self) -> Settlement {
        let was_sent = self.transaction.as_ref().is_some_and(|hash| !hash.is_empty());
        match self.error_reason.as_deref() {
            Some(REASON_PENDING) => Settlement::Pending,
            _ if self.success => Settlement::Settled,
            // A facilitator that cannot note which transaction it waits for calls it rejected, and says so in the message.
            _ if self.is_said_to_be_pending() => Settlement::Pending,
            Some(REASON_REJECTED) => Settlement::Failed,
            _ if was_sent => Settlement::Pending,
            Some(reason) if is_code(reason) && !DOUBTFUL.iter().any(|end| reason.ends_with(end)) => Settlement::Failed,
            _ => Settlement::Pending,
        }
    }

    fn is_said_to_be_pending(&self) -> bool {
        self.error_message.as_ref().and_then(Value::as_str).is_some_and(|message| message.contains(REASON_PENDING))
    }
}

/// Returns whether a reason looks like those of the protocol: words of small letters and digits, joined by underscores. One word
/// alone may be the message of an exception.
fn is_code(reason: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    reason.contains('_') && reason.split('_').all(is_word)
}
