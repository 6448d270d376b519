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
/// How the reasons end that say that this very authorization has moved money before, perhaps a moment ago.
const REASON_SPENT: &str = "nonce_already_used";

/// What decides. A member that occurs twice is an error of serde.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    success: bool,
    error_reason: Option<String>,
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
    /// Nor does a code that says that the nonce is used: this payment has been charged, if not now then before.
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
            Some(REASON_REJECTED) => Settlement::Failed,
            _ if was_sent => Settlement::Pending,
            Some(reason) if is_code(reason) && !reason.ends_with(REASON_SPENT) => Settlement::Failed,
            _ => Settlement::Pending,
        }
    }
}

/// Returns whether a reason looks like those of the protocol: words of small letters and digits, joined by underscores. One word
/// alone may be the message of an exception.
fn is_code(reason: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    reason.contains('_') && reason.split('_').all(is_word)
}
