//! The two scenes of the demo: the same storm of requests on a shop by itself, and on one behind the proxy.

use super::{
    books::Books,
    child::Child,
    clients::{Clients, Heard},
    operator::settle,
};
use crate::cli::{failure::Failure, output::print};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
    time::Duration,
};
use tokio::time::{sleep, timeout};

const PAYMENTS: usize = 30;
const LOOK: Duration = Duration::from_millis(5);
const LOOK_WAIT: Duration = Duration::from_secs(30);

/// What came of a scene.
pub(super) struct Scene {
    pub(super) payments: usize,
    pub(super) requests: usize,
    /// In the books of the provider.
    pub(super) charges: usize,
    pub(super) charged_again: usize,
    /// Payments for which not every client has heard of the one charge.
    misheard: usize,
}

impl Scene {
    fn of(requests: usize, books: &Books, heard: &[(String, Heard)]) -> Result<Self, Failure> {
        let charges = books.read()?;
        let mut heard_of: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
        for (payment, heard) in heard {
            let charge = if let Heard::Paid(charge) = heard { Some(charge.as_str()) } else { None };
            heard_of.entry(payment).or_default().insert(charge);
        }
        let is_right = |payment: &str, heard: &BTreeSet<Option<&str>>| match charges.get(payment).map(Vec::as_slice) {
            Some([charge]) => heard.len() == 1 && heard.contains(&Some(charge)),
            _ => false,
        };
        Ok(Self {
            payments: heard_of.len(),
            requests,
            charges: charges.values().map(Vec::len).sum(),
            charged_again: charges.values().filter(|charges| charges.len() > 1).count(),
            misheard: heard_of.iter().filter(|(payment, heard)| !is_right(payment, heard)).count(),
        })
    }

    /// Returns whether every payment was charged exactly once, and every client knows of it.
    pub(super) fn is_right(&self) -> bool {
        (self.payments, self.charges, self.charged_again, self.misheard) == (PAYMENTS, PAYMENTS, 0, 0)
    }
}

/// The shop by itself.
pub(super) async fn without(place: &Path) -> Result<Scene, Failure> {
    let books = Books::new(place.join("books-without"));
    let shop = start_shop(&books).await?;
    let clients = Clients::new(shop.address);
    let killing = async {
        wait_for(&books, PAYMENTS / 2).await?;
        let shop = shop.kill_and_restart().await?;
        print("  the shop was killed in the middle, and started again\n")?;
        Ok::<_, Failure>(shop)
    };
    let payments = payments();
    let (heard, shop) = tokio::join!(clients.pay(&payments), killing);
    let _shop = shop?;
    Scene::of(clients.requests(), &books, &heard)
}

/// The shop behind the proxy, of which nothing is changed but the address that clients have.
pub(super) async fn behind(place: &Path) -> Result<Scene, Failure> {
    let (books, db) = (Books::new(place.join("books-behind")), place.join("payments.idem"));
    let shop = start_shop(&books).await?;
    let upstream = format!("http://{}", shop.address);
    let words = ["proxy", "--require-key", "--upstream", &upstream, "--db"];
    let proxy = Child::start(words.into_iter().map(OsString::from).chain([db.clone().into_os_string()])).await?;
    let clients = Clients::new(proxy.address);
    let killing = async {
        wait_for(&books, PAYMENTS / 3).await?;
        let proxy = proxy.kill_and_restart().await?;
        print("  the proxy was killed in the middle, and started again on its store\n")?;
        wait_for(&books, PAYMENTS * 2 / 3).await?;
        let shop = shop.kill_and_restart().await?;
        print("  the shop was killed too, and started again\n")?;
        Ok::<_, Failure>((shop, proxy))
    };
    let payments = payments();
    let (mut heard, children) = tokio::join!(clients.pay(&payments), killing);
    let _children = children?;
    let is_unknown = |(_, heard): &(String, Heard)| *heard == Heard::Unknown;
    let unknown: BTreeSet<_> = heard.iter().filter(|one| is_unknown(one)).map(|(payment, _)| payment.clone()).collect();
    if !unknown.is_empty() {
        say_unknown(unknown.len())?;
        let settled = settle(&db, &books).await?;
        print(format!(
            "  the provider's books say: {} charged, {} not; told so, the store answers clients that come back\n",
            settled.charged, settled.not_charged
        ))?;
        heard.retain(|one| !is_unknown(one));
        let again: Vec<_> = unknown.into_iter().collect();
        heard.extend(clients.pay(&again).await);
    }
    Scene::of(clients.requests(), &books, &heard)
}

fn say_unknown(count: usize) -> Result<(), Failure> {
    let were = if count == 1 { "payment was" } else { "payments were" };
    print(format!("  {count} {were} under way when that happened: nobody knows yet, so none is sent again\n"))
}

async fn start_shop(books: &Books) -> Result<Child, Failure> {
    Child::start([OsString::from("demo-shop"), OsString::from("--books"), books.path().as_os_str().to_owned()]).await
}

fn payments() -> Vec<String> {
    (1..=PAYMENTS).map(|number| format!("payment-{number:02}")).collect()
}

/// Waits until there are charges of so many payments.
async fn wait_for(books: &Books, payments: usize) -> Result<(), Failure> {
    let looking = async {
        while books.read()?.len() < payments {
            sleep(LOOK).await;
        }
        Ok(())
    };
    timeout(LOOK_WAIT, looking).await.unwrap_or_else(|_| Err(Failure::new("the shop of the demo does not sell")))
}
