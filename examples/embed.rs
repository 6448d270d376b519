//! The five answers to "may I run this?", in the fewest lines. `cargo run --example embed`

use idemstore::{Begin, Fingerprint, Key, Lease, Result, Store};

fn main() -> Result<()> {
    let store = Store::in_memory()?; // A real one: Options::new().create_if_missing(true).open("payments.idem")?
    println!("{}", pay(&store, "pay_1", "19.00 EUR")?);
    println!("{}", pay(&store, "pay_1", "19.00 EUR")?);
    println!("{}", pay(&store, "pay_1", "1900.00 EUR")?);
    Ok(())
}

fn pay(store: &Store, id: &str, amount: &str) -> Result<String> {
    let key = Key::new("shop-7/POST /payments", id)?;
    Ok(match store.begin(&key, Fingerprint::of(&[amount.as_bytes()]))? {
        Begin::Fresh(lease) => charge(&lease, amount)?,
        // An earlier attempt died: ask the provider what became of it before anything else.
        Begin::Takeover(lease) => reconcile(&lease, amount)?,
        Begin::Replay(outcome) => format!("replayed: {}", String::from_utf8_lossy(outcome.payload())),
        Begin::InFlight { retry_after, .. } => format!("busy: come back in {retry_after:?}"),
        Begin::Mismatch => "refused: this key was used for another request".to_owned(),
    })
}

fn charge(lease: &Lease, amount: &str) -> Result<String> {
    lease.checkpoint("charge requested")?; // Durable before the charge: a crash from here on is a takeover.
    let receipt = format!("charged {amount}"); // The call to the payment provider goes here.
    lease.complete(&receipt)?;
    Ok(receipt)
}

fn reconcile(lease: &Lease, amount: &str) -> Result<String> {
    let receipt = format!("the provider had charged {amount}");
    lease.complete(&receipt)?;
    Ok(receipt)
}
