//! Names and passwords: `Authorization: Basic` against bcrypt hashes.
//!
//! A comparison takes as long as bcrypt takes, so it is made on a thread of its own, one at a time; what was found is remembered
//! for the same name, hash and password, under a keyed digest. An unknown name costs the same comparison as a known one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::conf::model::Secret;

/// Comparisons that are remembered.
const REMEMBERED: usize = 128;
/// Requests that wait for a comparison.
const WAITING_MAX: usize = 16;

/// What to tell the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Welcome,
    /// No name, an unknown one, or a wrong password.
    Refused,
    /// Too many have to be compared at once.
    Busy,
}

type Digest = [u8; 32];

#[derive(Debug)]
pub struct Doorkeeper {
    key: Digest,
    /// The last comparisons, the newest last.
    known: Mutex<VecDeque<(Digest, bool)>>,
    waiting: Arc<Semaphore>,
    comparing: Arc<Semaphore>,
}

impl Doorkeeper {
    pub fn new(key: Digest) -> Doorkeeper {
        Doorkeeper {
            key,
            known: Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            comparing: Arc::new(Semaphore::new(1)),
        }
    }

    /// `header`: the value of `Authorization`. Without `users` everybody is welcome.
    pub async fn admits(&self, header: Option<&str>, users: &[(String, Secret)]) -> Verdict {
        let Some((_, first)) = users.first() else { return Verdict::Welcome };
        let Some((name, password)) = header.and_then(credentials) else { return Verdict::Refused };
        let found = users.iter().find(|(known, _)| *known == name);
        let hash = found.map_or(&first.0, |(_, hash)| &hash.0);
        let digest = self.digest(&name, hash, &password);
        if let Some(passed) = self.remembered(&digest) {
            return if passed && found.is_some() { Verdict::Welcome } else { Verdict::Refused };
        }
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else { return Verdict::Busy };
        let Ok(turn) = Arc::clone(&self.comparing).acquire_owned().await else { return Verdict::Busy };
        // Somebody before us may have asked the same.
        let passed = match self.remembered(&digest) {
            Some(passed) => passed,
            None => {
                let hash = hash.clone();
                let work = tokio::task::spawn_blocking(move || {
                    // The turn lasts as long as the work, also when the client has gone meanwhile.
                    let _turn = (turn, place);
                    bcrypt::verify(password, &hash).unwrap_or(false)
                });
                let passed = work.await.unwrap_or(false);
                self.remember(digest, passed);
                passed
            }
        };
        if passed && found.is_some() { Verdict::Welcome } else { Verdict::Refused }
    }

    fn digest(&self, name: &str, hash: &str, password: &[u8]) -> Digest {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return Digest::default() };
        for part in [name.as_bytes(), hash.as_bytes(), password] {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn remembered(&self, digest: &Digest) -> Option<bool> {
        let known = self.known.lock().ok()?;
        known.iter().find(|(seen, _)| seen == digest).map(|(_, passed)| *passed)
    }

    /// Wrong guesses push out wrong guesses only: they must not make good clients wait.
    fn remember(&self, digest: Digest, passed: bool) {
        let Ok(mut known) = self.known.lock() else { return };
        let alike = |known: &VecDeque<(Digest, bool)>| known.iter().filter(|(_, other)| *other == passed).count();
        if alike(&known) >= REMEMBERED / 2
            && let Some(oldest) = known.iter().position(|(_, other)| *other == passed)
        {
            known.remove(oldest);
        }
        known.push_back((digest, passed));
    }
}

/// Name and password of `Basic ...` (RFC 7617).
fn credentials(header: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > 1024 {
        return None;
    }
    let decoded = openssl::base64::decode_block(rest.trim()).ok()?;
    let colon = decoded.iter().position(|octet| *octet == b':')?;
    let name = String::from_utf8(decoded.get(..colon)?.to_vec()).ok()?;
    Some((name, decoded.get(colon + 1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn basic(pair: &str) -> String {
        format!("Basic {}", openssl::base64::encode_block(pair.as_bytes()))
    }

    fn users() -> Vec<(String, Secret)> {
        [("alice", "wonder:land"), ("bob", "builder")]
            .map(|(name, password)| (name.to_owned(), Secret(bcrypt::hash(password, 4).unwrap())))
            .to_vec()
    }

    #[tokio::test]
    async fn a_name_with_its_password_is_welcome_and_nothing_else() {
        let (door, users) = (Doorkeeper::new([7; 32]), users());
        // Twice, for what is remembered.
        for _ in 0..2 {
            for good in ["alice:wonder:land", "bob:builder"] {
                assert_eq!(door.admits(Some(&basic(good)), &users).await, Verdict::Welcome, "{good}");
            }
            for bad in [
                "alice:builder",
                "bob:",
                "bob:builder ",
                "carol:wonder:land",
                ":builder",
                "bob\0:builder",
                "bobbuilder",
            ] {
                assert_eq!(door.admits(Some(&basic(bad)), &users).await, Verdict::Refused, "{bad:?}");
            }
        }
        for header in
            ["", "Basic", "Basic ", "Basic !!!", "Bearer YWJj", "basic", &format!("Basic {}", "A".repeat(5000))]
        {
            assert_eq!(door.admits(Some(header), &users).await, Verdict::Refused, "{header:.20}");
        }
        assert_eq!(door.admits(None, &users).await, Verdict::Refused);
        assert_eq!(door.admits(None, &[]).await, Verdict::Welcome, "without users nobody is asked");
        let other = basic("bob:builder").replace("Basic", "bAsIc");
        assert_eq!(door.admits(Some(&other), &users).await, Verdict::Welcome);
    }

    #[tokio::test]
    async fn a_hash_that_changes_makes_what_was_remembered_worthless() {
        let door = Doorkeeper::new([7; 32]);
        let with = |password: &str| vec![("bob".to_owned(), Secret(bcrypt::hash(password, 4).unwrap()))];
        let (before, after) = (with("builder"), with("changed"));
        let header = basic("bob:builder");
        assert_eq!(door.admits(Some(&header), &before).await, Verdict::Welcome);
        assert_eq!(door.admits(Some(&header), &after).await, Verdict::Refused);
        assert_eq!(door.admits(Some(&basic("bob:changed")), &after).await, Verdict::Welcome);
    }

    #[tokio::test]
    async fn wrong_guesses_do_not_push_out_what_is_known_of_good_clients() {
        let (door, users) = (Doorkeeper::new([7; 32]), users());
        assert_eq!(door.admits(Some(&basic("bob:builder")), &users).await, Verdict::Welcome);
        for guess in 0..REMEMBERED {
            door.remember(door.digest("bob", &users[1].1.0, guess.to_string().as_bytes()), false);
        }
        let digest = door.digest("bob", &users[1].1.0, b"builder");
        assert_eq!(door.remembered(&digest), Some(true));
        assert!(door.known.lock().unwrap().len() <= REMEMBERED);
    }

    #[tokio::test]
    async fn many_at_once_are_told_to_come_back_and_a_known_client_waits_for_none_of_them() {
        let door = Arc::new(Doorkeeper::new([7; 32]));
        let users = Arc::new(users());
        assert_eq!(door.admits(Some(&basic("bob:builder")), &users).await, Verdict::Welcome);
        // Nobody gets a turn for now.
        let turn = door.comparing.clone().acquire_owned().await.unwrap();
        let guess = |n: usize| {
            let (door, users) = (Arc::clone(&door), Arc::clone(&users));
            tokio::spawn(async move { door.admits(Some(&basic(&format!("bob:{n}"))), &users).await })
        };
        let guesses: Vec<_> = (0..WAITING_MAX).map(guess).collect();
        while door.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(door.admits(Some(&basic("bob:more")), &users).await, Verdict::Busy);
        let header = basic("bob:builder");
        let known = tokio::time::timeout(Duration::from_secs(5), door.admits(Some(&header), &users));
        assert_eq!(known.await, Ok(Verdict::Welcome));
        drop(turn);
        for guess in guesses {
            assert_eq!(guess.await.unwrap(), Verdict::Refused);
        }
    }
}
