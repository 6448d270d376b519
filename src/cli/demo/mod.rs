//! `idemstore demo`: a shop, its impatient clients, and what happens to the money when things are killed.

mod act;
mod books;
mod child;
mod clients;
mod operator;
mod shop;

pub(super) use shop::DemoShop;

use super::{
    failure::Failure,
    output::{print, table},
};
use act::{Scene, behind, without};
use clap::Args;
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Watch a shop, its impatient clients, and what becomes of the money when things are killed; takes a few seconds.
///
/// Everything runs on this machine, in processes of this program, and leaves nothing behind. The exit code is 0 if every payment
/// was charged exactly once behind the proxy.
#[derive(Debug, Args)]
pub(super) struct Demo {}

const INTRODUCTION: &str = "\
A shop charges for every request that it gets. Its clients are impatient: they send each payment
several times at once, and again for as long as no answer comes. Now and then something is killed.
";

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let place = Place::new()?;
        print(INTRODUCTION)?;
        print("\nWithout idemstore\n")?;
        let bare = without(place.path()).await?;
        print("\nBehind `idemstore proxy`\n")?;
        let kept = behind(place.path()).await?;
        print("\n")?;
        print(table(
            &["", "PAYMENTS", "REQUESTS", "CHARGES", "CHARGED TWICE OR MORE"],
            0,
            [row("without idemstore", &bare), row("behind idemstore proxy", &kept)],
        ))?;
        if !kept.is_right() {
            return Err(Failure::new("not every payment was charged exactly once: this is a bug, please report it"));
        }
        print("\nEvery payment was charged exactly once, and each client got the answer of that charge.\n")
    }
}

fn row(name: &str, scene: &Scene) -> Vec<String> {
    let counts = [scene.payments, scene.requests, scene.charges, scene.charged_again];
    [name.to_owned()].into_iter().chain(counts.map(|count| count.to_string())).collect()
}

/// A directory that goes when this does.
struct Place(PathBuf);

impl Place {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("idemstore-demo-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Failure::io(format_args!("making {}", path.display()), &error))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left lies where the system cleans up.
        let _ = fs::remove_dir_all(&self.0);
    }
}
