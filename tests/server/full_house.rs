//! As many connections as there may be.

use crate::{client::Client, program::Place};

#[test]
fn nobody_is_sent_away_while_nobody_waits_for_a_place() {
    let place = Place::new();
    let socket = place.path("socket");
    let program = place.serve(&["--max-connections", "4", "--unix", socket.to_str().unwrap()]);
    let mut clients = vec![Client::unix(&socket).unwrap(), program.connect(), program.connect(), Client::unix(&socket).unwrap()];
    for _ in 0..3 {
        for client in &mut clients {
            client.get("/health").unwrap().check(200);
        }
    }
    // One more, and the one that has been idle for longest makes room.
    program.get("/health").check(200);
    let gone = clients.iter_mut().map(|client| client.get("/health").is_err()).collect::<Vec<_>>();
    assert_eq!(gone, [true, false, false, false]);
}
